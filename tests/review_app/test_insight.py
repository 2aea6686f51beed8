"""What decisions say, on cases that can be counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from review_app.insight import (
    ASPECTS,
    Rate,
    compute_foresight,
    compute_kappa,
    compute_paces,
    compute_rates,
    list_suggestions,
)
from schemas.review import Criterion, Result, Verdict
from storage.ledger import Judged
from tests.making import a_spec

YES, NO = Verdict.APPROVE, Verdict.REJECT


def judged(number: int, verdict: Verdict, **more: object) -> Judged:
    known: dict[str, object] = {
        "image": f"{number:064x}",
        "spec": a_spec(number),
        "verdict": verdict,
        "reasons": (),
        "reviewer": "ada",
        "seconds": 2.0,
        "decided_at": datetime.now(UTC),
        "results": {},
    }
    return Judged(**known | more)  # type: ignore[arg-type]


def test_rates_count_every_value() -> None:
    rows = [judged(n, YES if n % 4 else NO, spec=a_spec(n, guidance_scale=5.0 + n % 2)) for n in range(20)]
    assert {r.name: (r.judged, r.approved) for r in compute_rates(rows, ASPECTS["Guidance"])} == {
        "5": (10, 5),
        "6": (10, 10),
    }


def test_the_interval_is_wilsons() -> None:
    rate = Rate("x", 10, 8)  # a textbook case: 0.4902 to 0.9433
    assert rate.low == pytest.approx(0.4902, abs=1e-3)
    assert rate.high == pytest.approx(0.9433, abs=1e-3)
    assert Rate("x", 5, 5).high == pytest.approx(1.0)


def test_a_suggestion_needs_evidence() -> None:
    few = [judged(n, YES if n % 2 else NO, spec=a_spec(n, guidance_scale=5.0 + n % 2)) for n in range(10)]
    assert list_suggestions(few) == []
    many = [judged(n, YES if n % 2 else NO, spec=a_spec(n, guidance_scale=5.0 + n % 2)) for n in range(60)]
    (sentence,) = list_suggestions(many)
    assert sentence == "Guidance 6: 100% of 30 approved, against 0% of 30 with 5"


def test_foresight_keeps_unchecked_apart_from_clean() -> None:
    hands = Criterion.HANDS
    rows = [
        judged(1, NO, results={hands: Result.FLAG}),
        judged(2, YES, results={hands: Result.FLAG}),
        judged(3, NO, results={hands: Result.PASS}),
        judged(4, NO, results={hands: Result.NOT_CHECKED}),
        judged(5, NO, results={hands: Result.ERROR}),
    ]
    (found,) = compute_foresight(rows)
    assert (found.precision, found.recall, found.unchecked) == (0.5, 0.5, 2)


def test_kappa_is_cohens() -> None:
    assert compute_kappa([]) is None
    assert compute_kappa([(YES, YES)] * 20 + [(YES, NO)] * 5 + [(NO, YES)] * 10 + [(NO, NO)] * 15) == pytest.approx(0.4)
    assert compute_kappa([(YES, YES)] * 3) == 1.0


def test_paces_leave_out_who_went_for_lunch() -> None:
    rows = [
        judged(1, YES, seconds=2),
        judged(2, NO, seconds=4),
        judged(3, YES, seconds=4000),
        judged(4, YES, reviewer="noor"),
    ]
    assert compute_paces(rows) == [("ada", 3, 3, pytest.approx(2 / 3)), ("noor", 1, 2.0, 1.0)]
