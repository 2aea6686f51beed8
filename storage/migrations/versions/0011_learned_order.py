"""The inbox in the order that decisions teach: ranks with room for a chance, and what each training came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "trainings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decisions", sa.Integer(), nullable=False),
        sa.Column(
            "outcome", sa.String(length=40), nullable=False, comment="in use, too few decisions, no better than chance"
        ),
        sa.Column("report", sa.JSON(), nullable=False, comment="by criterion: figures, calibration, weights"),
        sa.PrimaryKeyConstraint("id"),
    )
    comment = "of being rejected, and by which criterion, as decisions so far say (tasks/learned_order.py)"
    op.add_column("inbox", sa.Column("chances", sa.JSON(), nullable=True, comment=comment))
    # -priority * 10 + (0 flagged, 1 error, 2 the rest) becomes -priority * 10,000 + thirds; no rank was below -2,000.
    op.execute("UPDATE inbox SET rank = (rank + 2000 - (rank + 2000) % 10 - 2000) * 1000 + ((rank + 2000) % 10) * 3333")
