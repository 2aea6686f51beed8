"""Events of the reviewing screen that no page of ours sends: each is answered as refused, and the rest is taken."""

from __future__ import annotations

from typing import Any

import pytest

from review_app.review_session import ReviewSession
from schemas.review import Verdict
from storage.ledger import Ledger
from tests.making import a_spec, kept, sha

GOOD = {"revision": 0, "verdict": "approve"}
ODD: dict[str, dict[str, Any]] = {
    "an image that is not there": {"image": sha("nothing"), "revision": 0},
    "a name that is no digest": {"image": "../../x", "revision": 0},
    "an image with NUL": {"image": "\0", "revision": 0},
    "no image": {"revision": 0},
    "NUL in the note": {"note": "a\0b"},
    "NUL in a label": {"regions": [{"x": 0, "y": 0, "width": 1, "height": 1, "label": "\0"}]},
    "NUL in a prompt": {"verdict": "retake", "changes": {"prompt": "a\0b"}},
    "half a letter": {"note": "\ud800"},
    "a revision of 2**31": {"revision": 2**31},
    "a revision of 2**40": {"revision": 2**40},
    "a revision of 2**70": {"revision": 2**70},
    "the highest revision that fits": {"revision": 2**31 - 2},
    "a retake of 10**9 steps": {"verdict": "retake", "changes": {"num_inference_steps": 10**9}},
    "a retake of two million letters": {"verdict": "retake", "changes": {"prompt": "a" * 2_000_000}},
    "a retake of guidance 10**6": {"verdict": "retake", "changes": {"guidance_scale": 10.0**6}},
    "seconds without end": {"seconds": float("inf")},
    "marks that are a list": {"marks": [1, 2]},
    "reasons that are numbers": {"reasons": [1, 2]},
    "a verdict that is a list": {"verdict": []},
    "taking back a list": {"verdict": "undo", "undoes": []},
}


@pytest.mark.parametrize("odd", ODD)
def test_what_can_never_be_recorded_is_refused_and_the_rest_goes_on(ledger: Ledger, odd: str) -> None:
    specs = [a_spec(seed) for seed in range(3)]
    kept(ledger, specs)
    events: list[Any] = [GOOD | {"seq": n + 1, "image": spec.digest} for n, spec in enumerate(specs)]
    events[1] |= {key: value for key, value in ODD[odd].items() if key != "image"}
    if "image" not in ODD[odd] and odd == "no image":
        del events[1]["image"]
    events[1] |= {key: value for key, value in ODD[odd].items() if key == "image"}
    desk = ReviewSession()
    desk.answer("page", events, ledger=ledger, rights=lambda: {"reviewer": "Noor", "role": "reviewer"})
    assert [desk.answers[n]["ok"] for n in (1, 2, 3)] == [True, False, True]
    assert "not recorded" in desk.answers[2]["title"] and desk.trouble == ""
    assert len(desk.answers[2]["message"]) < 1_000
    assert {decided.decision.image for decided in ledger.decisions()} == {specs[0].digest, specs[2].digest}


def test_what_is_no_event_is_passed_over(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    events: list[Any] = [None, 7, {"image": spec.digest}, {"seq": "1"}, GOOD | {"seq": 1, "image": spec.digest}]
    desk = ReviewSession()
    desk.answer("page", events, ledger=ledger, rights=lambda: {"reviewer": "Noor", "role": "reviewer"})
    assert [answer["ok"] for answer in desk.answers.values()] == [True]
    assert ledger.decisions()[0].decision.verdict == Verdict.APPROVE
