"""A night is held by the process that runs it, so that there is one at a time and a dead one is noticed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("nights", sa.Column("held_by", sa.String(length=200), nullable=True, comment="host:process"))
    op.add_column(
        "nights", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True, comment="renewed while it runs")
    )
