"""The ledger on what comments are to one person: a feed, unread marks, and mentions of which nobody was told yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Select, and_, exists, func, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, aliased

from schemas.comments import Concern
from schemas.records import Comment, CommentMark, Image, InboxEntry, Spec
from storage.ledger.comments import is_hidden
from storage.ledger.transaction import Transactions, now

Channel = Literal["webhook", "mail"]
TOLD: dict[Channel, InstrumentedAttribute[datetime | None]] = {
    "webhook": CommentMark.told_at,
    "mail": CommentMark.mailed_at,
}
"""When somebody was told by it."""
DAYS = 1
"""A mention of which nobody was told for so long is in the feed, and no news any more."""


@dataclass(frozen=True)
class FeedEntry:
    """A comment that is for one person, with the image it is about."""

    comment: int
    image: str
    project: str
    asset: str
    variant: str
    take: int
    thumb_key: str
    waiting: bool
    """The image, for a decision."""
    author: str
    text: str
    written_at: datetime
    concern: Concern
    unread: bool


@dataclass(frozen=True)
class Mention:
    """Somebody was named, and has neither read it nor been told."""

    comment: int
    person: str
    author: str
    text: str
    image: str
    project: str
    asset: str
    variant: str
    hidden: bool
    """The image waits for a second review: what is said of it is not for everybody."""


class MentionsAndAnswers(Transactions):
    def feed(
        self, person: str, *, blind_to: str | None = None, before: int | None = None, limit: int = 30
    ) -> list[FeedEntry]:
        """Mentions and answers, newest first. `before`: number of the last comment of the page before. `blind_to`:
        without what she must not see yet."""
        columns: tuple[Any, ...] = (
            Comment.id,
            Comment.image,
            Image.project,
            Image.asset,
            Spec.variant,
            Spec.take,
            Image.thumb_key,
            InboxEntry.waiting,
            Comment.author,
            Comment.text,
            Comment.written_at,
            CommentMark.concern,
            CommentMark.read_at,
        )
        query = _addressed(select(*columns), person, blind_to)
        query = query.join(Image, Image.digest == Comment.image).join(Spec, Spec.digest == Comment.image)
        if before is not None:
            query = query.where(CommentMark.comment < before)
        with self.reading() as session:
            rows = session.execute(query.order_by(CommentMark.comment.desc()).limit(limit)).all()
        return [FeedEntry(*[*row[:-2], Concern(row[-2]), row[-1] is None]) for row in rows]

    def unread_count(self, person: str, *, blind_to: str | None = None) -> int:
        """Mentions and answers that she has not read."""
        query = _addressed(select(func.count()), person, blind_to).where(CommentMark.read_at.is_(None))
        with self.reading() as session:
            return session.scalar(query) or 0

    def read_feed(self, person: str, *, blind_to: str | None = None) -> None:
        """Marks all that the feed shows her as read."""
        unread = _addressed(select(CommentMark.comment), person, blind_to).where(CommentMark.read_at.is_(None))
        with self.writing("read_feed") as session:
            mark = update(CommentMark).where(CommentMark.person == person, CommentMark.comment.in_(unread))
            session.execute(mark.values(read_at=now()), execution_options={"synchronize_session": False})

    def claim_untold(self, channel: Channel, *, quiet_seconds: float) -> list[Mention]:
        """Unread mentions of which this channel did not tell, once the first of them is that old; they count as told
        from now on, so that several processes do not tell of one. By comment and person."""
        at, told = now(), TOLD[channel]
        untold = (told.is_(None), CommentMark.concern == Concern.MENTION.value)
        recent = Comment.written_at >= at - timedelta(days=DAYS)
        due = (Comment.id == CommentMark.comment, recent, Comment.written_at <= at - timedelta(seconds=quiet_seconds))
        with self.reading() as session:
            if not session.scalar(select(exists().where(*untold, CommentMark.read_at.is_(None), *due))):
                return []
        with self.writing("claim_untold") as session:
            claimed = update(CommentMark).where(*untold).values({told: at})
            rows = session.execute(
                claimed.returning(CommentMark.comment, CommentMark.person, CommentMark.read_at)
            ).all()
            unread = {(row.comment, row.person) for row in rows if row.read_at is None}
            return self._mentions(session, unread, since=at - timedelta(days=DAYS))

    def _mentions(self, session: Any, claimed: set[tuple[int, str]], *, since: datetime) -> list[Mention]:
        mark = aliased(CommentMark)
        hidden = and_(InboxEntry.waiting, InboxEntry.reviews_wanted > 1)
        query = (
            select(
                Comment.id,
                mark.person,
                Comment.author,
                Comment.text,
                Comment.image,
                Image.project,
                Image.asset,
                Spec.variant,
                hidden,
            )
            .join(mark, mark.comment == Comment.id)
            .join(Image, Image.digest == Comment.image)
            .join(Spec, Spec.digest == Comment.image)
            .join(InboxEntry, InboxEntry.image == Comment.image)
            .where(Comment.id.in_({comment for comment, _ in claimed}), Comment.written_at >= since)
            .order_by(Comment.id, mark.person)
        )
        rows = session.execute(query).all()
        return [Mention(*[*row[:-1], bool(row[-1])]) for row in rows if (row[0], row[1]) in claimed]

    def release_untold(self, channel: Channel, mentions: Sequence[Mention]) -> None:
        """The channel could not tell of these; they are tried again."""
        keys = [(mention.comment, mention.person) for mention in mentions]
        with self.writing("release_untold") as session:
            for start in range(0, len(keys), 400):
                of = tuple_(CommentMark.comment, CommentMark.person).in_(keys[start : start + 400])
                session.execute(update(CommentMark).where(of).values({TOLD[channel]: None}))


def _addressed(query: Select[Any], person: str, blind_to: str | None) -> Select[Any]:
    """Of the marks, those of comments that are for this person."""
    query = (
        query.select_from(CommentMark)
        .join(Comment, Comment.id == CommentMark.comment)
        .join(InboxEntry, InboxEntry.image == Comment.image)
        .where(CommentMark.person == person, CommentMark.concern != Concern.SEEN.value)
    )
    return query if blind_to is None else query.where(~is_hidden(blind_to))
