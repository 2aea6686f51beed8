from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.shift.shifts import LONGEST, TURN, Shift, make_shifts, second_half


@dataclass(frozen=True)
class Item:
    digest: str
    affinity_key: str = "base"
    batch_key: str = "1024"
    priority: int = 0
    due: date | None = None
    submitted_by: str = "ana"
    asset: str = "crate"
    attempts: int = 0


def many(count: int, **fields: Any) -> list[Item]:
    prefix = "-".join(str(value) for value in fields.values())
    return [replace(Item(f"{prefix}-{index:05}"), **fields) for index in range(count)]


def in_order(shifts: list[Shift]) -> list[str]:
    return [digest for shift in shifts for batch in shift.batches for digest in batch]


items = st.builds(
    Item,
    digest=st.uuids().map(str),
    affinity_key=st.sampled_from("xy"),
    batch_key=st.sampled_from("12"),
    priority=st.integers(0, 2),
    due=st.sampled_from([None, date(2026, 1, 1), date(2026, 1, 2)]),
    submitted_by=st.sampled_from(["ana", "ben"]),
    attempts=st.integers(0, 3),
)


@given(st.lists(items, unique_by=lambda item: item.digest), st.integers(1, 5))
def test_every_spec_is_in_one_batch_and_batches_are_servable(waiting: list[Item], size: int) -> None:
    shifts = make_shifts(waiting, batch_size=size)
    by_digest = {item.digest: item for item in waiting}

    assert Counter(in_order(shifts)) == Counter(by_digest.keys())
    for shift in shifts:
        assert 1 <= len(shift.batches) <= LONGEST
        for batch in shift.batches:
            rows = [by_digest[digest] for digest in batch]
            assert 1 <= len(rows) <= size
            assert {row.affinity_key for row in rows} == {shift.affinity_key}
            assert len({row.batch_key for row in rows}) == 1
            assert len(rows) == 1 or all(row.attempts < 2 for row in rows)
    urgency = [(-by_digest[digest].priority, by_digest[digest].due or date.max) for digest in in_order(shifts)]
    assert urgency == sorted(urgency)
    assert shifts == make_shifts(waiting[::-1], batch_size=size), "the order of the question must not matter"
    assert [Shift.load(shift.dump()) for shift in shifts] == shifts


def test_people_take_turns_within_a_priority() -> None:
    long = many(TURN * 4 * 3, submitted_by="ana")
    short = many(8, submitted_by="ben", affinity_key="other")
    order = in_order(make_shifts(long + short, batch_size=4))
    assert order.index(short[-1].digest) < TURN * 4 + 8


def test_a_turn_prefers_the_weights_on_the_device() -> None:
    mine = many(4, affinity_key="a") + many(4, affinity_key="z")
    theirs = many(4, submitted_by="ben", affinity_key="a") + many(4, submitted_by="ben", affinity_key="z")
    shifts = make_shifts(mine + theirs, batch_size=4, loaded="z")
    assert [shift.affinity_key for shift in shifts] == ["z", "a"], "two loads would be one too many"


def test_rows_of_two_people_fill_one_batch() -> None:
    shifts = make_shifts(many(3, submitted_by="ana") + many(5, submitted_by="ben"), batch_size=8)
    assert [len(batch) for shift in shifts for batch in shift.batches] == [8]


def test_suspects_run_alone_and_after_the_others() -> None:
    shifts = make_shifts([*many(2, attempts=2), *many(6)], batch_size=4)
    assert [[len(batch) for batch in shift.batches] for shift in shifts] == [[4, 2], [1], [1]]


def test_a_hundred_thousand_are_ordered_in_seconds() -> None:
    waiting = [
        Item(f"{i:064}", affinity_key=str(i % 7), batch_key=str(i % 31), submitted_by=str(i % 5))
        for i in range(100_000)
    ]
    began = time.process_time()
    shifts = make_shifts(waiting, batch_size=8)
    assert sum(shift.images for shift in shifts) == 100_000
    assert time.process_time() - began < 10


def test_a_second_worker_takes_what_the_first_has_not_begun_from_its_middle_on() -> None:
    shift = Shift("a", tuple((f"{number}x", f"{number}y") for number in range(8)))
    free = {digest for batch in shift.batches[2:] for digest in batch} - {"3x"}
    half = second_half(shift, free)
    assert half is not None and half.affinity_key == "a"
    assert [batch[0][0] for batch in half.batches] == list("567" + "432"), "they meet, and nothing is left out"
    assert second_half(shift, {"6x", "7x"}) is None, "too little to load a model for"
