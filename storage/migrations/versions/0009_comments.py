"""People comment on images and name each other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "comments",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False, comment="reviewer, lead or admin, at that time"),
        sa.Column("text", sa.Text(), nullable=False, comment="schemas.comments.NewComment.text, as it was written"),
        sa.Column("mentions", sa.JSON(), nullable=False, comment="people whom it names, as the ledger writes them"),
        sa.Column("unknown", sa.JSON(), nullable=False, comment="names in it that nobody had then"),
        sa.Column(
            "token",
            sa.String(length=40),
            nullable=False,
            comment="of the page, so that what is sent again is written once",
        ),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("author", "token"),
    )
    op.create_index("ix_comments_image", "comments", ["image", "id"])
    op.create_table(
        "comment_marks",
        sa.Column("comment", NUMBER, nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("concern", sa.String(length=16), nullable=False, comment="schemas.comments.Concern"),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the webhook was told of the mention",
        ),
        sa.ForeignKeyConstraint(["comment"], ["comments.id"]),
        sa.PrimaryKeyConstraint("comment", "person"),
    )
    op.create_index("ix_comment_marks_person", "comment_marks", ["person", "comment"])
    untold = sa.text("told_at IS NULL AND concern = 'mention'")
    op.create_index(
        "ix_comment_marks_untold", "comment_marks", ["comment"], sqlite_where=untold, postgresql_where=untold
    )
