"""How each shift's flow run ended, as the run itself says it: nobody reads that from Prefect's text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "shift_runs",
        sa.Column("flow_run", sa.String(length=36), nullable=False),
        sa.Column("night", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("affinity_key", sa.Text(), nullable=False),
        sa.Column(
            "outcome",
            sa.String(length=32),
            nullable=False,
            comment="complete, window closed, budget spent, stopped, failed, lost",
        ),
        sa.Column("message", sa.Text(), nullable=False, comment="of the error that ended it"),
        sa.Column("notes", sa.JSON(), nullable=False, comment="what the engine said -> images"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["night"], ["nights.id"]),
        sa.PrimaryKeyConstraint("flow_run"),
    )
    op.create_index("ix_shift_runs_night", "shift_runs", ["night"])
