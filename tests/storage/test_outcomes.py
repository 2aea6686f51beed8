from __future__ import annotations

import threading
from datetime import date

import pytest

from schemas.errors import LedgerError, NotAllowed
from schemas.records import Delivery
from schemas.review import Changes, Verdict, apply_changes
from schemas.spec import ImageSpec, Tier
from storage.ledger import Ledger
from tests.making import a_choice, a_keeping, a_spec, a_submission, kept, planned, sha


def again(spec: ImageSpec) -> ImageSpec:
    return apply_changes(spec, Changes(), picture=sha(spec.digest))


def asks(ledger: Ledger, spec: ImageSpec, **fields: object) -> int:
    """Sends an image back; the decision's id."""
    ledger.decide(a_choice(spec, Verdict.RETAKE, **fields), reviewer="ann")  # type: ignore[arg-type]
    return ledger.picture(spec.digest).decisions[-1].id


def test_a_retake_is_planned_once_with_its_parents_orders_and_place(ledger: Ledger) -> None:
    spec = a_spec()
    two, one = a_submission("two.yaml"), a_submission("one.yaml", due=date(2026, 12, 1))  # the newer one counts
    planned(ledger, [spec], submission=one, priority=4)
    planned(ledger, [spec], submission=two)
    ledger.keep_many([a_keeping(spec)])
    decision = asks(ledger, spec)
    ((asked, parent, image),) = ledger.awaiting_retake()
    assert (asked.id, parent, image.digest) == (decision, spec, spec.digest)
    assert ledger.plan_retake(decision, parent=spec.digest, child=again(spec), refused=None)
    assert not ledger.plan_retake(decision, parent=spec.digest, child=again(spec), refused=None)
    assert ledger.awaiting_retake() == []
    (item,) = ledger.waiting()
    assert (item.digest, item.priority, item.due, item.submitted_by) == (
        again(spec).digest,
        4,
        date(2026, 12, 1),
        "mara",
    )
    assert ledger.briefs([item.digest])[item.digest].name == "one.yaml"
    ledger.cancel(sha("one.yaml"), "mara")
    assert len(ledger.waiting()) == 1  # two.yaml wants it too
    ledger.cancel(sha("two.yaml"), "mara")
    assert ledger.waiting() == []


def test_a_refused_retake_is_answered_and_says_why(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    decision = asks(ledger, spec)
    assert ledger.plan_retake(decision, parent=spec.digest, child=None, refused="3 retakes are allowed")
    assert ledger.awaiting_retake() == [] and ledger.waiting() == []
    (row,) = ledger.picture(spec.digest).retakes
    assert (row.refused, row.child) == ("3 retakes are allowed", None)
    ledger.decide(a_choice(spec, Verdict.UNDO, revision=1), reviewer="ann")  # nothing was made of it
    with pytest.raises(ValueError):
        ledger.plan_retake(decision, parent=spec.digest, child=None, refused=None)


def test_what_is_on_its_way_cannot_be_taken_back_but_can_be_replaced(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    ledger.plan_retake(asks(ledger, spec), parent=spec.digest, child=again(spec), refused=None)
    with pytest.raises(NotAllowed, match=rf"ann asked for a retake at .* planned at .* as {again(spec).digest[:12]}"):
        ledger.decide(a_choice(spec, Verdict.UNDO, revision=1), reviewer="ann")
    ledger.decide(a_choice(spec, revision=1), reviewer="ann")  # the first one was good enough
    assert [image.digest for image, *_ in ledger.deliverable()] == [spec.digest]


def test_a_decision_that_was_taken_back_is_not_answered(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    decision = asks(ledger, spec)
    ledger.decide(a_choice(spec, Verdict.UNDO, revision=1), reviewer="ann")
    assert ledger.awaiting_retake() == []
    assert not ledger.plan_retake(decision, parent=spec.digest, child=again(spec), refused=None)
    assert ledger.waiting() == []


def test_two_planners_answer_a_decision_once(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    decision = asks(ledger, spec)
    answers: list[bool] = []

    def plan() -> None:
        answers.append(ledger.plan_retake(decision, parent=spec.digest, child=again(spec), refused=None))

    threads = [threading.Thread(target=plan) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 4 + [True]


def test_an_approved_draft_is_promoted_and_not_delivered(ledger: Ledger) -> None:
    draft, plain = a_spec(1, tier=Tier.DRAFT), a_spec(2)
    kept(ledger, [draft, plain])
    ledger.decide(a_choice(draft, changes=Changes(tier=Tier.FINAL)), reviewer="ann")
    ledger.decide(a_choice(plain, changes=Changes()), reviewer="ann")
    assert [spec for _, spec, _ in ledger.awaiting_retake()] == [draft]
    assert [spec for _, spec, _ in ledger.deliverable()] == [plain]


def a_delivery(ledger: Ledger, spec: ImageSpec, name: str = "T_Red.png") -> Delivery:
    decision = next(d for image, _, d in ledger.deliverable(again=True) if image.digest == spec.digest)
    return Delivery(
        image=spec.digest,
        project=spec.project,
        name=name,
        sidecar=f"{name}.json",
        decision=decision.id,
        delivered_at=None,
    )


def test_delivering_is_written_down_once(ledger: Ledger) -> None:
    spec, other = a_spec(1), a_spec(2, project="inn")
    kept(ledger, [spec, other])
    for each in (spec, other):
        ledger.decide(a_choice(each), reviewer="ann")
    assert len(ledger.deliverable()) == 2 and len(ledger.deliverable(project="inn")) == 1
    delivery = a_delivery(ledger, spec)
    assert ledger.deliver(delivery)
    assert not ledger.deliver(a_delivery(ledger, spec))
    assert [found.digest for _, found, _ in ledger.deliverable()] == [other.digest]
    (row,) = ledger.deliveries(project="potions")
    assert (row.image, row.name) == (spec.digest, "T_Red.png") and row.delivered_at is not None
    assert ledger.deliver(a_delivery(ledger, other))  # the same name in another project


def test_a_delivery_that_contradicts_another_is_refused(ledger: Ledger) -> None:
    spec, other = a_spec(1), a_spec(2)
    kept(ledger, [spec, other])
    for each in (spec, other):
        ledger.decide(a_choice(each), reviewer="ann")
    ledger.deliver(a_delivery(ledger, spec))
    with pytest.raises(LedgerError, match=r"was delivered as T_Red.png; got T_Rosso.png"):
        ledger.deliver(a_delivery(ledger, spec, "T_Rosso.png"))
    with pytest.raises(LedgerError, match=r"T_Red.png is .*'s name in potions already"):
        ledger.deliver(a_delivery(ledger, other))
    late = a_delivery(ledger, other, "T_Blue.png")
    ledger.decide(a_choice(other, Verdict.REJECT, revision=1), reviewer="ann")
    with pytest.raises(LedgerError, match="does not stand any more"):
        ledger.deliver(late)
    assert ledger.deliveries(withdrawn=True) == []
    ledger.decide(a_choice(spec, Verdict.UNDO, revision=1), reviewer="ann")
    assert [row.image for row in ledger.deliveries(withdrawn=True)] == [spec.digest]
