"""Who has which image in hand, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.review import Verdict
from storage.ledger import Ledger
from tests.making import a_choice, a_spec, kept


def test_an_image_is_in_one_persons_hands(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(4)]
    kept(ledger, specs)
    ids = [spec.digest for spec in specs]
    assert ledger.hold(ids[:3], reviewer="ada", seconds=60) == set(ids[:3])
    assert ledger.hold(ids, reviewer="noor", seconds=60) == {ids[3]}
    assert {item.digest for item in ledger.inbox(reviewer="noor")} == {ids[3]}
    assert {item.digest for item in ledger.inbox(reviewer="ada")} == set(ids[:3])
    assert len(ledger.inbox()) == 4
    (other,) = ledger.others_hands("noor")
    assert (other.reviewer, other.images) == ("ada", 3)
    ledger.let_go("ada", ids[:1])
    assert ledger.hold(ids, reviewer="noor", seconds=60) == {ids[0], ids[3]}
    ledger.take_over("noor")
    assert ledger.hold(ids, reviewer="noor", seconds=60) == set(ids)


def test_claims_run_out_and_double_reviews_have_two_hands(ledger: Ledger) -> None:
    specs = [a_spec(1), a_spec(2)]
    kept(ledger, specs[:1])
    kept(ledger, specs[1:], reviews_wanted=2)
    ids = [spec.digest for spec in specs]
    assert ledger.hold(ids, reviewer="ada", seconds=-1) == set(ids)
    assert ledger.hold(ids, reviewer="noor", seconds=60) == set(ids)
    assert ledger.hold(ids, reviewer="ada", seconds=60) == {ids[1]}
    assert ledger.hold(ids, reviewer="mara", seconds=60) == set()


def test_what_is_decided_is_in_nobodys_hands(ledger: Ledger) -> None:
    spec = a_spec(1)
    kept(ledger, [spec])
    ledger.decide(a_choice(spec, Verdict.APPROVE), reviewer="ada")
    assert ledger.hold([spec.digest], reviewer="ada", seconds=60) == set()
    assert ledger.tally(datetime.now(UTC) - timedelta(hours=1)) == {"ada": 1}
