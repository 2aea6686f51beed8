"""The ledger on nights: when they ran, what they made, what that cost. And which digests aliases are pinned to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update

from schemas.errors import LedgerError, NightRunning
from schemas.pace import PaceKey, make_pace_key
from schemas.records import Failure, FindingRow, Image, InboxEntry, Job, ModelPin, Night, Spec
from schemas.review import Result, Verdict
from schemas.spec import ImageSpec
from storage.ledger.transaction import Transactions, now

RECENT = 2_000
"""Newest images that `pace` looks at."""


@dataclass(frozen=True)
class AssetMade:
    project: str
    asset: str
    made: int
    flagged: int
    """Images that at least one check flagged."""
    gpu_seconds: float
    approved: int = 0
    """Images whose standing decision is an approval, by now."""


@dataclass(frozen=True)
class NightImage:
    """An image that a night made. `flags`: (check, sentence) of what was flagged or could not be checked."""

    digest: str
    project: str
    asset: str
    variant: str
    thumb_key: str
    flags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FailureCause:
    cause: str
    failures: int
    specs: int
    example: str
    """The message of one of them."""


@dataclass(frozen=True)
class NightSummary:
    night: Night
    made: int
    flagged: int
    unchecked: int
    """Images on which a check crashed or could not look."""
    gpu_seconds: float
    by_asset: tuple[AssetMade, ...]
    failures: tuple[FailureCause, ...]
    set_aside: int
    """Specs that wait for a person to release them, whichever night they failed in."""
    waiting: int
    """Specs that have no image yet and are not set aside."""


class Nights(Transactions):
    def start_night(
        self, started_by: str, flow_run: str | None = None, *, holder: str | None = None, seconds: float = 0
    ) -> int:
        """Returns the night's id. A `holder` has it for so many seconds: NightRunning while another has one."""
        at = now()
        with self.writing("start_night") as session:
            if holder is not None:
                self.alone(session, "night")
                running = session.scalar(select(Night).where(_held(at)).limit(1))
                if running is not None:
                    raise NightRunning(as_sentence(running))
            night = Night(
                started_at=at,
                started_by=started_by,
                flow_run=flow_run,
                planned=0,
                totals={},
                held_by=holder,
                held_until=at + timedelta(seconds=seconds) if holder is not None else None,
            )
            session.add(night)
            session.flush()
            return night.id

    def take_night(self, night: int, *, holder: str, seconds: float) -> None:
        """Goes on with a night whose process is gone. NightRunning while another process runs this one, or another
        one; LedgerError when it has ended."""
        at = now()
        with self.writing("take_night") as session:
            self.alone(session, "night")
            running = session.scalar(select(Night).where(_held(at), Night.held_by != holder).limit(1))
            if running is not None:
                raise NightRunning(as_sentence(running))
            row = session.get(Night, night)
            if row is None or row.ended_at is not None:
                raise LedgerError(f"there is no night {night} that could go on")
            row.held_by, row.held_until = holder, at + timedelta(seconds=seconds)

    def renew_night(self, night: int, *, holder: str, seconds: float) -> bool:
        """Prolongs the hold. False: it is another's by now, or the night has ended."""
        values = {"held_until": now() + timedelta(seconds=seconds)}
        with self.writing("renew_night") as session:
            held = update(Night).where(Night.id == night, Night.held_by == holder, Night.ended_at.is_(None))
            statement = held.values(values).returning(Night.id).execution_options(synchronize_session=False)
            return session.scalar(statement) is not None

    def release_nights(self, holder: str) -> None:
        """Its nights, if they have not ended, are anybody's to go on with."""
        with self.writing("release_nights") as session:
            session.execute(update(Night).where(Night.held_by == holder, _held(now())).values(held_until=now()))

    def running_night(self) -> Night | None:
        """The night that some process runs now."""
        with self.reading() as session:
            return session.scalar(select(Night).where(_held(now())).limit(1))

    def dead_nights(self) -> list[Night]:
        """Nights that have not ended and that nobody runs, oldest first."""
        at = now()
        gone = or_(Night.held_until.is_(None), Night.held_until <= at)
        with self.reading() as session:
            return list(session.scalars(select(Night).where(Night.ended_at.is_(None), gone).order_by(Night.id)))

    def end_night(
        self,
        night: int,
        *,
        outcome: str,
        report_key: str | None,
        totals: Mapping[str, Any],
        planned: int | None = None,
    ) -> None:
        values: dict[str, Any] = {
            "outcome": outcome,
            "report_key": report_key,
            "totals": dict(totals),
            "ended_at": now(),
        }
        if planned is not None:
            values["planned"] = planned
        with self.writing("end_night") as session:
            statement = update(Night).where(Night.id == night).values(values).returning(Night.id)
            if session.scalar(statement.execution_options(synchronize_session=False)) is None:
                raise LedgerError(f"there is no night {night}")

    def night(self, night: int) -> Night:
        with self.reading() as session:
            found = session.get(Night, night) if 0 < night < 2**63 else None
        if found is None:
            raise LedgerError(f"there is no night {night}")
        return found

    def nights(self, limit: int = 30) -> list[Night]:
        """Newest first."""
        with self.reading() as session:
            return list(session.scalars(select(Night).order_by(Night.id.desc()).limit(limit)))

    def night_progress(self, night: int) -> tuple[int, int]:
        """Images made and failures in that night so far."""
        with self.reading() as session:
            made = session.scalar(select(func.count()).select_from(Image).where(Image.night == night))
            failed = session.scalar(select(func.count()).select_from(Failure).where(Failure.night == night))
        return made or 0, failed or 0

    def summary(self, night: int) -> NightSummary:
        """What a morning report says of a night."""
        row = self.night(night)
        odd = (Result.ERROR.value, Result.NOT_CHECKED.value)
        seen = (
            select(
                FindingRow.image.label("image"),
                func.max(case((FindingRow.result == Result.FLAG.value, 1), else_=0)).label("flagged"),
                func.max(case((FindingRow.result.in_(odd), 1), else_=0)).label("unchecked"),
            )
            .join(Image, Image.digest == FindingRow.image)
            .where(Image.night == night)
            .group_by(FindingRow.image)
            .subquery()
        )
        assets = (
            select(
                Image.project,
                Image.asset,
                func.count(),
                func.coalesce(func.sum(seen.c.flagged), 0),
                func.coalesce(func.sum(Image.gpu_seconds), 0.0),
                func.coalesce(func.sum(seen.c.unchecked), 0),
                func.sum(case((InboxEntry.verdict == Verdict.APPROVE.value, 1), else_=0)),
            )
            .join(InboxEntry, InboxEntry.image == Image.digest)
            .outerjoin(seen, seen.c.image == Image.digest)
            .where(Image.night == night)
            .group_by(Image.project, Image.asset)
            .order_by(Image.project, Image.asset)
        )
        causes = (
            select(Failure.cause, func.count(), func.count(Failure.spec.distinct()), func.min(Failure.message))
            .where(Failure.night == night)
            .group_by(Failure.cause)
            .order_by(func.count().desc(), Failure.cause)
        )
        with self.reading() as session:
            made = session.execute(assets).all()
            open_jobs = select(func.count()).select_from(Job).where(Job.done_at.is_(None), Job.set_aside_at.is_(None))
            aside = select(func.count()).select_from(Job).where(Job.set_aside_at.is_not(None))
            return NightSummary(
                night=row,
                made=sum(asset[2] for asset in made),
                flagged=sum(int(asset[3]) for asset in made),
                unchecked=sum(int(asset[5]) for asset in made),
                gpu_seconds=sum(float(asset[4]) for asset in made),
                by_asset=tuple(AssetMade(a[0], a[1], a[2], int(a[3]), float(a[4]), int(a[6])) for a in made),
                failures=tuple(FailureCause(*cause) for cause in session.execute(causes)),
                set_aside=session.scalar(aside) or 0,
                waiting=session.scalar(open_jobs) or 0,
            )

    def night_images(self, night: int, *, each: int) -> list[NightImage]:
        """At most `each` of an asset's images, flagged ones first, by project and asset."""
        wrong = (Result.FLAG.value, Result.ERROR.value)
        flagged = exists().where(FindingRow.image == Image.digest, FindingRow.result.in_(wrong))
        place = func.row_number().over(
            partition_by=(Image.project, Image.asset),
            order_by=(case((flagged, 0), else_=1), Spec.variant, Image.digest),
        )
        ranked = (
            select(Image.digest, place.label("place"))
            .join(Spec, Spec.digest == Image.digest)
            .where(Image.night == night)
            .subquery()
        )
        query = (
            select(Image.digest, Image.project, Image.asset, Spec.variant, Image.thumb_key)
            .join(ranked, ranked.c.digest == Image.digest)
            .join(Spec, Spec.digest == Image.digest)
            .where(ranked.c.place <= each)
            .order_by(Image.project, Image.asset, ranked.c.place)
        )
        with self.reading() as session:
            rows = session.execute(query).tuples().all()
            listed = self.listed([row[0] for row in rows])
            found = select(FindingRow.image, FindingRow.criterion, FindingRow.sentence).order_by(FindingRow.criterion)
            flags: dict[str, list[tuple[str, str]]] = defaultdict(list)
            for image, check, sentence in session.execute(
                found.where(FindingRow.image.in_(listed), FindingRow.result.in_(wrong))
            ):
                flags[image].append((check, sentence))
        return [NightImage(*row, tuple(flags[row[0]])) for row in rows]

    def gpu_seconds(self, *, night: int | None = None, project: str | None = None) -> float:
        """Seconds of device time spent on images that were kept."""
        query = select(func.coalesce(func.sum(Image.gpu_seconds), 0.0))
        if night is not None:
            query = query.where(Image.night == night)
        if project is not None:
            query = query.where(Image.project == project)
        with self.reading() as session:
            return float(session.scalar(query) or 0.0)

    def pace(self) -> dict[PaceKey, float]:
        """Median device seconds an image, over the newest images, by what makes one slow."""
        newest = select(Image.digest, Image.gpu_seconds).order_by(Image.made_at.desc()).limit(RECENT).subquery()
        query = select(Spec.body, newest.c.gpu_seconds).join(newest, newest.c.digest == Spec.digest)
        times: dict[PaceKey, list[float]] = {}
        with self.reading() as session:
            for body, seconds in session.execute(query):
                times.setdefault(make_pace_key(ImageSpec.model_validate(body)), []).append(seconds)
        return {key: median(seconds) for key, seconds in times.items()}

    def pin(self, alias: str, digest: str) -> str:
        """Pins an alias at its first use; returns the digest that is in force, which may be another."""
        with self.writing("pin") as session:
            self.insert(session, ModelPin, [{"alias": alias, "digest": digest, "pinned_at": now()}], skip_known=True)
            return session.scalars(select(ModelPin.digest).where(ModelPin.alias == alias)).one()

    def pins(self) -> dict[str, str]:
        """alias -> digest"""
        with self.reading() as session:
            return {pin.alias: pin.digest for pin in session.scalars(select(ModelPin))}

    def repin(self, alias: str, digest: str) -> None:
        """New weights under an old alias, on purpose. What was planned with the old ones keeps their digest."""
        with self.writing("repin") as session:
            session.merge(ModelPin(alias=alias, digest=digest, pinned_at=now()))


def _held(at: datetime) -> ColumnElement[bool]:
    return and_(Night.ended_at.is_(None), Night.held_until > at)


def as_sentence(night: Night) -> str:
    """Of a night that is running."""
    since = f"{night.started_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"night {night.id} is running since {since}, begun by {night.started_by}; it makes what is submitted now, too"
    )
