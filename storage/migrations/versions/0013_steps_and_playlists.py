"""A review may have steps; images can be put into playlists, which a client may look at by a link; filters
have names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    steps = "who looks after whom, as the manifest names them; empty: anybody, once"
    turn = "of `steps`, the one whose turn it is; null when decided"
    op.add_column("inbox", sa.Column("steps", sa.JSON(), server_default="[]", nullable=False, comment=steps))
    op.add_column("inbox", sa.Column("step", sa.String(length=200), nullable=True, comment=turn))
    of_review = "of the review, where it has steps"
    op.add_column("decisions", sa.Column("step", sa.String(length=200), nullable=True, comment=of_review))
    op.create_table(
        "playlists",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("people", sa.JSON(), nullable=False, comment="whose work it is: names, addresses or groups"),
        sa.Column("made_by", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True, comment="shown no more; nothing is removed"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "playlist_images",
        sa.Column("playlist", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False, comment="0 for the first"),
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.ForeignKeyConstraint(["playlist"], ["playlists.id"]),
        sa.PrimaryKeyConstraint("playlist", "place"),
        sa.UniqueConstraint("playlist", "image"),
    )
    op.create_table(
        "client_links",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("playlist", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("client", sa.String(length=200), nullable=False, comment="who gets it, as the team calls them"),
        sa.Column("secret", sa.String(length=64), nullable=False, comment="SHA-256 of what the link carries"),
        sa.Column("may", sa.String(length=16), nullable=False, comment="schemas.playlists.ClientMay"),
        sa.Column("made_by", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["playlist"], ["playlists.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("secret"),
    )
    op.create_index("ix_client_links_playlist", "client_links", ["playlist"])
    op.create_table(
        "client_acts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("link", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False, comment="opened, looked, commented, approved, ..."),
        sa.Column("image", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.ForeignKeyConstraint(["link"], ["client_links.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_client_acts_link", "client_acts", ["link", "id"])
    op.create_table(
        "saved_filters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("query", sa.JSON(), nullable=False, comment="schemas.playlists.NewFilter.query"),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "name"),
    )
