"""Decisions as evidence and the library of approved images, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.review import Criterion, Result, Verdict
from storage.ledger import Ledger
from tests.making import a_choice, a_finding, a_keeping, a_spec, an_image, kept, planned

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


def test_standing_decisions_come_with_what_the_checks_said(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(3)]
    kept(ledger, specs, [a_finding(Criterion.HANDS, Result.FLAG, score=0.9)])
    ledger.decide(a_choice(specs[0]), reviewer="ada")
    ledger.decide(a_choice(specs[1], Verdict.REJECT), reviewer="ada")
    ledger.decide(a_choice(specs[1], Verdict.UNDO, revision=1), reviewer="ada")
    (one,) = ledger.judged(since=LONG_AGO)
    assert (one.image, one.spec, one.verdict) == (specs[0].digest, specs[0], Verdict.APPROVE)
    assert one.results == {Criterion.HANDS: Result.FLAG}
    assert ledger.judged(since=LONG_AGO, project="another") == []


def test_pairs_are_first_and_second_opinion(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(2)]
    kept(ledger, specs, reviews_wanted=2)
    ledger.decide(a_choice(specs[0]), reviewer="ada")
    ledger.decide(a_choice(specs[0], Verdict.REJECT, revision=1), reviewer="noor")
    ledger.decide(a_choice(specs[1]), reviewer="ada")
    assert ledger.judged_twice(since=LONG_AGO) == [(Verdict.APPROVE, Verdict.REJECT)]


def test_the_library_finds_by_words_and_by_likeness(ledger: Ledger) -> None:
    specs = [
        a_spec(n, asset="thing", prompt=prompt)
        for n, prompt in enumerate(("a red potion", "a blue POTION 50%", "a sword"))
    ]
    hashes = [f"{bits:036x}" + "7" * 18 for bits in (0xFF, 0xF, 2**144 - 1)]
    planned(ledger, specs)
    pairs = zip(specs, hashes, strict=True)
    ledger.keep_many([a_keeping(spec, image=an_image(spec, phash=phash)) for spec, phash in pairs])
    assert ledger.library() == []
    assert len(ledger.library(approved=False)) == 3
    for spec in specs:
        ledger.decide(a_choice(spec), reviewer="ada")
    assert {found.image for found in ledger.library(["potion", "a"])} == {specs[0].digest, specs[1].digest}
    assert ledger.library(["num_inference_steps"]) == []
    assert [found.image for found in ledger.library(["50%"])] == [specs[1].digest]
    assert [found.image for found in ledger.library(like=hashes[1])] == [specs[n].digest for n in (1, 0, 2)]
