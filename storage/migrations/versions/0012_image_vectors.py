"""Images are found by what they are like: vectors of what the model saw, and of what the prompt says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "image_vectors",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("space", sa.String(length=40), nullable=False, comment="kind, and the model that computed it"),
        sa.Column("vector", sa.LargeBinary(), nullable=False, comment="storage/vectors.py: 256 signed bytes"),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("image", "space"),
    )
    op.create_index("ix_image_vectors_space", "image_vectors", ["space", "id"])
