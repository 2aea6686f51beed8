-- Prefect's server keeps its own state beside ours, in a database of its own.
CREATE DATABASE prefect;
