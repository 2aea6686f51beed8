"""An image whose bytes were removed keeps its record and says when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    comment = "its bytes were removed, long after a rejection (tasks/gc.py): no decision can be taken any more"
    op.add_column("inbox", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True, comment=comment))
