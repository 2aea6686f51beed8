"""The ledger at a million images: how long its questions take, on SQLite and (--postgres) on PostgreSQL.

    python -m bench.ledger [--images 1000000] [--waiting 10000] [--postgres] [--keep-database FILE]

Builds a ledger by bulk inserts, then times the real methods of `Ledger`: the median of some calls, each with other
arguments, the best of them, this process's CPU time, and what is asked for beside it. On a machine that does other
work the best and the CPU time say more than the median.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert, text

from schemas.records import Decision, FindingRow, Image, InboxEntry, Job, Order, Spec, Submission
from schemas.review import Choice, Criterion, Verdict
from schemas.spec import ImageSpec, ModelRef
from storage.database import WRITES, migrate, open_database
from storage.ledger import Ledger
from storage.transaction import chunks

ASSETS, PROJECTS = 2_000, 8
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=1_000_000)
    asked.add_argument("--waiting", type=int, default=10_000)
    asked.add_argument("--postgres", action="store_true", help="on PostgreSQL, started for this from its wheel")
    asked.add_argument("--keep-database", type=Path, help="SQLite file to build, or to use again when it is there")
    given = asked.parse_args()
    with _database(given.postgres, given.keep_database) as url:
        engine = open_database(url)
        migrate(engine)
        ledger = Ledger(engine)
        print(f"{engine.dialect.name}: {given.images:,} images, {given.waiting:,} of them waiting")
        if not ledger.nights(1):
            began = time.perf_counter()
            build(engine, given.images, given.waiting)
            if engine.dialect.name == "postgresql":
                with engine.begin() as connection:
                    connection.execute(text("SELECT setval('decisions_id_seq', (SELECT max(id) FROM decisions))"))
            ledger.bring_statistics_up_to_date()
            ledger.start_night("bench.ledger")
            print(f"  built in {time.perf_counter() - began:.0f} s")
        measure(ledger, given.images)
        engine.dispose()


def measure(ledger: Ledger, images: int) -> None:
    page = ledger.inbox(limit=20)
    middle = ledger.inbox(limit=5_000)[-1]
    _row("inbox page", lambda n: ledger.inbox(limit=20), times=20, allowed=20)
    _row("inbox page of a reviewer", lambda n: ledger.inbox(limit=20, reviewer=f"r{n}"), times=20, allowed=20)
    _row("inbox page, far down", lambda n: ledger.inbox(limit=20, after=middle.digest), times=20, allowed=20)
    _row("inbox page of a project", lambda n: ledger.inbox(project=f"project {n % PROJECTS}"), times=20, allowed=20)
    _row(
        "inbox page of an asset",
        lambda n: ledger.inbox(project=page[n].project, asset=page[n].asset),
        times=20,
        allowed=20,
    )
    _row("inbox page, flagged text", lambda n: ledger.inbox(check=Criterion.TEXT), times=10, allowed=20)
    _row("inbox page, a rare flag", lambda n: ledger.inbox(check=Criterion.BRAND), times=10, allowed=20)
    _row("inbox counts", lambda n: ledger.inbox_counts(), times=5, allowed=20)
    _row("picture", lambda n: ledger.picture(page[n].digest), times=20, allowed=20)
    _row("contact sheet", lambda n: ledger.contact_sheet(page[n].project, page[n].asset), times=5)
    _row("audit trail, a page", lambda n: ledger.decisions(limit=200), times=5)
    _row("audit trail of an image", lambda n: ledger.decisions(image=_digest(n)), times=5)
    _row("assets of a project", lambda n: ledger.assets(f"project {n % PROJECTS}"), times=3)
    _row("awaiting retake", lambda n: ledger.awaiting_retake(), times=3)
    _row("waiting for the night", lambda n: ledger.waiting(), times=3)
    _row("pace", lambda n: ledger.pace(), times=3)
    asked = [_digest(n) if n % 2 else hashlib.sha256(str(n).encode()).hexdigest() for n in range(100_000)]
    _row("known: 100,000 digests", lambda n: ledger.known(asked), times=2, allowed=5_000)
    _row("decide", lambda n: _decide(ledger, page[n].digest), times=20)
    specs = [_spec(images + n) for n in range(20_000)]
    began = time.perf_counter()
    ledger.plan(None, specs, priority=0, due=None, submitted_by="bench")
    print(f"  {'plan, specs a second':<28}{len(specs) / (time.perf_counter() - began):>12,.0f}")
    _row(
        "claim a batch of 8",
        lambda n: ledger.claim([s.digest for s in specs[n * 8 :][:8]], worker="w", seconds=60),
        times=20,
    )
    _row("waiting, 20,000 of them", lambda n: ledger.waiting(), times=2)
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def _row(name: str, act: Callable[[int], object], *, times: int, allowed: float | None = None) -> None:
    taken, busy = [], []
    for n in range(times):
        began, cpu = time.perf_counter(), time.process_time()
        act(n)
        taken.append((time.perf_counter() - began) * 1000)
        busy.append((time.process_time() - cpu) * 1000)
    wanted = f"   allowed {allowed:,.0f}" if allowed else ""
    median = statistics.median
    print(
        f"  {name:<28}{median(taken):>9.1f} ms   best {min(taken):>8.1f}   cpu {median(busy):>8.1f}{wanted}", flush=True
    )


def _decide(ledger: Ledger, digest: str) -> None:
    ledger.decide(Choice(image=digest, revision=0, verdict=Verdict.APPROVE), reviewer="bench")


@contextlib.contextmanager
def _database(postgres: bool, kept: Path | None) -> Iterator[str]:
    if postgres:
        from tests.servers import postgres as started

        with started() as url:
            yield url
    elif kept is not None:
        yield f"sqlite:///{kept.resolve()}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/dailies.db"


def _digest(n: int) -> str:
    return hashlib.sha256(n.to_bytes(8)).hexdigest()


def _spec(n: int) -> ImageSpec:
    return ImageSpec(
        project=f"project {n % PROJECTS}",
        asset=f"asset {n % ASSETS}",
        variant=f"v{n // ASSETS}",
        prompt="a red potion in a round glass bottle, game icon",
        seed=n,
        width=1024,
        height=1024,
        num_inference_steps=30,
        guidance_scale=5.0,
        model=ModelRef(alias="sdxl", digest="0" * 64),
    )


def build(engine: Engine, images: int, waiting: int) -> None:
    """Rows as the ledger would have written them, all decided but the newest `waiting`."""
    manifest = {"project": "project 0", "brand": {}, "review": {}}
    body = _spec(0).model_dump(mode="json", exclude_defaults=True) | {"engine_version": 1}
    keys = (_spec(0).batch_key, _spec(0).affinity_key)
    writing = engine.execution_options(**{WRITES: True})
    with writing.begin() as connection:
        sent = {
            "digest": "f" * 64,
            "name": "bench.yaml",
            "project": "project 0",
            "object_key": "manifests/x",
            "files": {},
        }
        sent |= {"body": manifest, "priority": 0, "submitted_by": "bench", "submitted_at": START, "planned_at": START}
        connection.execute(insert(Submission), [sent])
    # In the order of their digests, so that trees grow at their ends; which of them wait has nothing to do with that.
    for chunk in chunks(enumerate(sorted(range(images), key=_digest)), 20_000):
        rows: dict[Any, list[dict[str, Any]]] = {
            table: [] for table in (Spec, Order, Job, Image, FindingRow, Decision, InboxEntry)
        }
        for position, n in chunk:
            _one(rows, n, position, body | {"seed": n}, keys, waits=n >= images - waiting)
        with writing.begin() as connection:
            for table, values in rows.items():
                _fill(connection, table.__table__, values)


def _fill(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    with driver.cursor().copy(f"COPY {table.name} ({', '.join(rows[0])}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([json.dumps(v) if isinstance(v, (dict, list)) else v for v in row.values()])


def _one(
    rows: dict[Any, list[dict[str, Any]]],
    n: int,
    position: int,
    body: dict[str, Any],
    keys: tuple[str, str],
    *,
    waits: bool,
) -> None:
    digest, at = _digest(n), START + timedelta(seconds=position)
    project, asset = f"project {n % PROJECTS}", f"asset {n % ASSETS}"
    named = {"project": project, "asset": asset}
    rows[Spec].append(
        named
        | {
            "digest": digest,
            "body": body | named,
            "variant": f"v{n // ASSETS}",
            "tier": "final",
            "parent": None,
            "take": 1,
        }
        | {"batch_key": keys[0], "affinity_key": keys[1], "priority": 0, "submitted_by": "bench", "planned_at": at}
        | {"due": datetime(9999, 12, 31).date()}
    )
    rows[Order].append({"submission": "f" * 64, "spec": digest})
    rows[Job].append({"spec": digest, "attempts": 1, "failures": 0, "done_at": at})
    rows[Image].append(
        named
        | {
            "digest": digest,
            "sha256": digest,
            "object_key": f"images/{digest[:2]}/{digest}.png",
            "media_type": "image/png",
        }
        | {"preview_key": f"previews/{digest[:2]}/{digest}.webp", "thumb_key": f"thumbs/{digest[:2]}/{digest}.webp"}
        | {
            "bytes": 1_500_000,
            "width": 1024,
            "height": 1024,
            "conditions": [],
            "models": {},
            "versions": {},
            "batch": {},
        }
        | {"device": "cuda", "dtype": "bfloat16", "timings": {}, "gpu_seconds": 0.9, "worker": "w", "made_at": at}
        | {"phash": digest[:16], "night": None, "flow_run": None}
    )
    for criterion in Criterion:
        often = criterion is Criterion.TEXT and n % 7 == 0
        rarely = criterion is Criterion.BRAND and n % 4_999 == 0
        if criterion in (Criterion.HANDS, Criterion.TEXT, Criterion.BRAND):
            rows[FindingRow].append(
                {"image": digest, "criterion": criterion.value, "result": "flag" if often or rarely else "pass"}
                | {"score": 0.0, "sentence": "looked", "regions": [], "data": {}}
            )
    if not waits:
        verdict = "reject" if n % 10 == 0 else "approve"
        rows[Decision].append(
            {"id": n + 1, "image": digest, "revision": 1, "verdict": verdict, "marks": {}, "reasons": [], "regions": []}
            | {
                "note": "",
                "changes": None,
                "reviewer": f"r{n % 20}",
                "role": "reviewer",
                "seconds": 2.0,
                "decided_at": at,
            }
        )
    rows[InboxEntry].append(
        named
        | {"flags": (" text " if n % 7 == 0 else "") + (" brand " if n % 4_999 == 0 else "")}
        | {"image": digest, "rank": n % 3, "criteria": ["hands", "text", "brand"], "reviews_wanted": 1, "queued_at": at}
        | {"waiting": waits, "decision": None if waits else n + 1, "revision": 0 if waits else 1}
    )


if __name__ == "__main__":
    main()
