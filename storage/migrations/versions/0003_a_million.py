"""Every page of a ledger with a million images is read from indexes: counts, the trail, conflicts, second reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "inbox",
        sa.Column(
            "verdict", sa.String(length=16), nullable=True, comment="of the decision that stands; null while waiting"
        ),
    )
    for table, name in (("decisions", "project"), ("deliveries", "asset")):
        column = sa.Column(name, sa.String(length=200), server_default="", nullable=False, comment="the image's")
        op.add_column(table, column)
        op.execute(f"UPDATE {table} SET {name} = (SELECT i.{name} FROM images i WHERE i.digest = {table}.image)")
    op.execute("UPDATE inbox SET verdict = (SELECT d.verdict FROM decisions d WHERE d.id = inbox.decision)")

    for name in ("decided_at", "reviewer", "verdict"):
        op.drop_index(f"ix_decisions_{name}", "decisions")
    op.create_index("ix_decisions_trail", "decisions", ["decided_at", "id", "reviewer", "verdict"])
    op.create_index("ix_decisions_project", "decisions", ["project", "decided_at", "id"])
    op.create_index("ix_decisions_verdict", "decisions", ["verdict", "decided_at", "id"])
    op.create_index("ix_decisions_reviewer", "decisions", ["reviewer", "decided_at", "id", "verdict"])
    op.create_index(
        "ix_decisions_second",
        "decisions",
        ["decided_at", "image"],
        sqlite_where=sa.text("revision = 2"),
        postgresql_where=sa.text("revision = 2"),
    )
    op.create_index("ix_inbox_asset_verdict", "inbox", ["project", "asset", "verdict"])
    op.create_index(
        "ix_inbox_differing",
        "inbox",
        ["rank", "queued_at", "image"],
        sqlite_where=sa.text("waiting = 1 AND revision >= 2 AND reviews_wanted > 1"),
        postgresql_where=sa.text("waiting AND revision >= 2 AND reviews_wanted > 1"),
    )
    op.create_index("ix_deliveries_asset", "deliveries", ["project", "asset"])
    op.create_index("ix_images_project", "images", ["project", "made_at"])
