"""The ledger on what images are like: the nearest of an image, of what several have in common, and of words.

PostgreSQL with pgvector's index answers by itself; everywhere else the vectors of a space are held in memory, read once
and then only what is new, and compared exactly. Both give images with the nearest first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Engine, cast, exists, func, select
from sqlalchemy.orm import Session

from schemas.likeness import PICTURE, PROMPT, SEARCH
from schemas.records import Image, ImageVector
from storage import pgvector
from storage.ledger.transaction import Transactions
from storage.vectors import VectorTable, unpack

log = logging.getLogger(__name__)

AGAIN = 1_000
"""Rows read once more when new ones are looked for: transactions end in another order than their rows were numbered."""


class Meaning(Transactions):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._tables: dict[str, VectorTable] = {}
        self._guard = threading.Lock()

    def index_vectors(self) -> str:
        """Makes PostgreSQL's index where it is missing; why there is none, or nothing. It costs minutes where a million
        vectors are there already, and seconds else."""
        why = "" if self._on_sqlite else pgvector.make_index(self.engine)
        if why:
            log.info("likeness is searched exactly, in memory: %s", why)
        return why

    def has_vector(self, image: str) -> bool:
        """Whether there is one of the picture, of whatever model."""
        return bool(self.vector_kind(image))

    def vector_kind(self, image: str) -> str:
        """SEARCH where the studio's model for searching saw it, PICTURE where only the model that made it did, else
        nothing."""
        with self.reading() as session:
            return next((kind for kind in (SEARCH, PICTURE) if self._of_kind(session, [image], kind)), "")

    def nearest(self, image: str, *, most: int = 200) -> list[str]:
        """Images that are most like `image` to the studio's model for searching, else to the model that made it,
        nearest first, itself among them; empty where it has no vector."""
        with self.reading() as session:
            for kind in (SEARCH, PICTURE):
                if found := self._of_kind(session, [image], kind):
                    return self._nearest(session, *found, most)
        return []

    def nearest_to_vector(self, space: str, vector: NDArray[np.float32], *, most: int = 200) -> list[str]:
        """Images of a space whose vectors are at the smallest angles to `vector` [width], nearest first."""
        unit = np.asarray(vector, np.float32) / max(float(np.linalg.norm(vector)), 1e-9)
        with self.reading() as session:
            return self._nearest(session, space, unit, most)

    def count_without_vector(self, space: str) -> int:
        with self.reading() as session:
            count = select(func.count()).select_from(Image).where(~_in_space(space))
            return session.scalar(count) or 0

    def images_without_vector(self, space: str, *, after: str = "", limit: int) -> list[Image]:
        """Images that have none in this space, by digest, from behind `after`."""
        query = select(Image).where(~_in_space(space), Image.digest > after).order_by(Image.digest).limit(limit)
        with self.reading() as session:
            return list(session.scalars(query))

    def add_vectors(self, space: str, vectors: Mapping[str, bytes]) -> None:
        """By image, as storage/vectors.py packs them; one that is there stays."""
        rows = [{"image": image, "space": space, "vector": vector} for image, vector in vectors.items()]
        with self.writing("vectors") as session:
            self.insert(session, ImageVector, rows, skip_known=True)

    def nearest_to_all(self, images: Sequence[str], *, most: int = 200) -> list[str]:
        """Images that are most like what `images` have in common, nearest first, to the studio's model for searching,
        else to the model that made most of them: by what it saw, or by their prompts where it showed nothing."""
        with self.reading() as session:
            for kind in (SEARCH, PICTURE, PROMPT):
                if found := self._of_kind(session, images, kind):
                    return self._nearest(session, *found, most)
        return []

    def _of_kind(self, session: Session, images: Sequence[str], kind: str) -> tuple[str, NDArray[np.float32]] | None:
        """The space that most of the images have a vector in (the newest where several do), and their mean direction
        [width] there."""
        query = select(ImageVector.space, ImageVector.vector).where(
            ImageVector.image.in_(self.listed(images)), ImageVector.space.startswith(f"{kind} ")
        )
        query = query.order_by(ImageVector.id.desc())
        rows = session.execute(query).tuples().all()
        if not rows:
            return None
        space = Counter(space for space, _ in rows).most_common(1)[0][0]
        mean = unpack([vector for own, vector in rows if own == space]).mean(axis=0)
        return space, mean / max(float(np.linalg.norm(mean)), 1e-9)

    def _nearest(self, session: Session, space: str, vector: NDArray[np.float32], most: int) -> list[str]:
        if not self._on_sqlite and space.startswith(f"{PICTURE} ") and pgvector.has_index(session):
            numbers = pgvector.find_nearest(session, space, vector, most)
        else:
            with self._guard:
                numbers = self._table(session, space).find_nearest(vector, most)
        listed = self.listed(map(str, numbers)).subquery()
        wanted = select(cast(listed.c[0], BigInteger))
        query = select(ImageVector.id, ImageVector.image).where(ImageVector.id.in_(wanted))
        images = dict(session.execute(query).tuples().all())
        return [images[number] for number in numbers]

    def _table(self, session: Session, space: str) -> VectorTable:
        """Brought up to date."""
        table = self._tables.setdefault(space, VectorTable())
        began, before = time.perf_counter(), len(table)
        columns = ImageVector.__table__.c
        query = select(columns.id, columns.vector).where(columns.space == space, columns.id > table.last - AGAIN)
        rows = session.connection().execute(query.order_by(columns.id).execution_options(yield_per=10_000))
        for part in rows.partitions():
            table.add([row[0] for row in part], [row[1] for row in part])
        if len(table) - before > 100_000:
            log.info("%d vectors of %s read in %.1f s", len(table) - before, space, time.perf_counter() - began)
        return table


def _in_space(space: str) -> ColumnElement[bool]:
    return exists().where(ImageVector.image == Image.digest, ImageVector.space == space)
