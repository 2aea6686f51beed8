"""The library is searched by colour: main colours beside each image."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    column = sa.Column("colours", sa.String(length=100), nullable=True, comment="rrggbb:percent, the largest first")
    op.add_column("images", column)
