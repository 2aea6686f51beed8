"""The ledger on client links: made, used and revoked. The secret itself is nowhere: only its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from schemas.errors import NotAllowed
from schemas.playlists import ClientMay, NewClientLink
from schemas.records import ClientAct, ClientLink, Image, Playlist
from schemas.settings import LEADS
from storage.ledger.playlists import get_playlist
from storage.ledger.transaction import Transactions, now


@dataclass(frozen=True)
class OpenLink:
    """What who has a link's secret may do now."""

    id: int
    playlist: int
    name: str
    """Of the playlist."""
    client: str
    may: ClientMay
    made_by: str
    expires_at: datetime

    @property
    def signed(self) -> str:
        """How the ledger writes who acted by it: never the name of one of the team."""
        return f"{self.client} (client)"


@dataclass(frozen=True)
class LinkUse:
    """A link as those see it who gave it."""

    id: int
    client: str
    may: ClientMay
    made_by: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    acts: int
    last_at: datetime | None


@dataclass(frozen=True)
class LinkAct:
    """What was done by a link; `asset` is empty where it was not about one image."""

    at: datetime
    act: str
    asset: str


class ClientLinks(Transactions):
    def make_client_link(self, new: NewClientLink, *, made_by: str, role: str) -> str:
        """Returns the secret, which is shown once and kept nowhere. Raises NotAllowed for who is no lead, LedgerError
        when there is no such playlist."""
        if role not in LEADS:
            raise NotAllowed(f"{made_by} is {role}; giving a client a link takes a lead")
        secret = secrets.token_urlsafe(32)
        with self.writing("client_link") as session:
            get_playlist(session, new.playlist)
            session.add(
                ClientLink(
                    playlist=new.playlist,
                    client=new.client,
                    secret=_hash(secret),
                    may=new.may.value,
                    made_by=made_by,
                    made_at=now(),
                    expires_at=now() + timedelta(days=new.days),
                )
            )
        return secret

    def revoke_client_link(self, link: int, *, by: str, role: str) -> None:
        """At once: what is asked by it from now on is refused."""
        if role not in LEADS:
            raise NotAllowed(f"{by} is {role}; taking a client's link back takes a lead")
        with self.writing("revoke_link") as session:
            found = session.get_one(ClientLink, link)
            found.revoked_at = found.revoked_at or now()

    def open_client_link(self, secret: str) -> OpenLink | None:
        """What this secret permits now; None when it is no link's, or expired, revoked, or its playlist closed."""
        query = (
            select(ClientLink, Playlist.name)
            .join(Playlist, Playlist.id == ClientLink.playlist)
            .where(ClientLink.secret == _hash(secret), ClientLink.revoked_at.is_(None), ClientLink.expires_at > now())
            .where(Playlist.closed_at.is_(None))
        )
        with self.reading() as session:
            row = session.execute(query).first()
        if row is None:
            return None
        link, name = row
        return OpenLink(link.id, link.playlist, name, link.client, ClientMay(link.may), link.made_by, link.expires_at)

    def note_client_act(self, link: int, act: str, image: str | None = None) -> None:
        with self.writing("client_act") as session:
            session.add(ClientAct(link=link, act=act, image=image, at=now()))

    def client_links(self, playlist: int) -> list[LinkUse]:
        """The newest first, those that open nothing any more included."""
        query = (
            select(ClientLink, func.count(ClientAct.id), func.max(ClientAct.at))
            .outerjoin(ClientAct, ClientAct.link == ClientLink.id)
            .where(ClientLink.playlist == playlist)
            .group_by(ClientLink.id)
            .order_by(ClientLink.id.desc())
        )
        with self.reading() as session:
            return [
                LinkUse(
                    one.id, one.client, ClientMay(one.may), one.made_by, one.made_at, one.expires_at, one.revoked_at,
                    acts, last,
                )
                for one, acts, last in session.execute(query)
            ]  # fmt: skip

    def client_acts(self, link: int, *, limit: int = 200) -> list[LinkAct]:
        """The newest first."""
        query = (
            select(ClientAct.at, ClientAct.act, func.coalesce(Image.asset, ""))
            .outerjoin(Image, Image.digest == ClientAct.image)
            .where(ClientAct.link == link)
            .order_by(ClientAct.id.desc())
            .limit(limit)
        )
        with self.reading() as session:
            return [LinkAct(*row) for row in session.execute(query)]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
