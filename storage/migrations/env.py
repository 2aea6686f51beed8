"""Run by storage.database.migrate, which hands over a connection with its transaction begun. Needs no alembic.ini."""

from __future__ import annotations

from alembic import context

from schemas.records import Row

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Row.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
