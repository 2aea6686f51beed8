"""A review in steps: who is next, what stands, what is taken back, on both databases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import NotAllowed
from schemas.records import Decision
from schemas.review import Changes, Verdict
from schemas.settings import Settings
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from storage.ledger.standing import find_standing, find_step, list_counting
from tests.making import a_choice, a_spec, kept

STEPS = ("art lead", "director", "client")
acts = st.lists(st.sampled_from([Verdict.APPROVE, Verdict.REJECT, Verdict.UNDO]), max_size=10)


def waiting(ledger: Ledger, seed: int = 1) -> ImageSpec:
    spec = a_spec(seed)
    kept(ledger, [spec], steps=STEPS)
    return spec


def approve(ledger: Ledger, spec: ImageSpec, who: str, *, role: str = "reviewer", verdict: Verdict = Verdict.APPROVE,
            others: tuple[str, ...] = ()) -> None:  # fmt: skip
    revision = ledger.picture(spec.digest).revision
    choice = a_choice(spec, verdict, revision=revision)
    ledger.decide(choice, reviewer=who, role=role, others_steps=others)


def test_an_approval_stands_when_every_step_gave_one(ledger: Ledger) -> None:
    spec = waiting(ledger)
    for who, step in zip(("Ann", "Dan", "Cleo"), STEPS, strict=True):
        entry = ledger.picture(spec.digest).entry
        assert (entry.waiting, entry.step) == (True, step)
        assert ledger.deliverable() == []
        approve(ledger, spec, who)
    found = ledger.picture(spec.digest)
    assert (found.entry.waiting, found.entry.verdict, found.entry.step) == (False, "approve", None)
    assert [decision.step for decision in found.decisions] == list(STEPS)
    assert [image.digest for image, _, _ in ledger.deliverable()] == [spec.digest]
    assert list(ledger.contradicted_entries()) == []


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.RETAKE])
def test_any_step_ends_it_with_a_no(ledger: Ledger, verdict: Verdict) -> None:
    spec = waiting(ledger)
    approve(ledger, spec, "Ann")
    approve(ledger, spec, "Dan", verdict=verdict)
    entry = ledger.picture(spec.digest).entry
    assert (entry.waiting, entry.verdict) == (False, verdict.value)
    approve(ledger, spec, "Dan")  # thinks again: it goes on where he said no
    assert ledger.picture(spec.digest).entry.step == "client"


def test_a_step_is_taken_by_those_whose_it_is(ledger: Ledger) -> None:
    spec = waiting(ledger)
    with pytest.raises(NotAllowed, match="waits for “art lead”, and Dan is not of them"):
        approve(ledger, spec, "Dan", others=("art lead",))
    approve(ledger, spec, "Ann")
    with pytest.raises(NotAllowed, match="director"):
        approve(ledger, spec, "Ben", others=("director", "client"))
    assert [item.digest for item in ledger.inbox(reviewer="Dan", others_steps=("art lead", "client"))] == [spec.digest]
    assert ledger.inbox(reviewer="Ben", others_steps=("director",)) == []
    assert ledger.inbox(reviewer="Ann") == []  # another pair of eyes
    assert ledger.waiting_steps() == {"director": 1}


def test_an_undo_takes_back_the_newest_step_alone(ledger: Ledger) -> None:
    spec = waiting(ledger)
    approve(ledger, spec, "Ann")
    approve(ledger, spec, "Dan")
    with pytest.raises(NotAllowed, match="only Dan or a lead"):
        approve(ledger, spec, "Ann", verdict=Verdict.UNDO)
    approve(ledger, spec, "Dan", verdict=Verdict.UNDO)
    assert ledger.picture(spec.digest).entry.step == "director"
    approve(ledger, spec, "Lou", role="lead", verdict=Verdict.UNDO)
    assert ledger.picture(spec.digest).entry.step == "art lead"


def test_a_client_who_is_not_the_last_takes_theirs_back_and_nobody_elses(ledger: Ledger) -> None:
    spec = a_spec(1)
    kept(ledger, [spec], steps=("art lead", "client", "director"))
    approve(ledger, spec, "Ann")
    with pytest.raises(NotAllowed, match="only Ann or a lead"):
        approve(ledger, spec, "Aki (client)", role="client", verdict=Verdict.UNDO)
    approve(ledger, spec, "Aki (client)", role="client")
    with pytest.raises(NotAllowed, match="this image is at director"):
        approve(ledger, spec, "Aki (client)", role="client")
    approve(ledger, spec, "Aki (client)", role="client", verdict=Verdict.UNDO)
    assert ledger.picture(spec.digest).entry.step == "client"


def test_what_an_approval_asks_for_waits_for_the_last_step(ledger: Ledger) -> None:
    spec = waiting(ledger)
    promote = a_choice(spec, changes=Changes.model_validate({"tier": "final"}))
    with pytest.raises(NotAllowed, match="not the last step"):
        ledger.decide(promote, reviewer="Ann")
    assert ledger.picture(spec.digest).revision == 0


@given(acts)
def test_every_history_has_one_step_or_one_verdict(history: list[Verdict]) -> None:
    rows: list[Decision] = []
    for number, verdict in enumerate(history, 1):
        step = find_step(rows, STEPS)
        rows.append(Decision(id=number, revision=number, reviewer="Ann", role="lead", verdict=verdict.value, step=step))
    count, stands = list_counting(rows, wanted=1, steps=STEPS), find_standing(rows, wanted=1, steps=STEPS)
    assert [decision.step for decision in count] == list(STEPS[: len(count)])
    assert all(decision.verdict == Verdict.APPROVE for decision in count[:-1])
    assert (stands is not None) == (bool(count) and (len(count) == 3 or count[-1].verdict != Verdict.APPROVE))
    assert find_step(rows, STEPS) in STEPS


def test_who_may_take_which_step() -> None:
    settings = Settings(groups={"director": ("Dan",), "art lead": ("Ann", "Dan")})
    assert settings.list_others_steps("Dan", "reviewer") == {"client"}
    assert settings.list_others_steps("Noor", "reviewer") == {"client", "director", "art lead"}
    assert settings.list_others_steps("Noor", "lead") == frozenset()
    assert settings.list_groups("Dan") == ["director", "art lead"]
