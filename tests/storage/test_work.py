from __future__ import annotations

import threading
from datetime import date

import pytest

from schemas.errors import LedgerError
from schemas.records import Spec
from schemas.review import Criterion, Region, Result
from storage.ledger import Ledger
from tests.making import a_finding, a_keeping, a_spec, a_submission, planned, sha


def test_waiting_is_in_order_of_urgency_and_says_what_the_night_needs(ledger: Ledger) -> None:
    late, soon, urgent = a_spec(1), a_spec(2), a_spec(3)
    ledger.plan(None, [late], priority=0, due=None, submitted_by="mara")
    ledger.plan(None, [soon], priority=0, due=date(2026, 12, 1), submitted_by="theo")
    ledger.plan(None, [urgent], priority=5, due=None, submitted_by="mara")
    waiting = ledger.waiting()
    assert [item.digest for item in waiting] == [urgent.digest, soon.digest, late.digest]
    item = waiting[1]
    assert (item.due, item.submitted_by, item.attempts, item.asset) == (date(2026, 12, 1), "theo", 0, "red potion")
    assert (item.batch_key, item.affinity_key) == (soon.batch_key, soon.affinity_key)
    assert waiting[0].due is None
    assert [item.digest for item in ledger.waiting(limit=1)] == [urgent.digest]
    assert ledger.waiting(project="another") == []


def test_a_claim_is_for_one_worker_until_it_runs_out(ledger: Ledger) -> None:
    first, second = a_spec(1), a_spec(2)
    planned(ledger, [first, second])
    assert ledger.claim([second.digest, first.digest], worker="a", seconds=60) == [second, first]
    assert ledger.claim([first.digest], worker="b", seconds=60) == []
    assert ledger.waiting() == [] and ledger.in_hand() == 2
    assert ledger.leased("a") == sorted([first.digest, second.digest])
    ledger.release([first.digest], worker="b")  # not b's to give
    assert ledger.leased("a") == sorted([first.digest, second.digest])
    ledger.release([first.digest], worker="a")
    assert ledger.claim([first.digest], worker="b", seconds=-1) == [first]  # a lease that has run out already
    assert ledger.claim([first.digest], worker="c", seconds=60) == [first]
    assert ledger.renew([first.digest, second.digest], worker="b", seconds=60) == set()
    assert ledger.renew([first.digest, second.digest], worker="a", seconds=60) == {second.digest}
    ledger.release([first.digest], worker="c")
    assert [item.attempts for item in ledger.waiting()] == [3]


def test_a_spec_beyond_the_bounds_of_this_program_is_set_aside_and_the_rest_is_made(ledger: Ledger) -> None:
    """As an older program planned them, from a retake of 10**9 steps."""
    sound, endless = a_spec(1), a_spec(2)
    planned(ledger, [sound, endless])
    with ledger.writing("test") as session:
        row = session.get_one(Spec, endless.digest)
        row.body = row.body | {"num_inference_steps": 10**9}
    assert ledger.claim([endless.digest, sound.digest], worker="a", seconds=60) == [sound]
    (aside,) = ledger.set_aside()
    assert aside.digest == endless.digest and aside.cause == "SpecRefused"
    assert "num_inference_steps: Input should be less than or equal to 500" in aside.message


def test_many_workers_claim_everything_exactly_once(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(300)]
    planned(ledger, specs)
    digests = [spec.digest for spec in specs]
    won: list[tuple[str, str]] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for at in range(0, 300, 10):
            batch = digests[at : at + 20] if number % 2 else digests[at : at + 20][::-1]
            won.extend((spec.digest, str(number)) for spec in ledger.claim(batch, worker=str(number), seconds=60))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(digest for digest, _ in won) == sorted(digests)
    for number in range(8):
        assert ledger.leased(str(number)) == sorted(digest for digest, worker in won if worker == str(number))


def test_keeping_writes_image_findings_and_inbox_entry_at_once(ledger: Ledger) -> None:
    spec = a_spec()
    planned(ledger, [spec])
    ledger.claim([spec.digest], worker="a", seconds=60)
    region = Region(x=0.5, y=0.5, width=0.1, height=0.1, criterion=Criterion.HANDS)
    findings = [
        a_finding(Criterion.HANDS, Result.FLAG, score=0.75, regions=(region,), data={"hands": 2}),
        a_finding(Criterion.TEXT, Result.NOT_CHECKED, sentence="no model"),
    ]
    assert ledger.keep_many([a_keeping(spec, findings, rank=-7, reviews_wanted=2)]) == 1
    assert ledger.waiting() == [] and ledger.leased("a") == [] and ledger.made([spec.digest]) == {spec.digest}
    picture = ledger.picture(spec.digest)
    assert picture.findings == tuple(findings)
    assert (picture.entry.rank, picture.entry.reviews_wanted, picture.entry.waiting) == (-7, 2, True)
    assert picture.image.object_key.startswith("images/")
    assert picture.spec == spec


def test_the_first_image_of_a_spec_counts(ledger: Ledger) -> None:
    spec, other = a_spec(1), a_spec(2)
    planned(ledger, [spec, other])
    keeping = a_keeping(spec)
    assert ledger.keep(keeping.image, [], criteria=[], rank=0)
    late = a_keeping(spec)
    late.image.object_key = "images/00/other.png"
    assert ledger.keep_many([late, a_keeping(other)]) == 1
    assert ledger.picture(spec.digest).image.object_key == keeping.image.object_key
    assert len(ledger.inbox()) == 2


def test_an_image_nobody_planned_is_refused_whole(ledger: Ledger) -> None:
    spec = a_spec(1)
    planned(ledger, [spec])
    with pytest.raises(LedgerError, match=a_spec(2).digest):
        ledger.keep_many([a_keeping(spec), a_keeping(a_spec(2))])
    assert ledger.made([spec.digest]) == set() and ledger.inbox() == []


def test_no_finding_can_keep_an_image_out(ledger: Ledger) -> None:
    spec = a_spec()
    planned(ledger, [spec])
    odd = [
        a_finding(Criterion.TEXT, Result.PASS, sentence="first"),
        a_finding(
            Criterion.TEXT, Result.ERROR, sentence="read\0this", score=0.5, data={"word": object(), "x": float("nan")}
        ),
    ]
    assert ledger.keep_many([a_keeping(spec, odd)]) == 1
    (finding,) = ledger.picture(spec.digest).findings
    assert finding.result is Result.ERROR  # the worse one, never the clean one
    assert finding.sentence == "read\N{REPLACEMENT CHARACTER}this first"
    assert finding.data["x"] is None


def test_a_spec_that_keeps_failing_is_set_aside_and_can_be_released(ledger: Ledger) -> None:
    spec, sound = a_spec(1), a_spec(2)
    planned(ledger, [spec, sound])
    for attempt in range(3):
        assert ledger.claim([spec.digest], worker="a", seconds=60) == [spec]
        message = f"no {attempt}"
        aside = ledger.fail(spec.digest, cause="NotFinite", message=message, worker="a", night=None, max_attempts=3)
        assert aside == (attempt == 2)
    assert [item.digest for item in ledger.waiting()] == [sound.digest]
    assert ledger.claim([spec.digest], worker="a", seconds=60) == []
    (aside_row,) = ledger.set_aside()
    assert (aside_row.digest, aside_row.asset, aside_row.cause, aside_row.message) == (
        spec.digest,
        "red potion",
        "NotFinite",
        "no 2",
    )
    assert ledger.release_set_aside([spec.digest, sound.digest], "lou") == 1
    assert ledger.set_aside() == []
    (released,) = [item for item in ledger.waiting() if item.digest == spec.digest]
    assert released.attempts == 0
    assert not ledger.fail(spec.digest, cause="x", message="x", worker="a", night=None, max_attempts=3)


def test_a_failure_frees_only_ones_own_lease_and_never_a_made_image(ledger: Ledger) -> None:
    spec = a_spec()
    planned(ledger, [spec])
    ledger.claim([spec.digest], worker="a", seconds=-1)
    ledger.claim([spec.digest], worker="b", seconds=60)
    ledger.fail(spec.digest, cause="x", message="late news", worker="a", night=None, max_attempts=3)
    assert ledger.leased("b") == [spec.digest]
    ledger.keep_many([a_keeping(spec)])
    assert not ledger.fail(spec.digest, cause="x", message="later", worker="a", night=None, max_attempts=1)
    assert ledger.set_aside() == []


def test_what_was_given_back_untried_counts_for_nothing(ledger: Ledger) -> None:
    spec = a_spec()
    planned(ledger, [spec])
    ledger.claim([spec.digest], worker="a", seconds=60)
    ledger.release([spec.digest], worker="a", untried=True)
    assert [item.attempts for item in ledger.waiting()] == [0]


def test_a_cancelled_submission_is_made_no_more_unless_another_wants_it(ledger: Ledger) -> None:
    only, shared = a_spec(1), a_spec(2)
    one, two = a_submission("one.yaml"), a_submission("two.yaml")
    planned(ledger, [only, shared], submission=one)
    planned(ledger, [shared], submission=two)
    ledger.cancel(sha("one.yaml"), "mara")
    assert [item.digest for item in ledger.waiting()] == [shared.digest]
    assert ledger.claim([only.digest, shared.digest], worker="a", seconds=60) == [shared]
    assert ledger.submission(sha("one.yaml")).cancelled_by == "mara"


def test_perceptual_hashes_of_an_asset(ledger: Ledger) -> None:
    specs = [a_spec(1), a_spec(2), a_spec(3, asset="blue potion")]
    planned(ledger, specs)
    keepings = [a_keeping(spec) for spec in specs]
    keepings[0].image.phash, keepings[2].image.phash = "f0f0", "0f0f"
    ledger.keep_many(keepings)
    assert ledger.phashes("potions", "red potion") == {specs[0].digest: "f0f0"}
