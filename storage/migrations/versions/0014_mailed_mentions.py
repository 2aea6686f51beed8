"""Who is mentioned hears of it by e-mail too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    when = "when an e-mail told the person of the mention"
    op.add_column("comment_marks", sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True, comment=when))
    unmailed = sa.text("mailed_at IS NULL AND concern = 'mention'")
    op.create_index(
        "ix_comment_marks_unmailed", "comment_marks", ["comment"], sqlite_where=unmailed, postgresql_where=unmailed
    )
