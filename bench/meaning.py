"""Search by what images are like: how long it takes in a large library, and how well it tells.

    python -m bench.meaning [--images 100000] [--postgres] [--exact] [--keep FOLDER]
    python -m bench.meaning --quality [--pictures 168] [--steps 20] [--dtype auto] [--keep FOLDER]

The first fills a ledger (bench/million.py), gives every image two vectors around the one of its asset, and asks as the
Library does; recall is against all vectors sorted. `--exact`: PostgreSQL without pgvector's index. The second makes
pictures with the small model and asks of each how many of its ten nearest show the same object or material.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, insert, select

from bench.ledger import filled
from bench.million import ASSETS, digest
from schemas.records import ImageVector
from storage.database import open_database
from storage.ledger import Ledger
from storage.vectors import WIDTH, name_space, unpack

MODEL = "0" * 64
SPREAD = 0.7
"""Length of an image's own part beside its asset's, which has length 1."""
CLOSEST = 10


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=100_000)
    asked.add_argument("--waiting", type=int, default=1_000)
    asked.add_argument("--postgres", action="store_true", help="on PostgreSQL, started for this from its wheel")
    asked.add_argument("--exact", action="store_true", help="PostgreSQL without pgvector's index")
    asked.add_argument("--keep", type=Path, help="folder for what was made, to be used again")
    asked.add_argument("--quality", action="store_true", help="how well it tells, on pictures of the small model")
    asked.add_argument("--pictures", type=int, default=168)
    asked.add_argument("--steps", type=int, default=20)
    asked.add_argument("--dtype", default="auto", help="bfloat16 halves the time of a processor with AMX")
    given = asked.parse_args()
    if given.quality:
        from bench.alike import measure

        measure(given.pictures, given.steps, given.dtype, given.keep)
        return
    with filled(given.images, given.waiting, postgres=given.postgres, keep=given.keep) as url:
        engine = open_database(url)
        fill_vectors(engine, given.images)
        print(f"{engine.dialect.name}: {given.images:,} images, {2 * given.images:,} vectors")
        if given.postgres and not given.exact:
            began = time.perf_counter()
            why = Ledger(engine).index_vectors()
            print(f"  index made in {time.perf_counter() - began:.0f} s{'; none: ' + why if why else ''}")
        measure_search(engine, given.images)
        engine.dispose()


def fill_vectors(engine: Engine, images: int) -> None:
    """Once: pictures' and prompts'. Rows come in the order in which the images were made."""
    with engine.begin() as connection:
        if connection.scalar(select(func.count()).select_from(ImageVector)):
            return
        began = time.perf_counter()
        for kind, seed in (("picture", 1), ("prompt", 2)):
            rng = np.random.default_rng(seed)
            centers = rng.standard_normal((ASSETS, WIDTH)).astype(np.float32)
            for start in range(0, images, 10_000):
                numbers = np.arange(start, min(start + 10_000, images))
                own = rng.standard_normal((len(numbers), WIDTH)).astype(np.float32)
                kept = _pack_all(centers[numbers % ASSETS] + SPREAD * own)
                rows = [
                    {"image": digest(int(number)), "space": name_space(kind, MODEL), "vector": vector.tobytes()}
                    for number, vector in zip(numbers, kept, strict=True)
                ]
                connection.execute(insert(ImageVector), rows)
        print(f"vectors written in {time.perf_counter() - began:.0f} s", flush=True)


def _pack_all(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """As storage.vectors.pack, many at once."""
    return np.round(vectors / np.abs(vectors).max(axis=1, keepdims=True) * 127).astype(np.int8)


def measure_search(engine: Engine, images: int) -> None:
    many = [int(number) for number in np.random.default_rng(3).integers(0, images, 100)]
    asked, ledger = many[:20], Ledger(engine)
    print(f"  {'what it asks':<44}{'median ms':>10}{'best':>9}{'worst':>9}")
    times("the first of all (reads what it needs)", lambda number: ledger.nearest(digest(number)), asked[:1])
    times("the 200 nearest", lambda number: ledger.nearest(digest(number)), asked)
    times("Library: like this", lambda number: ledger.library(near=digest(number)), asked)
    blue = "#1d3557"
    times(
        "Library: like this, in a colour nobody has", lambda n: ledger.library(near=digest(n), colour=blue), asked[:3]
    )
    times("Library: beyond the words", lambda n: ledger.library_beyond_words(["golden", "key"]), asked[:3])
    truth = find_truth(engine, many)
    for most in (CLOSEST, 100):
        found = [ledger.nearest(digest(number))[:most] for number in many]
        shares = [len(set(a) & set(b[:most])) / most for a, b in zip(found, truth, strict=True)]
        print(f"  recall of the {most} nearest against all of them sorted: {np.mean(shares):.3f}")


def find_truth(engine: Engine, asked: list[int]) -> list[list[str]]:
    with engine.connect() as connection:
        columns = ImageVector.__table__.c
        query = select(columns.image, columns.vector).where(columns.space == name_space("picture", MODEL))
        rows = connection.execute(query.order_by(columns.id)).all()
    images, vectors = [row[0] for row in rows], unpack([row[1] for row in rows])
    place = {image: number for number, image in enumerate(images)}
    return [
        [images[n] for n in np.argsort(-(vectors @ vectors[place[digest(number)]]), kind="stable")[:100]]
        for number in asked
    ]


def times(what: str, act: Callable[[int], object], asked: list[int]) -> None:
    taken = []
    for number in asked:
        began = time.perf_counter()
        act(number)
        taken.append(1000 * (time.perf_counter() - began))
    print(f"  {what:<44}{statistics.median(taken):>10.1f}{min(taken):>9.1f}{max(taken):>9.1f}", flush=True)


if __name__ == "__main__":
    main()
