"""The ledger on comments: written once each, shown with the image and with every take that follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, and_, case, exists, func, select, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from schemas.comments import MOST_PEOPLE, MOST_UNKNOWN, Concern, NewComment, find_mentions
from schemas.errors import LedgerError
from schemas.records import Claim, Comment, CommentMark, Decision, Image, InboxEntry, Spec, Submission
from schemas.settings import CLIENT
from storage.ledger.transaction import Transactions, check_decider, list_values, now


@dataclass(frozen=True)
class Said:
    """A comment as one reader sees it."""

    id: int
    image: str
    """The image it was written on: the one that is looked at, or one that it was made from."""
    take: int
    """Of that image."""
    author: str
    text: str
    mentions: tuple[str, ...]
    unknown: tuple[str, ...]
    written_at: datetime
    unread: bool
    """By this reader; never her own."""


@dataclass(frozen=True)
class CommentCount:
    total: int
    unread: int


class Comments(Transactions):
    def comment(self, new: NewComment, *, author: str, role: str = "reviewer", people: Iterable[str] = ()) -> Said:
        """Appends a comment and marks it for whom it concerns, in one transaction; a token that came before changes
        nothing. `people`: who may be named, beside those that the ledger knows.

        Raises NotAllowed when the role does not permit it, LedgerError when there is no such image or too many people
        are named. Names that nobody has are no obstacle: they are in `Said.unknown`.
        """
        nameless = "a comment needs the name of who writes it"
        check_decider(author, role, doing="commenting", nameless=nameless, also=frozenset({CLIENT}))
        return self.together("comment", lambda session: self._write(session, new, author, role, people))

    def _write(self, session: Session, new: NewComment, author: str, role: str, people: Iterable[str]) -> Said:
        # 1. Whom it names.
        if session.get(Image, new.image) is None:
            raise LedgerError(f"there is no image {new.image}")
        named = find_mentions(new.text, [*_people(session), author, *people])
        if len(named.known) > MOST_PEOPLE:
            raise LedgerError(f"got {len(named.known)} people named in one comment; expected at most {MOST_PEOPLE}")
        # 2. The comment; the same token again finds the one that is there.
        row: dict[str, Any] = new.model_dump() | {"author": author, "role": role, "written_at": now()}
        row |= {"mentions": list(named.known), "unknown": list(named.unknown[:MOST_UNKNOWN])}
        insert = sqlite.insert if self._on_sqlite else postgresql.insert
        number = session.scalar(insert(Comment).values(row).on_conflict_do_nothing().returning(Comment.id))
        # 3. Whom it concerns: those named, then those who wrote or were named before, on this image or its ancestors.
        if number is not None:
            earlier = _participants(session, self._line([new.image]), before=number)
            concerns = dict.fromkeys(earlier, Concern.ANSWER) | dict.fromkeys(named.known, Concern.MENTION)
            concerns.pop(author, None)
            marks = [{"comment": number, "person": one, "concern": why.value} for one, why in concerns.items()]
            self.insert(session, CommentMark, marks)
        same = and_(Comment.author == author, Comment.token == new.token)
        query = select(*_COLUMNS).join(Spec, Spec.digest == Comment.image).where(same)
        return next(said for said, _ in _read(session, query, author))

    def comments(self, images: Iterable[str], *, reader: str, blind_to: str | None = None) -> dict[str, list[Said]]:
        """By image, oldest first, those on the images that it was made from included; images without any are left out.
        `blind_to`: without what others said of an image that waits for a second review, as `ImageDetails.shown_to`."""
        line = self._line(images)
        query = (
            select(*_COLUMNS, line.c.image.label("of"))
            .join(line, line.c.ancestor == Comment.image)
            .join(Spec, Spec.digest == Comment.image)
            .order_by(Comment.id)
        )
        if blind_to is not None:
            query = query.join(InboxEntry, InboxEntry.image == Comment.image).where(~is_hidden(blind_to))
        found: dict[str, list[Said]] = {}
        with self.reading() as session:
            for said, of in _read(session, query, reader):
                found.setdefault(of, []).append(said)
        return found

    def comment_counts(
        self, images: Iterable[str], *, reader: str, blind_to: str | None = None
    ) -> dict[str, CommentCount]:
        """Of these images themselves; images without any are left out."""
        query = (
            select(Comment.image, func.count(), func.sum(case((is_unread(reader), 1), else_=0)))
            .where(Comment.image.in_(self.listed(images)))
            .group_by(Comment.image)
        )
        if blind_to is not None:
            query = query.join(InboxEntry, InboxEntry.image == Comment.image).where(~is_hidden(blind_to))
        with self.reading() as session:
            return {image: CommentCount(total, int(unread)) for image, total, unread in session.execute(query)}

    def newest_comment(self) -> int:
        """The highest number of a comment so far; 0 without any."""
        with self.reading() as session:
            return session.scalar(select(func.max(Comment.id))) or 0

    def read_comments(self, reader: str, comments: Sequence[int]) -> None:
        """Marks these as read by one person; numbers that are no comment's are passed over."""
        if not comments:
            return
        at = now()
        with self.writing("read_comments") as session:
            there = select(Comment.id).where(Comment.id.in_(list(comments)), Comment.author != reader)
            marks = [
                {"comment": number, "person": reader, "concern": Concern.SEEN.value, "read_at": at}
                for number in session.scalars(there.order_by(Comment.id))
            ]
            if not marks:
                return
            insert = sqlite.insert if self._on_sqlite else postgresql.insert
            statement = insert(CommentMark)
            unread = CommentMark.read_at.is_(None)
            key = [CommentMark.comment, CommentMark.person]
            session.execute(
                statement.on_conflict_do_update(index_elements=key, set_={"read_at": at}, where=unread), marks
            )

    def people(self) -> list[str]:
        """Everybody who ever decided, sent something in, commented, or has something in hand; in alphabetical order."""
        with self.reading() as session:
            return _people(session)

    def _line(self, images: Iterable[str]) -> CTE:
        """(image, ancestor) of these images, each its own first ancestor."""
        start = select(Spec.digest.label("image"), Spec.digest.label("ancestor"), Spec.parent.label("parent"))
        line = start.where(Spec.digest.in_(self.listed(images))).cte("line", recursive=True)
        older = aliased(Spec)
        step = select(line.c.image, older.digest, older.parent).join(older, older.digest == line.c.parent)
        return line.union(step)


def is_hidden(blind_to: str) -> ColumnElement[bool]:
    """Whether a comment on an inbox entry must not be seen by this reviewer yet."""
    return and_(InboxEntry.waiting, InboxEntry.reviews_wanted > 1, Comment.author != blind_to)


def is_unread(reader: str) -> ColumnElement[bool]:
    read = exists().where(
        CommentMark.comment == Comment.id, CommentMark.person == reader, CommentMark.read_at.is_not(None)
    )
    return and_(Comment.author != reader, ~read)


_COLUMNS = (
    Comment.id,
    Comment.image,
    Spec.take,
    Comment.author,
    Comment.text,
    Comment.mentions,
    Comment.unknown,
    Comment.written_at,
)


def _read(session: Session, query: Any, reader: str) -> list[tuple[Said, str]]:
    rows = session.execute(query.add_columns(is_unread(reader).label("unread"))).all()
    return [
        (
            Said(
                id=row.id,
                image=row.image,
                take=row.take,
                author=row.author,
                text=row.text,
                mentions=tuple(row.mentions),
                unknown=tuple(row.unknown),
                written_at=row.written_at,
                unread=bool(row.unread),
            ),
            getattr(row, "of", row.image),
        )
        for row in rows
    ]


def _people(session: Session) -> list[str]:
    led = (Decision.reviewer, Comment.author, Claim.reviewer)
    found = {person for column in led for person in session.scalars(list_values(column))}
    return sorted(found | set(session.scalars(select(Submission.submitted_by).distinct())))


def _participants(session: Session, line: CTE, *, before: int) -> set[str]:
    """Who wrote before on the images of a line, or was named there."""
    earlier = select(Comment.id, Comment.author).join(line, line.c.ancestor == Comment.image).where(Comment.id < before)
    here = earlier.cte("earlier")
    named = select(CommentMark.person).join(here, here.c.id == CommentMark.comment)
    named = named.where(CommentMark.concern == Concern.MENTION.value)
    return set(session.scalars(union(select(here.c.author), named)))
