"""The ledger on playlists: images in an order, for people; how far each has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from schemas.errors import LedgerError, NotAllowed
from schemas.playlists import NewPlaylist
from schemas.records import Image, InboxEntry, Playlist, PlaylistImage
from schemas.review import Verdict
from schemas.settings import LEADS
from storage.ledger.transaction import Transactions, check_decider, now


@dataclass(frozen=True)
class PlaylistProgress:
    """A playlist and how far it has come. `by_verdict`: images by the verdict that stands; None: they wait."""

    id: int
    name: str
    people: tuple[str, ...]
    made_by: str
    made_at: datetime
    by_verdict: dict[str | None, int]

    def is_for(self, names: Collection[str]) -> bool:
        """Whether it is the work of one of these people or groups."""
        return not set(names).isdisjoint(self.people)

    @property
    def images(self) -> int:
        return sum(self.by_verdict.values())

    @property
    def waiting(self) -> int:
        return self.by_verdict.get(None, 0)


class Playlists(Transactions):
    def make_playlist(self, new: NewPlaylist, *, made_by: str, role: str = "reviewer") -> int:
        """Returns its number. Raises NotAllowed when the role does not permit it, LedgerError for an image that is not
        there."""
        check_decider(made_by, role, doing="making a playlist", nameless="a playlist needs the name of who makes it")
        with self.writing("playlist") as session:
            known = session.scalar(
                select(func.count()).select_from(Image).where(Image.digest.in_(self.listed(new.images)))
            )
            if known != len(new.images):
                raise LedgerError(f"{len(new.images) - (known or 0)} of the playlist's images do not exist")
            playlist = Playlist(name=new.name, people=list(new.people), made_by=made_by, made_at=now())
            session.add(playlist)
            session.flush()
            rows = [{"playlist": playlist.id, "place": n, "image": image} for n, image in enumerate(new.images)]
            self.insert(session, PlaylistImage, rows)
            return playlist.id

    def close_playlist(self, playlist: int, *, by: str, role: str = "reviewer") -> None:
        """Who made it closes it, or a lead. Its links open nothing any more."""
        with self.writing("close_playlist") as session:
            found = get_playlist(session, playlist)
            if found.made_by != by and role not in LEADS:
                raise NotAllowed(f"{found.name} was made by {found.made_by}; only they or a lead can close it")
            found.closed_at = found.closed_at or now()

    def playlists(self) -> list[PlaylistProgress]:
        """Those that are open, the newest first."""
        query = (
            select(Playlist, InboxEntry.verdict, func.count())
            .join(PlaylistImage, PlaylistImage.playlist == Playlist.id)
            .join(InboxEntry, InboxEntry.image == PlaylistImage.image)
            .where(Playlist.closed_at.is_(None))
            .group_by(Playlist.id, InboxEntry.verdict)
            .order_by(Playlist.id.desc())
        )
        found: dict[int, PlaylistProgress] = {}
        with self.reading() as session:
            for row, verdict, many in session.execute(query):
                given = (row.id, row.name, tuple(row.people), row.made_by, row.made_at)
                found.setdefault(row.id, PlaylistProgress(*given, {})).by_verdict[verdict] = many
        return list(found.values())

    def find_for_playlist(
        self, *, project: str | None, asset: str | None, night: int | None, state: str, limit: int
    ) -> list[str]:
        """Digests, asset by asset, the newest order's most urgent first. `state`: waiting, approved or any."""
        wanted: list[ColumnElement[bool]] = []
        if project is not None:
            wanted.append(InboxEntry.project == project)
        if asset is not None:
            wanted.append(InboxEntry.asset == asset)
        if night is not None:
            wanted.append(InboxEntry.image.in_(select(Image.digest).where(Image.night == night)))
        if state == "waiting":
            wanted.append(InboxEntry.waiting.expression)
        elif state == "approved":
            wanted.append(InboxEntry.verdict == Verdict.APPROVE.value)
        order = (InboxEntry.project, InboxEntry.asset, InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image)
        query = select(InboxEntry.image).where(InboxEntry.removed_at.is_(None), *wanted)
        with self.reading() as session:
            return list(session.scalars(query.order_by(*order).limit(limit)))

    def playlist_images(self, playlist: int) -> list[str]:
        """Digests in their order. LedgerError when there is no such playlist, or it is closed."""
        with self.reading() as session:
            get_playlist(session, playlist)
            query = select(PlaylistImage.image).where(PlaylistImage.playlist == playlist)
            return list(session.scalars(query.order_by(PlaylistImage.place)))


def get_playlist(session: Session, playlist: int) -> Playlist:
    """LedgerError when there is none that is open."""
    found = session.get(Playlist, playlist)
    if found is None or found.closed_at is not None:
        raise LedgerError(f"there is no playlist {playlist}, or it was closed")
    return found


def is_in(playlists: Sequence[int]) -> ColumnElement[bool]:
    """Whether an inbox entry is of one of these."""
    return InboxEntry.image.in_(select(PlaylistImage.image).where(PlaylistImage.playlist.in_(playlists)))


def place_in(playlists: Sequence[int]) -> ColumnElement[int]:
    """An inbox entry's place in the first of these that has it."""
    within = (PlaylistImage.image == InboxEntry.image, PlaylistImage.playlist.in_(playlists))
    return select(func.min(PlaylistImage.playlist * 10_000 + PlaylistImage.place)).where(*within).scalar_subquery()
