"""Nouns and pure rules. Opens nothing; knows no library but pydantic and SQLAlchemy's declarations."""
