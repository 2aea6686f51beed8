"""Images have stars and a colour, for what is neither yes nor no yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "ratings",
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False, comment="0 to 5"),
        sa.Column("colour", sa.String(length=16), nullable=True, comment="schemas.ratings.RatingColour"),
        sa.Column("rated_by", sa.String(length=200), nullable=False),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("image"),
    )
    op.create_index("ix_ratings_colour", "ratings", ["colour"])
    op.create_index("ix_ratings_stars", "ratings", ["stars"])
