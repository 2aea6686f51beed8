"""Nouns and pure rules. They know pydantic and SQLAlchemy's declarations; a few of them read small files."""
