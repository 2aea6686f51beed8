"""The ledger at a million images: how long every question takes that a page of the review app asks.

    python -m bench.ledger [--images 1000000] [--waiting 10000] [--postgres] [--keep FOLDER]

Fills a ledger (bench/million.py), then calls the real methods of `Ledger` as the pages do: the median of some calls,
the worst, the best, and what is allowed. `--keep` leaves the filled database in a folder and uses it again. On a
machine that does other work the best says more than the median.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.million import REVIEWERS, digest, fill
from schemas.review import Choice, Criterion, Verdict
from storage.database import migrate, open_database
from storage.ledger import Ledger

BIG, SMALL = "project 0", "project 3"
"""Half of all images, and a fourteenth."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=1_000_000)
    asked.add_argument("--waiting", type=int, default=10_000)
    asked.add_argument("--postgres", action="store_true", help="on PostgreSQL, started for this from its wheel")
    asked.add_argument("--keep", type=Path, help="folder for the filled database, to be used again")
    given = asked.parse_args()
    with filled(given.images, given.waiting, postgres=given.postgres, keep=given.keep) as url:
        engine = open_database(url)
        print(f"{engine.dialect.name}: {given.images:,} images, {given.waiting:,} of them waiting")
        print(f"  {'page':<12}{'what it asks':<34}{'median ms':>10}{'best':>9}{'worst':>9}{'allowed':>9}")
        measure(Ledger(engine), given.images)
        engine.dispose()


@contextlib.contextmanager
def filled(images: int, waiting: int, *, postgres: bool, keep: Path | None) -> Iterator[str]:
    """The URL of a ledger with that many images, filled now or before."""
    with contextlib.ExitStack() as stack:
        name = f"{'postgres' if postgres else 'sqlite'}-{images}-{waiting}"
        folder = (keep.resolve() if keep else Path(stack.enter_context(tempfile.TemporaryDirectory()))) / name
        folder.mkdir(parents=True, exist_ok=True)
        if postgres:
            from tests.servers import postgres as started

            url = stack.enter_context(started(folder=folder))
        else:
            url = f"sqlite:///{folder}/dailies.db"
        engine = open_database(url)
        migrate(engine)
        if not Ledger(engine).nights(1):
            began = time.perf_counter()
            fill(engine, images, waiting)
            print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        engine.dispose()
        yield url


def measure(ledger: Ledger, images: int) -> None:
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    page = ledger.inbox(limit=40)
    middle = ledger.inbox(limit=5_000)[-1]
    night = ledger.nights(1)[0].id
    known = digest(images // 2)
    far = ledger.decisions(project=SMALL, limit=5_000)[-1].decision.id
    asset = ledger.picture(known).image.asset

    def times(where: str, name: str, act: Callable[[int], object], *, often: int = 5, allowed: float = 1000) -> None:
        taken = []
        for n in range(often):
            began = time.perf_counter()
            act(n)
            taken.append((time.perf_counter() - began) * 1000)
        said = f"{statistics.median(taken):>10.1f}{min(taken):>9.1f}{max(taken):>9.1f}{allowed:>9,.0f}"
        print(f"  {where:<12}{name:<34}{said}{'  OVER' if min(taken) > allowed else ''}", flush=True)

    fast: dict[str, Any] = {"often": 20, "allowed": 20.0}
    times("Inbox", "what waits, for a reviewer", lambda n: ledger.inbox(limit=40, reviewer=f"r{n}"), **fast)
    times("Inbox", "far down", lambda n: ledger.inbox(limit=40, after=middle.digest), **fast)
    times("Inbox", "of a project", lambda n: ledger.inbox(project=SMALL, limit=40), **fast)
    times("Inbox", "of an asset", lambda n: ledger.inbox(project=page[n].project, asset=page[n].asset), **fast)
    times("Inbox", "flagged by a check", lambda n: ledger.inbox(check=Criterion.TEXT, limit=40), **fast)
    times("Inbox", "flagged, a rare one", lambda n: ledger.inbox(check=Criterion.BRAND, limit=40), **fast)
    times("Inbox", "counts", lambda n: ledger.inbox_counts(), **fast)
    times("Inbox", "today's tally", lambda n: ledger.tally(today), **fast)
    times("Inbox", "everything about one image", lambda n: ledger.picture(page[n].digest), **fast)
    times("Inbox", "40 images in hand", lambda n: ledger.hold([i.digest for i in page], reviewer="r", seconds=9))
    ledger.let_go("r")
    times("Grid", "300 that wait", lambda n: ledger.inbox(limit=300, reviewer="r1"))
    times("Conflicts", "who differs", lambda n: ledger.conflicts())
    times("Assets", "projects", lambda n: ledger.projects())
    times("Assets", "counts of half the ledger", lambda n: ledger.assets(BIG))
    times("Assets", "counts of all of it", lambda n: ledger.assets())
    times("Assets", "contact sheet", lambda n: ledger.contact_sheet(BIG, asset, limit=400))
    times("Submit", "sent in before", lambda n: ledger.submissions(limit=50))
    times("Submit", "pace", lambda n: ledger.pace())
    times("Nights", "nights", lambda n: ledger.nights(60))
    times("Nights", "one of them", lambda n: ledger.summary(night - n))
    times("Nights", "set aside", lambda n: ledger.set_aside())
    times("Decisions", "reviewers", lambda n: ledger.reviewers())
    times("Decisions", "a page", lambda n: ledger.decisions(limit=500))
    times("Decisions", "of a project", lambda n: ledger.decisions(project=SMALL, limit=500))
    times("Decisions", "of a reviewer, one verdict", lambda n: ledger.decisions(reviewer=f"r{n}", verdict="reject"))
    times("Decisions", "an old week", lambda n: ledger.decisions(until=now - timedelta(days=100 + n), limit=500))
    times("Decisions", "far down", lambda n: ledger.decisions(project=SMALL, before=far, limit=500))
    times("Decisions", "of an image", lambda n: ledger.decisions(image=digest(n)))

    def times_insights(days: int) -> None:
        since = now - timedelta(days=days)
        times("Insights", f"{days} days", lambda n: ledger.judged(since=since))
        times("Insights", f"{days} days, two opinions", lambda n: ledger.judged_twice(since=since))

    times_insights(7)
    times_insights(365)
    times("Insights", "of a project", lambda n: ledger.judged(since=now - timedelta(days=365), project=SMALL))
    times("Library", "newest approved", lambda n: ledger.library())
    times("Library", "all, of a project", lambda n: ledger.library(project=SMALL, approved=False))
    times("Library", "common words", lambda n: ledger.library(["golden", "key"]))
    times("Library", "words that nobody used", lambda n: ledger.library(["nowhere"]))
    times("Library", "words, not approved ones too", lambda n: ledger.library(["nowhere"], approved=False))
    times("Library", "like this one", lambda n: ledger.library(like=digest(n)[:16]))
    times("You", "pace, ever", lambda n: ledger.tally(now - timedelta(days=9999), reviewer=f"r{n % REVIEWERS}"))
    once = [one for one in page if one.reviews_wanted == 1][:20]  # taken back, so that a kept ledger has them waiting
    times("any", "decide", lambda n: _decide(ledger, once[n].digest, once[n].revision, Verdict.APPROVE), **fast)
    times("any", "take it back", lambda n: _decide(ledger, once[n].digest, once[n].revision + 1, Verdict.UNDO), **fast)
    times("(night)", "awaiting retake", lambda n: ledger.awaiting_retake())
    times("(night)", "waiting for the GPU", lambda n: ledger.waiting())
    asked = [digest(n) if n % 2 else hashlib.sha256(str(n).encode()).hexdigest() for n in range(100_000)]
    times("(night)", "known: 100,000 digests", lambda n: ledger.known(asked), often=2, allowed=5_000)
    print(f"  peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def _decide(ledger: Ledger, image: str, revision: int, verdict: Verdict) -> None:
    ledger.decide(Choice(image=image, revision=revision, verdict=verdict), reviewer="bench")


if __name__ == "__main__":
    main()
