from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from schemas.errors import LedgerError
from schemas.spec import ImageSpec
from storage.ledger import Ledger, PlanCount
from storage.ledger.submissions import CHUNK
from tests.making import a_keeping, a_spec, a_submission, planned, sha


def test_the_very_same_submission_is_there_once(ledger: Ledger) -> None:
    assert ledger.submit(a_submission("a.yaml", submitted_by="mara"))
    assert not ledger.submit(a_submission("a.yaml", submitted_by="theo"))
    (found,) = ledger.submissions()
    assert (found.submitted_by, found.project, found.body["brand"]) == ("mara", "potions", {"palette": ["#d62828"]})
    assert ledger.submission(sha("a.yaml")).digest == found.digest
    with pytest.raises(LedgerError, match="no submission"):
        ledger.submission(sha("b.yaml"))


def test_submitting_from_many_places_at_once(ledger: Ledger) -> None:
    new: list[bool] = []
    start = threading.Barrier(6)

    def send() -> None:
        start.wait()
        new.append(ledger.submit(a_submission("a.yaml")))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False] * 5 + [True]


def test_unplanned_is_most_urgent_first_and_ends_with_planning(ledger: Ledger) -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 11, 23, hour, tzinfo=UTC)

    ledger.submit(a_submission("late.yaml", submitted_at=at(3)))
    ledger.submit(a_submission("early.yaml", submitted_at=at(1)))
    ledger.submit(a_submission("due.yaml", due=date(2026, 12, 1), submitted_at=at(4)))
    ledger.submit(a_submission("urgent.yaml", priority=9, submitted_at=at(5)))
    assert [s.name for s in ledger.unplanned()] == ["urgent.yaml", "due.yaml", "early.yaml", "late.yaml"]
    ledger.plan(sha("due.yaml"), [a_spec()], priority=0, due=date(2026, 12, 1), submitted_by="mara")
    ledger.cancel(sha("urgent.yaml"), "mara")
    assert [s.name for s in ledger.unplanned()] == ["early.yaml", "late.yaml"]
    assert ledger.submission(sha("due.yaml")).planned_at is not None
    assert not ledger.submit(a_submission("urgent.yaml"))  # sent again: wanted after all
    assert ledger.unplanned()[0].name == "urgent.yaml"
    assert [s.name for s in ledger.submissions(limit=2)] == ["urgent.yaml", "due.yaml"]


def test_a_spec_is_planned_once_whoever_asks(ledger: Ledger) -> None:
    first, second, third = (a_spec(seed) for seed in range(3))
    ledger.submit(a_submission("a.yaml"))
    ledger.submit(a_submission("b.yaml"))
    plan: dict[str, Any] = {"priority": 0, "due": None, "submitted_by": "mara"}
    assert ledger.plan(sha("a.yaml"), [first, second, first], **plan) == PlanCount(new=2, existing=1)
    assert ledger.plan(sha("a.yaml"), [first, second], **plan) == PlanCount(new=0, existing=2)
    assert ledger.plan(sha("b.yaml"), [second, third], **plan) == PlanCount(new=1, existing=1)
    assert ledger.known([s.digest for s in (first, third, a_spec(9))]) == {first.digest, third.digest}
    assert len(ledger.waiting()) == 3
    assert ledger.specs([third.digest, sha("no")]) == {third.digest: third}
    with pytest.raises(LedgerError, match="no submission"):
        ledger.plan(sha("c.yaml"), [a_spec(7)], **plan)


def test_a_more_urgent_order_moves_a_spec_forward_and_none_moves_it_back(ledger: Ledger) -> None:
    spec = a_spec()
    ledger.plan(None, [spec], priority=1, due=date(2026, 12, 24), submitted_by="mara")
    ledger.plan(None, [spec], priority=0, due=date(2026, 12, 1), submitted_by="theo")
    ledger.plan(None, [spec], priority=7, due=None, submitted_by="theo")
    (item,) = ledger.waiting()
    assert (item.priority, item.due, item.submitted_by) == (7, date(2026, 12, 1), "mara")


def test_a_plan_longer_than_a_chunk_is_read_as_it_comes(ledger: Ledger) -> None:
    ledger.submit(a_submission())
    size = CHUNK + 10
    count = ledger.plan(sha("potions.yaml"), map(a_spec, range(size)), priority=0, due=None, submitted_by="mara")
    assert count == PlanCount(new=size, existing=0)
    assert len(ledger.waiting()) == size


def test_a_plan_that_breaks_off_is_not_planned_and_goes_on(ledger: Ledger) -> None:
    ledger.submit(a_submission())

    def broken() -> Iterator[ImageSpec]:
        yield from map(a_spec, range(CHUNK + 1))
        raise RuntimeError("the planner died")

    with pytest.raises(RuntimeError):
        ledger.plan(sha("potions.yaml"), broken(), priority=0, due=None, submitted_by="mara")
    assert [s.digest for s in ledger.unplanned()] == [sha("potions.yaml")]
    specs = [a_spec(seed) for seed in range(CHUNK + 5)]
    count = ledger.plan(sha("potions.yaml"), specs, priority=0, due=None, submitted_by="mara")
    assert count == PlanCount(new=5, existing=CHUNK)
    assert ledger.unplanned() == []
    assert len(ledger.briefs(spec.digest for spec in specs)) == len(specs)


def test_planners_at_once_do_not_deadlock_and_plan_once(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(200)]
    new: list[int] = []

    def plan(number: int) -> None:
        order = specs if number % 2 else specs[::-1]
        new.append(ledger.plan(None, order, priority=number, due=None, submitted_by=str(number)).new)

    threads = [threading.Thread(target=plan, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [0] * 5 + [200]
    assert {item.priority for item in ledger.waiting()} == {5}


def test_the_brief_is_of_the_newest_order_in_force(ledger: Ledger) -> None:
    spec, unasked = a_spec(1), a_spec(2)
    planned(ledger, [spec], submission=a_submission("b.yaml", submitted_at=datetime(2026, 11, 23, tzinfo=UTC)))
    planned(ledger, [spec], submission=a_submission("a.yaml", submitted_at=datetime(2026, 11, 24, tzinfo=UTC)))
    ledger.plan(None, [unasked], priority=0, due=None, submitted_by="x")
    briefs = ledger.briefs([spec.digest, unasked.digest])
    assert list(briefs) == [spec.digest]
    brief = briefs[spec.digest]
    assert (brief.submission, brief.name, brief.submitted_by, brief.max_retakes) == (sha("a.yaml"), "a.yaml", "mara", 2)
    assert brief.manifest_body["project"] == "potions" and brief.files == {}
    ledger.cancel(sha("a.yaml"), "mara")
    assert ledger.briefs([spec.digest])[spec.digest].name == "b.yaml"
    ledger.cancel(sha("b.yaml"), "mara")
    assert ledger.briefs([spec.digest])[spec.digest].name == "a.yaml", "where none is in force, the newest"


def test_the_queue_follows_the_newest_order_also_backwards(ledger: Ledger) -> None:
    spec = a_spec()
    urgent = a_submission(
        "urgent.yaml", priority=9, due=date(2026, 12, 1), submitted_at=datetime(2026, 11, 23, tzinfo=UTC)
    )
    calm = a_submission("calm.yaml", priority=1, submitted_at=datetime(2026, 11, 24, tzinfo=UTC))
    planned(ledger, [spec], submission=calm, priority=1)
    planned(ledger, [spec], submission=urgent, priority=9)
    (item,) = ledger.waiting()
    assert (item.priority, item.due) == (1, None), "planned later, but not newer"
    ledger.prioritise(sha("calm.yaml"), 5)
    assert ledger.waiting()[0].priority == 5
    ledger.cancel(sha("calm.yaml"), "mara")
    (item,) = ledger.waiting()
    assert (item.priority, item.due) == (9, date(2026, 12, 1))


def test_made_are_those_with_an_image(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(3)]
    planned(ledger, specs)
    ledger.keep_many([a_keeping(specs[1])])
    assert ledger.made(spec.digest for spec in specs) == {specs[1].digest}
    assert ledger.made([]) == set()
