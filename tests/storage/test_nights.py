from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.errors import LedgerError, NightRunning
from schemas.pace import make_pace_key
from schemas.review import Criterion, Result
from storage.ledger import Ledger
from tests.making import a_choice, a_finding, a_keeping, a_spec, planned


def test_a_night_is_begun_and_ended(ledger: Ledger) -> None:
    first = ledger.start_night("dailies run")
    second = ledger.start_night("schedule", flow_run="run")
    ledger.end_night(first, outcome="complete", report_key="reports/x.md", totals={"made": 3}, planned=4)
    night = ledger.night(first)
    assert (night.outcome, night.report_key, night.totals, night.planned) == (
        "complete",
        "reports/x.md",
        {"made": 3},
        4,
    )
    assert night.ended_at is not None and night.ended_at >= night.started_at
    assert [night.id for night in ledger.nights()] == [second, first]
    assert [night.id for night in ledger.nights(limit=1)] == [second]
    with pytest.raises(LedgerError, match="no night"):
        ledger.night(99)
    with pytest.raises(LedgerError, match="no night"):
        ledger.end_night(99, outcome="complete", report_key=None, totals={})


def test_the_summary_of_a_night(ledger: Ledger) -> None:
    night, before = ledger.start_night("x"), ledger.start_night("y")
    specs = [a_spec(1), a_spec(2), a_spec(3, asset="blue potion"), a_spec(4), a_spec(5), a_spec(6)]
    planned(ledger, specs)
    found = [
        [a_finding(Criterion.HANDS, Result.FLAG), a_finding(Criterion.TEXT, Result.FLAG)],
        [a_finding(Criterion.HANDS, Result.NOT_CHECKED)],
        [],
        [a_finding(Criterion.HANDS, Result.FLAG)],
    ]
    keepings = [a_keeping(spec, findings) for spec, findings in zip(specs, found, strict=False)]
    for keeping, gpu, when in zip(keepings, (1.0, 2.0, 4.0, 8.0), (night, night, night, before), strict=True):
        keeping.image.gpu_seconds, keeping.image.night = gpu, when
    ledger.keep_many(keepings)
    for message in ("a", "b"):
        ledger.fail(specs[4].digest, cause="NotFinite", message=message, worker="w", night=night, max_attempts=2)
    assert ledger.night_progress(night) == (3, 2)
    summary = ledger.summary(night)
    assert [(a.asset, a.made, a.flagged, a.gpu_seconds) for a in summary.by_asset] == [
        ("blue potion", 1, 0, 4.0),
        ("red potion", 2, 1, 3.0),
    ]
    assert [(f.cause, f.failures, f.specs, f.example) for f in summary.failures] == [("NotFinite", 2, 1, "a")]
    assert (summary.made, summary.flagged, summary.unchecked, summary.gpu_seconds) == (3, 1, 1, 7.0)
    assert (summary.set_aside, summary.waiting) == (1, 1)
    assert [a.approved for a in summary.by_asset] == [0, 0]
    ledger.decide(a_choice(specs[0]), reviewer="Ada")
    ledger.decide(a_choice(specs[3]), reviewer="Ada")  # of the night before
    assert [a.approved for a in ledger.summary(night).by_asset] == [0, 1]
    assert ledger.gpu_seconds() == 15.0 and ledger.gpu_seconds(night=before) == 8.0
    assert ledger.gpu_seconds(project="potions") == 15.0 and ledger.gpu_seconds(project="inn") == 0.0


def test_pace_is_the_median_of_what_was_made(ledger: Ledger) -> None:
    small, large = [a_spec(seed) for seed in range(3)], a_spec(9, width=128)
    planned(ledger, [*small, large])
    keepings = [a_keeping(spec) for spec in (*small, large)]
    for keeping, gpu in zip(keepings, (1.0, 2.0, 9.0, 5.0), strict=True):
        keeping.image.gpu_seconds = gpu
    ledger.keep_many(keepings)
    assert ledger.pace() == {make_pace_key(small[0]): 2.0, make_pace_key(large): 5.0}


def test_an_alias_is_pinned_by_its_first_use(ledger: Ledger) -> None:
    assert ledger.pin("studio-tiny", "a" * 64) == "a" * 64
    assert ledger.pin("studio-tiny", "b" * 64) == "a" * 64
    ledger.repin("studio-tiny", "c" * 64)
    assert ledger.pins() == {"studio-tiny": "c" * 64}


def test_one_night_at_a_time_and_a_dead_one_is_noticed(ledger: Ledger) -> None:
    first = ledger.start_night("schedule", holder="a:1", seconds=60)
    with pytest.raises(NightRunning, match=f"night {first} is running since"):
        ledger.start_night("ana", holder="b:1", seconds=60)
    with pytest.raises(NightRunning):
        ledger.take_night(first, holder="b:1", seconds=60)
    running = ledger.running_night()
    assert running is not None and running.id == first and ledger.dead_nights() == []
    ledger.take_night(first, holder="a:1", seconds=60)  # its own process, become a new one

    ledger.release_nights("a:1")
    assert ledger.running_night() is None and [night.id for night in ledger.dead_nights()] == [first]
    ledger.take_night(first, holder="b:1", seconds=60)
    assert not ledger.renew_night(first, holder="a:1", seconds=60), "it is another's by now"
    assert ledger.renew_night(first, holder="b:1", seconds=0), "as when its process stands still"
    second = ledger.start_night("ana", holder="c:1", seconds=60)
    assert [night.id for night in ledger.dead_nights()] == [first]
    for night in (first, second):
        ledger.end_night(night, outcome="complete", report_key=None, totals={})
    assert ledger.running_night() is None and ledger.dead_nights() == []
    with pytest.raises(LedgerError, match="could go on"):
        ledger.take_night(first, holder="a:1", seconds=60)


def test_of_many_that_start_a_night_at_once_one_does(ledger: Ledger) -> None:
    def start(number: int) -> int | None:
        try:
            return ledger.start_night("x", holder=f"{number}:1", seconds=60)
        except NightRunning:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert sum(night is not None for night in pool.map(start, range(8))) == 1


def test_how_shifts_ended(ledger: Ledger) -> None:
    night, other = ledger.start_night("x"), ledger.start_night("y")
    assert ledger.shift_run("run") is None and ledger.shift_notes(night) == {}
    ledger.end_shift_run("run", night=night, affinity_key="A", outcome="stopped", message="a\0b", notes={"no room": 4})
    ledger.end_shift_run("run", night=night, affinity_key="A", outcome="complete", notes={"no room": 1})
    ledger.end_shift_run("later", night=night, affinity_key="B", outcome="complete", notes={"no room": 2, "dark": 1})
    ledger.end_shift_run("else", night=other, affinity_key="A", outcome="lost")
    end = ledger.shift_run("run")
    assert end is not None and (end.outcome, end.message, end.notes) == ("stopped", "a�b", {"no room": 4}), "once"
    assert [one.flow_run for one in ledger.shift_runs(night)] == ["run", "later"]
    assert ledger.shift_notes(night) == {"no room": 6, "dark": 1}
