"""The order that decisions teach: measured on what it had not seen, within priorities, and never more than an order."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from schemas.review import BAND, Criterion, Finding, Mark, Reason, Result, Verdict, rank_in_inbox
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from tasks.learned_order import ENOUGH, Learned, compute_auc, compute_auc_error, learn_order
from tests import making
from tests.conftest import Stack

ASSETS = 12


def findings_of(number: int, fingers: float) -> list[Finding]:
    """What decides (`fingers`) is measured and flagged by nobody; a check that flags at random is beside it."""
    chance = random.Random(number)
    noise = Result.FLAG if chance.random() < 0.5 else Result.PASS
    return [
        making.a_finding(Criterion.HANDS, Result.PASS, score=0.1, data={"fingers_off": fingers, "words": ["x"]}),
        making.a_finding(Criterion.BRAND, noise, score=chance.random(), data={"distance": chance.random() * 40}),
    ]


def stock(ledger: Ledger, count: int, *, start: int = 0, priority: int = 0) -> dict[str, tuple[ImageSpec, float]]:
    """Images of ASSETS assets, kept; digest -> spec and what was measured."""
    specs = [making.a_spec(n, asset=f"asset {n % ASSETS}") for n in range(start, start + count)]
    making.planned(ledger, specs, submission=making.a_submission(f"{start}.yaml"), priority=priority)
    found = {}
    for number, spec in enumerate(specs, start):
        fingers = random.Random(-number - 1).random() * 3
        findings = findings_of(number, fingers)
        ledger.keep_many([making.a_keeping(spec, findings, rank=rank_in_inbox(priority, findings))])
        found[spec.digest] = spec, fingers
    return found


def judge(ledger: Ledger, stocked: dict[str, tuple[ImageSpec, float]], is_wrong: Callable[[float], bool]) -> None:
    for spec, fingers in stocked.values():
        if is_wrong(fingers):
            ledger.decide(
                making.a_choice(spec, Verdict.REJECT, marks={Criterion.HANDS: Mark.BAD}, reasons=(Reason.HANDS,)),
                reviewer="rita",
            )
        else:
            ledger.decide(making.a_choice(spec), reviewer="rita")


def taught(ledger: Ledger, count: int = 200) -> Learned:
    judge(ledger, stock(ledger, count), lambda fingers: fingers > 2)
    return learn_order(ledger)


def test_what_is_likely_to_be_rejected_comes_first(stack: Stack) -> None:
    ledger = stack.ledger
    judge(ledger, stock(ledger, 200), lambda fingers: fingers > 2)
    waiting, urgent = stock(ledger, 60, start=1_000), stock(ledger, 20, start=2_000, priority=5)
    before = {item.digest for item in ledger.inbox(limit=200)}
    learned = learn_order(ledger)
    assert (learned.outcome, learned.decisions, learned.ordered) == ("in use", 200, 80)
    said = learned.report["all"]
    assert said["auc"] > 0.95 > 0.6 > said["auc_of_flags"] and said["brier"] < 0.1
    assert [part["images"] for part in said["calibration"]] == [40] * 5
    assert all(abs(part["said"] - part["was"]) < 0.25 for part in said["calibration"])
    assert said["weights"][0][0] == "hands: fingers_off" and said["weights"][0][1] > 0
    assert learned.report["hands"]["auc"] > 0.95 and learned.report["text"] == {
        "approved": 200, "rejected": 0, "wanted": ENOUGH,
    }  # fmt: skip
    order = [item.digest for item in ledger.inbox(limit=200)]
    assert set(order) == before  # none is hidden, and none is decided
    assert set(order[:20]) == urgent.keys()  # a priority comes before any chance
    rest = [waiting[digest][1] for digest in order[20:]]
    assert compute_auc([int(fingers > 2) for fingers in rest], range(60, 0, -1)) > 0.95
    training = ledger.last_training()
    assert training is not None and training.outcome == "in use" and training.report == learned.report


def test_too_few_decisions_change_nothing(local_stack: Stack) -> None:
    ledger = local_stack.ledger
    stock(ledger, 30, start=1_000)
    order = [item.digest for item in ledger.inbox(limit=200)]
    learned = taught(ledger, 80)
    assert learned.outcome == "too few decisions" and learned.report["all"]["wanted"] == ENOUGH
    assert [item.digest for item in ledger.inbox(limit=200)] == order


def test_what_is_no_better_than_chance_changes_nothing(local_stack: Stack) -> None:
    ledger = local_stack.ledger
    stock(ledger, 30, start=1_000)
    order = [item.digest for item in ledger.inbox(limit=200)]
    dice = random.Random(5)
    judge(ledger, stock(ledger, 160), lambda _: dice.random() < 0.4)
    learned = learn_order(ledger)
    assert learned.outcome == "no better than chance" and learned.report["all"]["auc"] < 0.62
    assert [item.digest for item in ledger.inbox(limit=200)] == order


def test_what_was_decided_meanwhile_keeps_its_place(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = local_stack.ledger
    waiting = stock(ledger, 5, start=1_000)
    spec = next(iter(waiting.values()))[0]
    page = ledger.waiting_lessons
    monkeypatch.setattr(
        ledger, "waiting_lessons", lambda after: [ledger.decide(making.a_choice(spec), reviewer="sam"), page()][1]
        if not after else []
    )  # fmt: skip
    rank = ledger.inbox_items([spec.digest])[0].rank
    taught(ledger)
    assert ledger.inbox_items([spec.digest])[0].rank == rank


def test_switched_off_the_flags_order_again(local_stack: Stack) -> None:
    ledger = local_stack.ledger
    stock(ledger, 30, start=1_000, priority=-3)
    before = [(item.digest, item.rank) for item in ledger.inbox(limit=200)]
    assert taught(ledger).outcome == "in use"
    assert [(item.digest, item.rank) for item in ledger.inbox(limit=200)] != before
    assert ledger.reset_order() == 30 and ledger.reset_order() == 0
    assert [(item.digest, item.rank) for item in ledger.inbox(limit=200)] == before
    assert {rank // BAND for _, rank in before} == {3}


def test_the_error_of_an_auc_is_that_of_its_source() -> None:
    """Hanley and McNeil (1982), table II: 0.893 of 51 and 58 has 0.032."""
    assert compute_auc_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.001)
