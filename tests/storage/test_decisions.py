"""Decisions that come at the same time share a commit on SQLite; each of them is as safe as one that came alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import event

from schemas.errors import LedgerUnavailable, StaleDecision
from storage.ledger import Ledger
from tests.making import a_choice, a_spec, kept


def while_somebody_writes(ledger: Ledger, acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Starts `acts` while the write lock is taken, so that all of them wait; what each returned or raised."""
    came: list[Any] = [None] * len(acts)

    def run(n: int) -> None:
        try:
            came[n] = acts[n]()
        except Exception as error:
            came[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(acts))]
    with ledger.writing("test"):
        for n, thread in enumerate(threads):
            thread.start()
            while len(ledger._queue) <= n:  # they wait in this order
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join(20)
    return came


def test_those_who_wait_share_one_commit_and_a_refused_one_hurts_nobody(sqlite_ledger: Ledger) -> None:
    specs = [a_spec(n) for n in range(12)]
    kept(sqlite_ledger, specs)
    commits: list[object] = []
    event.listen(sqlite_ledger._writing, "commit", commits.append)
    acts = [partial(sqlite_ledger.decide, a_choice(spec), reviewer="ann") for spec in specs]
    acts.insert(3, partial(sqlite_ledger.decide, a_choice(specs[0]), reviewer="ben"))  # stale by then
    acts.append(
        partial(sqlite_ledger.decide, a_choice(specs[1], revision=1), reviewer="ann")
    )  # sees what is uncommitted
    came = while_somebody_writes(sqlite_ledger, acts)
    assert isinstance(came.pop(3), StaleDecision)
    assert came == [1] * 12 + [2]
    assert len(commits) == 1
    trail = [(row.decision.image, row.decision.revision, row.decision.reviewer) for row in sqlite_ledger.decisions()]
    assert sorted(trail) == sorted([(spec.digest, 1, "ann") for spec in specs] + [(specs[1].digest, 2, "ann")])
    assert sqlite_ledger.inbox() == []


def test_nobody_hears_yes_when_the_commit_fails(sqlite_ledger: Ledger) -> None:
    specs = [a_spec(n) for n in range(4)]
    kept(sqlite_ledger, specs)
    acts = [partial(sqlite_ledger.decide, a_choice(spec), reviewer="ann") for spec in specs]

    def full(_connection: Any) -> None:
        raise LedgerUnavailable("the disk is full")

    event.listen(sqlite_ledger._writing, "commit", full)
    came = while_somebody_writes(sqlite_ledger, acts)
    event.remove(sqlite_ledger._writing, "commit", full)
    assert [str(error) for error in came] == ["the disk is full"] * 4
    assert sqlite_ledger.decisions() == []
    assert [sqlite_ledger.decide(a_choice(spec), reviewer="ann") for spec in specs] == [1] * 4
