"""Reviewers have images in hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("image", "reviewer"),
    )
    op.create_index("ix_claims_reviewer", "claims", ["reviewer", "until"])
