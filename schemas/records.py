"""What happened, as rows. SQLAlchemy 2 declarations only: no session, no query.

States are derived, not kept: a spec is made when its image row exists, set aside when its job says so, in hand while
its lease runs. The exceptions are `InboxEntry.waiting`, `.revision`, `.decision` and `.verdict`, written only in the
transaction that appends a decision, because one million images must be paged and counted through an index
(storage/ledger/standing.py has the rule). For the same reason `project` and `asset` are repeated in rows that use them.
Everything JSON was dumped by the pydantic model named in its comment. Times are UTC, written by the ledger.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on every database; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        float: Double,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


Digest = String(64)
Name = String(200)
BigId = BigInteger().with_variant(Integer, "sqlite")


class Submission(Row):
    """A manifest as it was sent in: frozen bytes, and the digest of every file it names."""

    __tablename__ = "submissions"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True, comment="SHA-256 of bytes and frozen files")
    name: Mapped[str] = mapped_column(Name, comment="file name as sent")
    project: Mapped[str] = mapped_column(Name, index=True)
    object_key: Mapped[str] = mapped_column(Text, comment="the manifest's bytes in the object store")
    body: Mapped[dict[str, Any]] = mapped_column(comment="schemas.manifest.Manifest, defaults filled in")
    files: Mapped[dict[str, Any]] = mapped_column(comment="path in the manifest -> {digest, key, width, height}")
    priority: Mapped[int] = mapped_column(comment="higher is made first")
    due: Mapped[date | None]
    submitted_by: Mapped[str] = mapped_column(Name)
    submitted_at: Mapped[datetime]
    planned_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancelled_by: Mapped[str | None] = mapped_column(Name)
    warnings: Mapped[list[Any]] = mapped_column(default=list, server_default="[]", comment="schemas.errors.Problem")


class Spec(Row):
    """One ImageSpec, once, whoever asked for it. Its queue columns follow its newest order (ledger/orders.py)."""

    __tablename__ = "specs"
    __table_args__ = (
        Index("ix_specs_queue", "priority", "due", "affinity_key", "batch_key"),
        Index("ix_specs_asset", "project", "asset"),
        Index(
            "ix_specs_parent",
            "parent",
            sqlite_where=text("parent IS NOT NULL"),
            postgresql_where=text("parent IS NOT NULL"),
        ),
    )

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(comment="schemas.spec.ImageSpec")
    project: Mapped[str] = mapped_column(Name)
    asset: Mapped[str] = mapped_column(Name)
    variant: Mapped[str] = mapped_column(Name)
    tier: Mapped[str] = mapped_column(String(8))
    batch_key: Mapped[str] = mapped_column(String(24))
    affinity_key: Mapped[str] = mapped_column(String(24))
    parent: Mapped[str | None] = mapped_column(Digest)
    take: Mapped[int]
    priority: Mapped[int]
    due: Mapped[date] = mapped_column(comment="9999-12-31 when none was given, so that it sorts last")
    submitted_by: Mapped[str] = mapped_column(Name)
    planned_at: Mapped[datetime]


class Order(Row):
    """A submission asks for a spec. The same image may be asked for by several."""

    __tablename__ = "orders"

    submission: Mapped[str] = mapped_column(ForeignKey("submissions.digest"), primary_key=True)
    spec: Mapped[str] = mapped_column(ForeignKey("specs.digest"), primary_key=True, index=True)


class Job(Row):
    """The work on one spec that has no image yet. A lease that ran out may be taken by anyone."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "ix_jobs_open",
            "spec",
            sqlite_where=text("done_at IS NULL AND set_aside_at IS NULL"),
            postgresql_where=text("done_at IS NULL AND set_aside_at IS NULL"),
        ),
        Index(
            "ix_jobs_leased",
            "leased_by",
            sqlite_where=text("leased_by IS NOT NULL"),
            postgresql_where=text("leased_by IS NOT NULL"),
        ),
        Index(
            "ix_jobs_set_aside",
            "set_aside_at",
            sqlite_where=text("set_aside_at IS NOT NULL"),
            postgresql_where=text("set_aside_at IS NOT NULL"),
        ),
    )

    spec: Mapped[str] = mapped_column(ForeignKey("specs.digest"), primary_key=True)
    leased_by: Mapped[str | None] = mapped_column(Name, comment="worker and process")
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0, comment="times a lease was taken, since a person last released it")
    failures: Mapped[int] = mapped_column(default=0, comment="of these, times it failed; see Failure for why")
    done_at: Mapped[datetime | None] = mapped_column(comment="set in the transaction that writes the image")
    set_aside_at: Mapped[datetime | None] = mapped_column(comment="failed too often; a person may release it")


class Failure(Row):
    """One attempt at one spec that failed."""

    __tablename__ = "failures"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    spec: Mapped[str] = mapped_column(ForeignKey("specs.digest"), index=True)
    night: Mapped[int | None] = mapped_column(ForeignKey("nights.id"), index=True)
    cause: Mapped[str] = mapped_column(Name, comment="error class; reports group by it")
    message: Mapped[str] = mapped_column(Text)
    worker: Mapped[str] = mapped_column(Name)
    failed_at: Mapped[datetime]


class Night(Row):
    """One run of the nightly flow (or of `dailies run` by day)."""

    __tablename__ = "nights"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    started_by: Mapped[str] = mapped_column(Name)
    flow_run: Mapped[str | None] = mapped_column(String(36))
    planned: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str | None] = mapped_column(
        String(32), comment="complete, window closed, budget spent, blocked, stopped, failed"
    )
    report_key: Mapped[str | None] = mapped_column(Text, comment="Markdown in the object store")
    totals: Mapped[dict[str, Any]] = mapped_column(default=dict)
    held_by: Mapped[str | None] = mapped_column(Name, comment="host:process")
    held_until: Mapped[datetime | None] = mapped_column(comment="renewed while it runs")


class ShiftRun(Row):
    """How the flow run of a shift ended, as it said itself. One that was killed leaves none."""

    __tablename__ = "shift_runs"

    flow_run: Mapped[str] = mapped_column(String(36), primary_key=True)
    night: Mapped[int] = mapped_column(ForeignKey("nights.id"), index=True)
    affinity_key: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(
        String(32), comment="complete, window closed, budget spent, stopped, failed, lost"
    )
    message: Mapped[str] = mapped_column(Text, comment="of the error that ended it")
    notes: Mapped[dict[str, Any]] = mapped_column(comment="what the engine said -> images")
    ended_at: Mapped[datetime]


class Image(Row):
    """An image that exists: its bytes were in the object store before this row was."""

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_asset", "project", "asset", "made_at"),
        Index("ix_images_project", "project", "made_at"),
    )

    digest: Mapped[str] = mapped_column(ForeignKey("specs.digest"), primary_key=True, comment="the spec's digest")
    project: Mapped[str] = mapped_column(Name)
    asset: Mapped[str] = mapped_column(Name)
    sha256: Mapped[str] = mapped_column(Digest, index=True, comment="of the file's bytes")
    object_key: Mapped[str] = mapped_column(Text)
    preview_key: Mapped[str] = mapped_column(Text, comment="WebP, longest side at most 1024 px")
    thumb_key: Mapped[str] = mapped_column(Text, comment="WebP, longest side at most 384 px")
    media_type: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int] = mapped_column(comment="px")
    height: Mapped[int] = mapped_column(comment="px")
    conditions: Mapped[list[Any]] = mapped_column(
        default=list, comment="object keys of the conditions used, as controls"
    )
    models: Mapped[dict[str, Any]] = mapped_column(comment="alias -> digest, checked at load")
    versions: Mapped[dict[str, Any]] = mapped_column(comment="library -> version")
    device: Mapped[str] = mapped_column(Name)
    dtype: Mapped[str] = mapped_column(String(16))
    batch: Mapped[dict[str, Any]] = mapped_column(comment="size and row of the batch that made it")
    timings: Mapped[dict[str, Any]] = mapped_column(comment="stage -> seconds, this image's share of its batch")
    gpu_seconds: Mapped[float]
    phash: Mapped[str | None] = mapped_column(String(64), index=True)
    night: Mapped[int | None] = mapped_column(ForeignKey("nights.id"), index=True)
    flow_run: Mapped[str | None] = mapped_column(String(36))
    worker: Mapped[str] = mapped_column(Name)
    made_at: Mapped[datetime] = mapped_column(index=True)
    colours: Mapped[str | None] = mapped_column(String(100), comment="rrggbb:percent, the largest first")


class FindingRow(Row):
    """A schemas.review.Finding on an image; written with it, in one transaction."""

    __tablename__ = "findings"
    __table_args__ = (Index("ix_findings_check", "criterion", "result"),)

    image: Mapped[str] = mapped_column(ForeignKey("images.digest"), primary_key=True)
    criterion: Mapped[str] = mapped_column(String(16), primary_key=True)
    result: Mapped[str] = mapped_column(String(16))
    score: Mapped[float]
    sentence: Mapped[str] = mapped_column(Text)
    regions: Mapped[list[Any]] = mapped_column(comment="schemas.review.Region")
    data: Mapped[dict[str, Any]]


class InboxEntry(Row):
    """Every image has exactly one, made in its image's transaction."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index("ix_inbox_asset_verdict", "project", "asset", "verdict"),
        Index(
            "ix_inbox_outdated",
            "image",
            sqlite_where=text("outdated = 1 AND waiting = 1"),
            postgresql_where=text("outdated AND waiting"),
        ),
        Index(
            "ix_inbox_differing",
            "rank",
            "queued_at",
            "image",
            sqlite_where=text("waiting = 1 AND revision >= 2 AND reviews_wanted > 1"),
            postgresql_where=text("waiting AND revision >= 2 AND reviews_wanted > 1"),
        ),
        Index(
            "ix_inbox_waiting",
            "rank",
            "queued_at",
            "image",
            "flags",
            sqlite_where=text("waiting = 1"),
            postgresql_where=text("waiting"),
        ),
        Index(
            "ix_inbox_project_waiting",
            "project",
            "rank",
            "queued_at",
            "image",
            "flags",
            sqlite_where=text("waiting = 1"),
            postgresql_where=text("waiting"),
        ),
        Index(
            "ix_inbox_asset_waiting",
            "project",
            "asset",
            "rank",
            "queued_at",
            "image",
            "flags",
            sqlite_where=text("waiting = 1"),
            postgresql_where=text("waiting"),
        ),
    )

    image: Mapped[str] = mapped_column(ForeignKey("images.digest"), primary_key=True)
    project: Mapped[str] = mapped_column(Name)
    asset: Mapped[str] = mapped_column(Name)
    rank: Mapped[int] = mapped_column(comment="smaller first: from priority and findings; orders, never hides")
    flags: Mapped[str] = mapped_column(
        String(80), comment="checks that flagged it, each between spaces: a filter that needs no other table"
    )
    criteria: Mapped[list[Any]] = mapped_column(comment="schemas.review.Criterion to be looked at")
    reviews_wanted: Mapped[int] = mapped_column(default=1, comment="2 for a double review")
    waiting: Mapped[bool] = mapped_column(comment="no decision stands: fewer reviewers agree than are wanted")
    decision: Mapped[int | None] = mapped_column(
        BigId, ForeignKey("decisions.id"), comment="the one that stands; null exactly while waiting"
    )
    revision: Mapped[int] = mapped_column(default=0, comment="decisions on this image so far, undo included")
    queued_at: Mapped[datetime]
    verdict: Mapped[str | None] = mapped_column(String(16), comment="of the decision that stands; null while waiting")
    submission: Mapped[str | None] = mapped_column(Digest, comment="the order that criteria, rank and findings are of")
    outdated: Mapped[bool] = mapped_column(
        default=False, server_default=false(), comment="another order may count since: tasks/planning/renew.py looks"
    )
    removed_at: Mapped[datetime | None] = mapped_column(
        comment="its bytes were removed, long after a rejection (tasks/gc.py): no decision can be taken any more"
    )
    chances: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True),
        comment="of being rejected, and by which criterion, as decisions so far say (tasks/learned_order.py)",
    )
    steps: Mapped[list[Any]] = mapped_column(
        default=list,
        server_default="[]",
        comment="who looks after whom, as the manifest names them; empty: anybody, once",
    )
    step: Mapped[str | None] = mapped_column(Name, comment="of `steps`, the one whose turn it is; null when decided")


class Training(Row):
    """What was learned from decisions, night by night: how good it is, on decisions that it had not seen."""

    __tablename__ = "trainings"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    trained_at: Mapped[datetime]
    decisions: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(40), comment="in use, too few decisions, no better than chance")
    report: Mapped[dict[str, Any]] = mapped_column(comment="by criterion: figures, calibration, weights")


class Decision(Row):
    """A schemas.review.Choice as it was taken. Appended, never changed; the unique revision refuses a stale page."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("image", "revision"),
        # The trail and its filters, newest first; the first and the last are all that a tally reads.
        Index("ix_decisions_trail", "decided_at", "id", "reviewer", "verdict"),
        Index("ix_decisions_project", "project", "decided_at", "id"),
        Index("ix_decisions_verdict", "verdict", "decided_at", "id"),
        Index("ix_decisions_reviewer", "reviewer", "decided_at", "id", "verdict"),
        Index(
            "ix_decisions_second",
            "decided_at",
            "image",
            sqlite_where=text("revision = 2"),
            postgresql_where=text("revision = 2"),
        ),
        Index(
            "ix_decisions_asking",
            "id",
            sqlite_where=text("verdict = 'retake' OR changes IS NOT NULL"),
            postgresql_where=text("verdict = 'retake' OR changes IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    image: Mapped[str] = mapped_column(ForeignKey("images.digest"))
    revision: Mapped[int] = mapped_column(comment="1 for the first on this image")
    verdict: Mapped[str] = mapped_column(String(16))
    marks: Mapped[dict[str, Any]] = mapped_column(comment="criterion -> ok or bad")
    reasons: Mapped[list[Any]]
    regions: Mapped[list[Any]]
    note: Mapped[str] = mapped_column(Text)
    changes: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), comment="schemas.review.Changes")
    reviewer: Mapped[str] = mapped_column(Name)
    role: Mapped[str] = mapped_column(String(16), default="reviewer", comment="reviewer, lead or admin, at that time")
    seconds: Mapped[float | None]
    decided_at: Mapped[datetime]
    project: Mapped[str] = mapped_column(Name, server_default="", comment="the image's")
    step: Mapped[str | None] = mapped_column(Name, comment="of the review, where it has steps")


class Retake(Row):
    """A decision that asked for another image, and the spec that answers it. Its existence is the proof of planning."""

    __tablename__ = "retakes"

    decision: Mapped[int] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    parent: Mapped[str] = mapped_column(ForeignKey("images.digest"), index=True)
    child: Mapped[str | None] = mapped_column(ForeignKey("specs.digest"), index=True, comment="null when refused")
    refused: Mapped[str | None] = mapped_column(Text, comment="why no child was planned, e.g. the cap on retakes")
    planned_at: Mapped[datetime]


class Delivery(Row):
    """An approved image that left, under its name. Written after its bytes and sidecar."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("project", "name"), Index("ix_deliveries_asset", "project", "asset"))

    image: Mapped[str] = mapped_column(ForeignKey("images.digest"), primary_key=True)
    project: Mapped[str] = mapped_column(Name)
    name: Mapped[str] = mapped_column(Text, comment="path under delivery/, from the naming template")
    sidecar: Mapped[str] = mapped_column(Text)
    decision: Mapped[int] = mapped_column(ForeignKey("decisions.id"))
    delivered_at: Mapped[datetime]
    asset: Mapped[str] = mapped_column(Name, server_default="", comment="the image's")


class ModelPin(Row):
    """The digest an alias had when it was first used; changing weights under an alias is an error until re-pinned."""

    __tablename__ = "model_pins"

    alias: Mapped[str] = mapped_column(Name, primary_key=True)
    digest: Mapped[str] = mapped_column(Digest)
    pinned_at: Mapped[datetime]


class Claim(Row):
    """An image that a reviewer has in hand until then, so that two people do not look at the same one. Advisory: the
    decision itself is guarded by the revision."""

    __tablename__ = "claims"
    __table_args__ = (Index("ix_claims_reviewer", "reviewer", "until"),)

    image: Mapped[str] = mapped_column(ForeignKey("images.digest"), primary_key=True)
    reviewer: Mapped[str] = mapped_column(Name, primary_key=True)
    until: Mapped[datetime]


class Comment(Row):
    """What somebody said about an image. Appended, never changed."""

    __tablename__ = "comments"
    __table_args__ = (
        UniqueConstraint("author", "token"),
        Index("ix_comments_image", "image", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    image: Mapped[str] = mapped_column(ForeignKey("images.digest"))
    author: Mapped[str] = mapped_column(Name)
    role: Mapped[str] = mapped_column(String(16), comment="reviewer, lead or admin, at that time")
    text: Mapped[str] = mapped_column(Text, comment="schemas.comments.NewComment.text, as it was written")
    mentions: Mapped[list[Any]] = mapped_column(comment="people whom it names, as the ledger writes them")
    unknown: Mapped[list[Any]] = mapped_column(comment="names in it that nobody had then")
    token: Mapped[str] = mapped_column(String(40), comment="of the page, so that what is sent again is written once")
    written_at: Mapped[datetime]


class CommentMark(Row):
    """What a comment is to one person: one that names her, an answer, or only seen. No row: not seen yet."""

    __tablename__ = "comment_marks"
    __table_args__ = (
        Index("ix_comment_marks_person", "person", "comment"),
        Index(
            "ix_comment_marks_untold",
            "comment",
            sqlite_where=text("told_at IS NULL AND concern = 'mention'"),
            postgresql_where=text("told_at IS NULL AND concern = 'mention'"),
        ),
        Index(
            "ix_comment_marks_unmailed",
            "comment",
            sqlite_where=text("mailed_at IS NULL AND concern = 'mention'"),
            postgresql_where=text("mailed_at IS NULL AND concern = 'mention'"),
        ),
    )

    comment: Mapped[int] = mapped_column(BigId, ForeignKey("comments.id"), primary_key=True)
    person: Mapped[str] = mapped_column(Name, primary_key=True)
    concern: Mapped[str] = mapped_column(String(16), comment="schemas.comments.Concern")
    read_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None] = mapped_column(comment="when the webhook was told of the mention")
    mailed_at: Mapped[datetime | None] = mapped_column(comment="when an e-mail told the person of the mention")


class Rating(Row):
    """Stars and a colour on an image: the newest ones, whoever gave them. They decide nothing."""

    __tablename__ = "ratings"

    image: Mapped[str] = mapped_column(ForeignKey("images.digest"), primary_key=True)
    stars: Mapped[int] = mapped_column(index=True, comment="0 to 5")
    colour: Mapped[str | None] = mapped_column(String(16), index=True, comment="schemas.ratings.RatingColour")
    rated_by: Mapped[str] = mapped_column(Name)
    rated_at: Mapped[datetime]


class Playlist(Row):
    """Images put together by a person, in an order: somebody's work for today, or what a client is shown."""

    __tablename__ = "playlists"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Name)
    people: Mapped[list[Any]] = mapped_column(comment="whose work it is: names, addresses or groups")
    made_by: Mapped[str] = mapped_column(Name)
    made_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(comment="shown no more; nothing is removed")


class PlaylistImage(Row):
    """An image's place in a playlist."""

    __tablename__ = "playlist_images"
    __table_args__ = (UniqueConstraint("playlist", "image"),)

    playlist: Mapped[int] = mapped_column(BigId, ForeignKey("playlists.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, comment="0 for the first")
    image: Mapped[str] = mapped_column(ForeignKey("images.digest"))


class ClientLink(Row):
    """What somebody without an account may do with one playlist, for some days. Who has the link's secret is them."""

    __tablename__ = "client_links"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    playlist: Mapped[int] = mapped_column(BigId, ForeignKey("playlists.id"), index=True)
    client: Mapped[str] = mapped_column(Name, comment="who gets it, as the team calls them")
    secret: Mapped[str] = mapped_column(Digest, unique=True, comment="SHA-256 of what the link carries")
    may: Mapped[str] = mapped_column(String(16), comment="schemas.playlists.ClientMay")
    made_by: Mapped[str] = mapped_column(Name)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ClientAct(Row):
    """What was done by a client link: every look and every word. Appended, never changed."""

    __tablename__ = "client_acts"
    __table_args__ = (Index("ix_client_acts_link", "link", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    link: Mapped[int] = mapped_column(BigId, ForeignKey("client_links.id"))
    act: Mapped[str] = mapped_column(String(16), comment="opened, looked, commented, approved, ...")
    image: Mapped[str | None] = mapped_column(ForeignKey("images.digest"))
    at: Mapped[datetime]


class ImageVector(Row):
    """What an image is like, or what its prompt says, to the model that made it, or to the studio's for searching.
    Compared within one space only."""

    __tablename__ = "image_vectors"
    __table_args__ = (UniqueConstraint("image", "space"), Index("ix_image_vectors_space", "space", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    image: Mapped[str] = mapped_column(ForeignKey("images.digest"))
    space: Mapped[str] = mapped_column(String(40), comment="kind, and the model that computed it")
    vector: Mapped[bytes] = mapped_column(LargeBinary, comment="storage/vectors.py: 256 signed bytes")


class SavedFilter(Row):
    """A filter of the Inbox under a name: one person's, or everybody's to see."""

    __tablename__ = "saved_filters"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(Name)
    name: Mapped[str] = mapped_column(Name)
    query: Mapped[dict[str, Any]] = mapped_column(comment="schemas.playlists.NewFilter.query")
    shared: Mapped[bool]
    saved_at: Mapped[datetime]
