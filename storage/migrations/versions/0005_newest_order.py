"""The newest order counts: which one an image in the inbox is kept with, whether another counts since, and what was
warned of when a manifest was submitted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    warnings = sa.Column("warnings", sa.JSON(), server_default="[]", nullable=False, comment="schemas.errors.Problem")
    op.add_column("submissions", warnings)
    submission = sa.Column(
        "submission", sa.String(length=64), nullable=True, comment="the order that criteria, rank and findings are of"
    )
    op.add_column("inbox", submission)
    outdated: sa.Column[bool] = sa.Column(
        "outdated",
        sa.Boolean(),
        server_default=sa.false(),
        nullable=False,
        comment="another order may count since: tasks/planning/renew.py looks",
    )
    op.add_column("inbox", outdated)
    op.create_index(
        "ix_inbox_outdated",
        "inbox",
        ["image"],
        sqlite_where=sa.text("outdated = 1 AND waiting = 1"),
        postgresql_where=sa.text("outdated AND waiting"),
    )
    # Images that several orders ask for were kept with the rules of the first.
    several = "SELECT spec FROM orders GROUP BY spec HAVING count(*) > 1"
    op.execute(sa.text(f"UPDATE inbox SET outdated = :yes WHERE image IN ({several})").bindparams(yes=True))
