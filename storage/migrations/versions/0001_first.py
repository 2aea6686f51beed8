"""The first schema. schemas/records.py says what each table is for.

There is no downgrade here or later: what happened stays written. To go back, restore a backup.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "model_pins",
        sa.Column("alias", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("alias"),
    )
    op.create_table(
        "nights",
        sa.Column("id", BigId, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_by", sa.String(length=200), nullable=False),
        sa.Column("flow_run", sa.String(length=36), nullable=True),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column(
            "outcome",
            sa.String(length=32),
            nullable=True,
            comment="complete, window closed, budget spent, blocked, stopped, failed",
        ),
        sa.Column("report_key", sa.Text(), nullable=True, comment="Markdown in the object store"),
        sa.Column("totals", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_nights_started_at", "nights", ["started_at"])
    op.create_table(
        "specs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False, comment="schemas.spec.ImageSpec"),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("variant", sa.String(length=200), nullable=False),
        sa.Column("tier", sa.String(length=8), nullable=False),
        sa.Column("batch_key", sa.String(length=24), nullable=False),
        sa.Column("affinity_key", sa.String(length=24), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due", sa.Date(), nullable=False, comment="9999-12-31 when none was given, so that it sorts last"),
        sa.Column("submitted_by", sa.String(length=200), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_specs_asset", "specs", ["project", "asset"])
    op.create_index(
        "ix_specs_parent",
        "specs",
        ["parent"],
        sqlite_where=sa.text("parent IS NOT NULL"),
        postgresql_where=sa.text("parent IS NOT NULL"),
    )
    op.create_index("ix_specs_queue", "specs", ["priority", "due", "affinity_key", "batch_key"])
    op.create_table(
        "submissions",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="SHA-256 of bytes and frozen files"),
        sa.Column("name", sa.String(length=200), nullable=False, comment="file name as sent"),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False, comment="the manifest's bytes in the object store"),
        sa.Column("body", sa.JSON(), nullable=False, comment="schemas.manifest.Manifest, defaults filled in"),
        sa.Column("files", sa.JSON(), nullable=False, comment="path in the manifest -> {digest, key, width, height}"),
        sa.Column("priority", sa.Integer(), nullable=False, comment="higher is made first"),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("submitted_by", sa.String(length=200), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_submissions_project", "submissions", ["project"])
    op.create_table(
        "failures",
        sa.Column("id", BigId, nullable=False),
        sa.Column("spec", sa.String(length=64), nullable=False),
        sa.Column("night", BigId, nullable=True),
        sa.Column("cause", sa.String(length=200), nullable=False, comment="error class; reports group by it"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("worker", sa.String(length=200), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["night"], ["nights.id"]),
        sa.ForeignKeyConstraint(["spec"], ["specs.digest"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_failures_night", "failures", ["night"])
    op.create_index("ix_failures_spec", "failures", ["spec"])
    op.create_table(
        "images",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="the spec's digest"),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of the file's bytes"),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("preview_key", sa.Text(), nullable=False, comment="WebP, longest side at most 1024 px"),
        sa.Column("thumb_key", sa.Text(), nullable=False, comment="WebP, longest side at most 384 px"),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False, comment="px"),
        sa.Column("height", sa.Integer(), nullable=False, comment="px"),
        sa.Column("conditions", sa.JSON(), nullable=False, comment="object keys of the conditions used, as controls"),
        sa.Column("models", sa.JSON(), nullable=False, comment="alias -> digest, checked at load"),
        sa.Column("versions", sa.JSON(), nullable=False, comment="library -> version"),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("dtype", sa.String(length=16), nullable=False),
        sa.Column("batch", sa.JSON(), nullable=False, comment="size and row of the batch that made it"),
        sa.Column("timings", sa.JSON(), nullable=False, comment="stage -> seconds, this image's share of its batch"),
        sa.Column("gpu_seconds", sa.Double(), nullable=False),
        sa.Column("phash", sa.String(length=64), nullable=True),
        sa.Column("night", BigId, nullable=True),
        sa.Column("flow_run", sa.String(length=36), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["specs.digest"]),
        sa.ForeignKeyConstraint(["night"], ["nights.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_images_asset", "images", ["project", "asset", "made_at"])
    op.create_index("ix_images_made_at", "images", ["made_at"])
    op.create_index("ix_images_night", "images", ["night"])
    op.create_index("ix_images_phash", "images", ["phash"])
    op.create_index("ix_images_sha256", "images", ["sha256"])
    op.create_table(
        "jobs",
        sa.Column("spec", sa.String(length=64), nullable=False),
        sa.Column("leased_by", sa.String(length=200), nullable=True, comment="worker and process"),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="times a lease was taken, since a person last released it"
        ),
        sa.Column("failures", sa.Integer(), nullable=False, comment="of these, times it failed; see Failure for why"),
        sa.Column(
            "done_at", sa.DateTime(timezone=True), nullable=True, comment="set in the transaction that writes the image"
        ),
        sa.Column(
            "set_aside_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="failed too often; a person may release it",
        ),
        sa.ForeignKeyConstraint(["spec"], ["specs.digest"]),
        sa.PrimaryKeyConstraint("spec"),
    )
    op.create_index(
        "ix_jobs_leased",
        "jobs",
        ["leased_by"],
        sqlite_where=sa.text("leased_by IS NOT NULL"),
        postgresql_where=sa.text("leased_by IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_open",
        "jobs",
        ["spec"],
        sqlite_where=sa.text("done_at IS NULL AND set_aside_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL AND set_aside_at IS NULL"),
    )
    op.create_index(
        "ix_jobs_set_aside",
        "jobs",
        ["set_aside_at"],
        sqlite_where=sa.text("set_aside_at IS NOT NULL"),
        postgresql_where=sa.text("set_aside_at IS NOT NULL"),
    )
    op.create_table(
        "orders",
        sa.Column("submission", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["spec"], ["specs.digest"]),
        sa.ForeignKeyConstraint(["submission"], ["submissions.digest"]),
        sa.PrimaryKeyConstraint("submission", "spec"),
    )
    op.create_index("ix_orders_spec", "orders", ["spec"])
    op.create_table(
        "decisions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="1 for the first on this image"),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("marks", sa.JSON(), nullable=False, comment="criterion -> ok or bad"),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("regions", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=True, comment="schemas.review.Changes"),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False, comment="reviewer, lead or admin, at that time"),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("image", "revision"),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_decisions_asking",
        "decisions",
        ["id"],
        sqlite_where=sa.text("verdict = 'retake' OR changes IS NOT NULL"),
        postgresql_where=sa.text("verdict = 'retake' OR changes IS NOT NULL"),
    )
    op.create_index("ix_decisions_decided_at", "decisions", ["decided_at"])
    op.create_index("ix_decisions_reviewer", "decisions", ["reviewer"])
    op.create_index("ix_decisions_verdict", "decisions", ["verdict"])
    op.create_table(
        "findings",
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("criterion", sa.String(length=16), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("regions", sa.JSON(), nullable=False, comment="schemas.review.Region"),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("image", "criterion"),
    )
    op.create_index("ix_findings_check", "findings", ["criterion", "result"])
    op.create_table(
        "deliveries",
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="path under delivery/, from the naming template"),
        sa.Column("sidecar", sa.Text(), nullable=False),
        sa.Column("decision", BigId, nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("project", "name"),
        sa.ForeignKeyConstraint(["decision"], ["decisions.id"]),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("image"),
    )
    op.create_table(
        "inbox",
        sa.Column("image", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("asset", sa.String(length=200), nullable=False),
        sa.Column(
            "rank",
            sa.Integer(),
            nullable=False,
            comment="smaller first: from priority and findings; orders, never hides",
        ),
        sa.Column(
            "flags",
            sa.String(length=80),
            nullable=False,
            comment="checks that flagged it, each between spaces: a filter that needs no other table",
        ),
        sa.Column("criteria", sa.JSON(), nullable=False, comment="schemas.review.Criterion to be looked at"),
        sa.Column("reviews_wanted", sa.Integer(), nullable=False, comment="2 for a double review"),
        sa.Column(
            "waiting", sa.Boolean(), nullable=False, comment="no decision stands: fewer reviewers agree than are wanted"
        ),
        sa.Column("decision", BigId, nullable=True, comment="the one that stands; null exactly while waiting"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="decisions on this image so far, undo included"),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decisions.id"]),
        sa.ForeignKeyConstraint(["image"], ["images.digest"]),
        sa.PrimaryKeyConstraint("image"),
    )
    op.create_index(
        "ix_inbox_asset_waiting",
        "inbox",
        ["project", "asset", "rank", "queued_at", "image", "flags"],
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_index(
        "ix_inbox_project_waiting",
        "inbox",
        ["project", "rank", "queued_at", "image", "flags"],
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_index(
        "ix_inbox_waiting",
        "inbox",
        ["rank", "queued_at", "image", "flags"],
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_table(
        "retakes",
        sa.Column("decision", BigId, nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=False),
        sa.Column("child", sa.String(length=64), nullable=True, comment="null when refused"),
        sa.Column("refused", sa.Text(), nullable=True, comment="why no child was planned, e.g. the cap on retakes"),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["child"], ["specs.digest"]),
        sa.ForeignKeyConstraint(["decision"], ["decisions.id"]),
        sa.ForeignKeyConstraint(["parent"], ["images.digest"]),
        sa.PrimaryKeyConstraint("decision"),
    )
    op.create_index("ix_retakes_child", "retakes", ["child"])
    op.create_index("ix_retakes_parent", "retakes", ["parent"])
