"""The ledger as a library: images found again by words, newest first, by likeness, and beyond words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, and_, not_, or_, select
from sqlalchemy.orm import Session

from schemas.likeness import distance
from schemas.records import Decision, Image, InboxEntry, Spec
from schemas.review import Verdict
from storage.ledger import colours
from storage.ledger.meaning import Meaning

LOOKED = 50_000
"""Newest images that one search goes through; what is older is found by narrowing to a project."""

NEAR = 30.0
"""CIE76 up to which a colour is taken for the one that is asked for; 2 is just seen, 100 is black from white."""

FIRST = 250
"""Images looked at first; ten times as many each time after, while too few were found."""

REACHES = (200, 10_000)
"""Nearest images that are looked at: the second many where filters leave too few of the first."""

EXAMPLES = 50
"""Images with the words of a search, which show together what the words mean."""


@dataclass(frozen=True)
class LibraryPage:
    """An image of the library."""

    image: str
    project: str
    asset: str
    variant: str
    thumb_key: str
    verdict: str | None
    """Of the decision that stands."""
    phash: str | None
    made_at: datetime


class Library(Meaning):
    def library(
        self,
        words: Sequence[str] = (),
        *,
        project: str | None = None,
        approved: bool = True,
        like: str | None = None,
        near: str | None = None,
        colour: str | None = None,
        limit: int = 120,
        near_vector: tuple[str, NDArray[np.float32]] | None = None,
    ) -> list[LibraryPage]:
        """Images that have every word in asset, variant or prompt, newest first (approved ones: newest approval first);
        with `like` (a perceptual hash) the most alike first, with `colour` ("#rrggbb") those that have it or come near.
        Among the newest LOOKED. With `near` (an image that has a vector) those that are most like it to the model that
        made it or the studio's for searching, however old, that one among them; with `near_vector` (a space and a
        vector of it) those that are most like that.

        The order comes from an index and the rest by key, in two statements: in one, a planner that takes the standing
        decision for a rare thing reads everything before it sorts.
        """
        wanted: list[ColumnElement[bool]] = [InboxEntry.verdict == Verdict.APPROVE.value] if approved else []
        wanted += [_has_word(word) for word in words]
        if near is not None or near_vector is not None:
            wanted += [Image.project == project] if project is not None else []
            nearest = partial(self.nearest, near) if near else partial(self.nearest_to_vector, *near_vector or ())
            return self._among(nearest, wanted, colour=colour, limit=limit)
        found: list[LibraryPage] = []
        distances: dict[str, float] = {}
        with self.reading() as session:
            for images in _newest(session, project, approved=approved):
                if like is None and colour is None:
                    found += self._found(session, images, wanted)
                    if len(found) >= limit:
                        break
                    continue
                query = _pictures(Image.digest, Image.phash, Image.colours, worded=bool(words))
                query = query.where(Image.digest.in_(self.listed(images)), *wanted)
                query = query.where((Image.phash if like is not None else Image.colours).is_not(None))
                rows = session.execute(query).tuples().all()
                away = [0.0] * len(rows)
                if colour is not None:
                    away = colours.measure_distances(colour, [said or "" for *_, said in rows]).tolist()
                for (image, phash, _), one in zip(rows, away, strict=True):
                    if one <= NEAR:
                        distances[image] = one if like is None else distance(phash or "", like)
            if like is not None or colour is not None:  # the newer one where two are equally alike
                rank = {image: n for n, image in enumerate(distances)}
                closest = nsmallest(limit, distances, key=lambda image: (distances[image], rank[image]))
                found = self._found(session, closest, [])
        return found[:limit]

    def library_of(self, images: Sequence[str]) -> list[LibraryPage]:
        """These images, in this order, whatever was decided about them."""
        with self.reading() as session:
            return self._found(session, images, [])

    def library_by_meaning(
        self,
        words: Sequence[str],
        space: str,
        vector: NDArray[np.float32],
        *,
        project: str | None = None,
        approved: bool = True,
        colour: str | None = None,
        limit: int = 120,
    ) -> list[LibraryPage]:
        """Images without the words whose pictures are nearest to what the words mean to the model of `space`."""
        wanted: list[ColumnElement[bool]] = [not_(and_(*(_has_word(word) for word in words)))]
        wanted += [InboxEntry.verdict == Verdict.APPROVE.value] if approved else []
        wanted += [Image.project == project] if project is not None else []
        return self._among(partial(self.nearest_to_vector, space, vector), wanted, colour=colour, limit=limit)

    def library_beyond_words(
        self,
        words: Sequence[str],
        *,
        project: str | None = None,
        approved: bool = True,
        colour: str | None = None,
        limit: int = 120,
    ) -> list[LibraryPage]:
        """Images without the words that are most like those with them, nearest first; none where no image has the
        words. Nothing that knows a language is here to be asked: what the models made of the words is."""
        examples = [one.image for one in self.library(words, approved=False, limit=EXAMPLES)]
        wanted: list[ColumnElement[bool]] = [not_(and_(*(_has_word(word) for word in words)))]
        wanted += [InboxEntry.verdict == Verdict.APPROVE.value] if approved else []
        wanted += [Image.project == project] if project is not None else []
        nearest = partial(self.nearest_to_all, examples)
        return self._among(nearest, wanted, colour=colour, limit=limit, reaches=(500,))

    def _among(
        self,
        nearest: Callable[..., list[str]],
        wanted: list[ColumnElement[bool]],
        *,
        colour: str | None,
        limit: int,
        reaches: Sequence[int] = REACHES,
    ) -> list[LibraryPage]:
        """The first of the nearest images that are `wanted` and have the colour."""
        found: list[LibraryPage] = []
        for reach in reaches:
            images = nearest(most=reach)
            with self.reading() as session:
                kept = images
                if colour is not None:
                    query = select(Image.digest, Image.colours).where(Image.digest.in_(self.listed(images)))
                    rows = {image: said or "" for image, said in session.execute(query).tuples()}
                    away = dict(zip(rows, colours.measure_distances(colour, list(rows.values())), strict=True))
                    kept = [image for image in images if away[image] <= NEAR]
                found = self._found(session, kept, wanted)[:limit]
            if len(found) == limit or len(images) < reach:
                break
        return found

    def _found(self, session: Session, images: Sequence[str], wanted: list[ColumnElement[bool]]) -> list[LibraryPage]:
        """In the order of `images`."""
        columns = (
            Image.digest,
            Image.project,
            Image.asset,
            Spec.variant,
            Image.thumb_key,
            InboxEntry.verdict,
            Image.phash,
            Image.made_at,
        )
        query = _pictures(*columns).where(Image.digest.in_(self.listed(images)), *wanted)
        rows = {row[0]: LibraryPage(*row) for row in session.execute(query)}
        return [rows[image] for image in images if image in rows]


SPELLINGS = (
    ("grey", "gray"), ("colour", "color"), ("armour", "armor"), ("centre", "center"), ("mould", "mold"),
    ("jewell", "jewel"), ("fibre", "fiber"), ("sceptre", "scepter"), ("axe", "ax"), ("plough", "plow"),
)  # fmt: skip
"""British and American."""


def list_word_forms(word: str) -> list[str]:
    """A word in the ways in which people write it: its singular (which a plural contains) and the other spelling."""
    forms = [word]
    low = word.lower()
    if len(low) > 3 and low.endswith("s") and not low.endswith("ss"):
        forms.append(word[:-1])
        if low.endswith("ies"):
            forms.append(word[:-3] + "y")
        elif low.endswith(("xes", "shes", "ches", "sses", "zes")):
            forms.append(word[:-2])
        elif low.endswith("ves"):
            forms += [word[:-3] + "f", word[:-3] + "fe"]
    elif len(low) > 3 and low.endswith("y"):
        forms.append(word[:-1] + "ies")
    for pair in SPELLINGS:
        for one, other in (pair, pair[::-1]):
            forms += [form.lower().replace(one, other) for form in list(forms) if one in form.lower()]
    return list(dict.fromkeys(forms))


def _has_word(word: str) -> ColumnElement[bool]:
    places = (Spec.asset, Spec.variant, Spec.body["prompt"].as_string())
    return or_(*(place.icontains(form, autoescape=True) for place in places for form in list_word_forms(word)))


def _newest(session: Session, project: str | None, *, approved: bool) -> Iterator[list[str]]:
    """Images, newest first; of approvals a few that do not stand any more are among them."""
    if approved:
        query = select(Decision.image).order_by(Decision.decided_at.desc(), Decision.id.desc())
        query = query.where(
            Decision.verdict == Verdict.APPROVE.value if project is None else Decision.project == project
        )
    else:
        query = select(Image.digest).order_by(Image.made_at.desc())
        query = query if project is None else query.where(Image.project == project)
    seen: set[str] = set()
    past, size = 0, FIRST
    while past < LOOKED and (rows := session.scalars(query.offset(past).limit(min(size, LOOKED - past))).all()):
        yield [image for image in dict.fromkeys(rows) if image not in seen]
        seen.update(rows)
        past, size = past + len(rows), min(size * 10, 10_000)


def _pictures(*columns: Any, worded: bool = True) -> Select[Any]:
    query = select(*columns).select_from(Image).join(InboxEntry, InboxEntry.image == Image.digest)
    return query.join(Spec, Spec.digest == Image.digest) if worded else query
