"""The rule of which decision stands, for any history of decisions; and that the ledger's SQL says the same."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import NotAllowed
from schemas.records import Decision
from schemas.review import Verdict
from storage.ledger import Ledger
from storage.ledger.standing import LEADS, do_differ, find_standing, list_counting
from tests.making import a_choice, a_spec, kept

PEOPLE = {"ann": "reviewer", "ben": "reviewer", "cid": "reviewer", "lou": "lead"}
acts = st.lists(st.tuples(st.sampled_from(sorted(PEOPLE)), st.sampled_from(list(Verdict))), max_size=9)


def rows(history: list[tuple[str, Verdict]]) -> list[Decision]:
    return [
        Decision(id=n, revision=n, reviewer=who, role=PEOPLE[who], verdict=verdict.value)
        for n, (who, verdict) in enumerate(history, 1)
    ]


@given(acts, st.sampled_from([1, 2]))
def test_what_counts_is_at_most_one_a_person_and_never_an_undo(history: list[tuple[str, Verdict]], wanted: int) -> None:
    count = list_counting(rows(history), wanted=wanted)
    people = [decision.reviewer for decision in count]
    assert len(people) == len(set(people))
    assert all(decision.verdict != Verdict.UNDO for decision in count)
    assert wanted == 2 or len(count) <= 1


@given(acts, st.sampled_from([1, 2]))
def test_a_lead_settles_and_an_undo_reopens(history: list[tuple[str, Verdict]], wanted: int) -> None:
    decisions = rows(history)
    stands = find_standing(decisions, wanted=wanted)
    if not decisions:
        assert stands is None
        return
    last = decisions[-1]
    if last.role in LEADS:
        assert stands is (None if last.verdict == Verdict.UNDO else last)
    elif last.verdict == Verdict.UNDO and wanted == 1:
        assert stands is None
    elif wanted == 1:
        assert stands is last
    assert not (do_differ(decisions, wanted=wanted) and stands)


@given(acts)
def test_two_reviews_need_two_people_of_one_mind(history: list[tuple[str, Verdict]]) -> None:
    stands = find_standing(rows(history), wanted=2)
    if stands is not None and stands.role not in LEADS:
        agreeing = {d.reviewer for d in rows(history) if d.verdict == stands.verdict}
        assert len(agreeing) >= 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=acts, wanted=st.sampled_from([1, 2]), seed=st.integers(0, 2**40))
def test_the_ledger_follows_the_rule(
    sqlite_ledger: Ledger, history: list[tuple[str, Verdict]], wanted: int, seed: int
) -> None:
    spec = a_spec(seed, asset=f"a{seed}")
    if sqlite_ledger.made([spec.digest]):
        return
    kept(sqlite_ledger, [spec], reviews_wanted=wanted)
    for who, verdict in history:
        revision = sqlite_ledger.picture(spec.digest).revision
        try:
            sqlite_ledger.decide(a_choice(spec, verdict, revision=revision), reviewer=who, role=PEOPLE[who])
        except NotAllowed:
            continue
    picture = sqlite_ledger.picture(spec.digest)
    stands = find_standing(picture.decisions, wanted=wanted)
    assert (picture.standing.id if picture.standing else None) == (stands.id if stands else None)
    assert picture.entry.waiting == (stands is None)
    count = {decision.reviewer for decision in list_counting(picture.decisions, wanted=wanted)}
    for who in PEOPLE:
        offered = any(item.digest == spec.digest for item in sqlite_ledger.inbox(asset=spec.asset, reviewer=who))
        assert offered == (stands is None and who not in count)
    conflicts = [conflict.image for conflict in sqlite_ledger.conflicts()]
    assert (spec.digest in conflicts) == do_differ(picture.decisions, wanted=wanted)
