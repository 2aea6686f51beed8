from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.errors import LedgerError
from schemas.review import Changes, Criterion, Result, Verdict, apply_changes
from storage.ledger import Ledger
from tests.making import a_choice, a_finding, a_keeping, a_spec, kept, sha


def test_a_picture_says_everything_about_an_image(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec], [a_finding(Criterion.HANDS), a_finding(Criterion.TEXT, Result.FLAG, score=0.9)])
    ledger.decide(a_choice(spec, Verdict.RETAKE), reviewer="ann")
    child = apply_changes(spec, Changes(), picture=sha("x"))
    decision = ledger.picture(spec.digest).decisions[0]
    ledger.plan_retake(decision.id, parent=spec.digest, child=child, refused=None)
    picture = ledger.picture(spec.digest)
    assert picture.spec == spec and picture.image.digest == spec.digest
    assert [finding.check for finding in picture.findings] == [Criterion.TEXT, Criterion.HANDS]  # worst first
    assert picture.standing is not None and picture.standing.id == decision.id
    assert [row.child for row in picture.retakes] == [child.digest]
    assert [frame.digest for frame in picture.line] == [spec.digest, child.digest]
    assert (picture.submission, picture.submission_name) == (sha("potions.yaml"), "potions.yaml")
    assert picture.submitted_by == "mara" and picture.brand.palette == ("#d62828",)
    assert picture.image.made_at.tzinfo is not None
    with pytest.raises(LedgerError, match="no image"):
        ledger.picture(child.digest)


def test_the_line_of_takes_is_seen_from_any_of_them(ledger: Ledger) -> None:
    first = a_spec()
    kept(ledger, [first, a_spec(9)])
    line = [first]
    for _ in range(3):
        parent = line[-1]
        ledger.decide(a_choice(parent, Verdict.RETAKE), reviewer="ann")
        decision = ledger.picture(parent.digest).decisions[-1].id
        child = apply_changes(parent, Changes(), picture=sha("x"))
        assert ledger.plan_retake(decision, parent=parent.digest, child=child, refused=None)
        ledger.keep_many([a_keeping(child)])
        line.append(child)
    wanted = [(spec.digest, spec.take, spec.parent) for spec in line]
    for spec in line:
        assert [(f.digest, f.take, f.parent) for f in ledger.lineage(spec.digest)] == wanted
    assert [frame.verdict for frame in ledger.lineage(first.digest)] == [Verdict.RETAKE] * 3 + [None]
    assert [frame.waiting for frame in ledger.lineage(first.digest)] == [False] * 3 + [True]


def test_a_contact_sheet_has_made_and_unmade(ledger: Ledger) -> None:
    made, unmade = a_spec(1), a_spec(2)
    kept(ledger, [made])
    ledger.plan(None, [unmade, a_spec(3, asset="blue potion")], priority=0, due=None, submitted_by="mara")
    ledger.decide(a_choice(made), reviewer="ann")
    first, second = ledger.contact_sheet("potions", "red potion")
    assert (first.digest, first.verdict, first.waiting) == (made.digest, Verdict.APPROVE, False)
    assert first.thumb_key is not None and first.made_at is not None
    assert (second.digest, second.thumb_key, second.verdict, second.waiting) == (unmade.digest, None, None, False)


def test_assets_are_counted_by_what_became_of_them(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(5)]
    kept(ledger, specs)
    ledger.plan(None, [a_spec(9), a_spec(9, project="inn", asset="sign")], priority=0, due=None, submitted_by="mara")
    for spec, verdict in zip(specs, [Verdict.APPROVE, Verdict.APPROVE, Verdict.REJECT, Verdict.RETAKE], strict=False):
        ledger.decide(a_choice(spec, verdict), reviewer="ann")
    inn, potions = ledger.assets()
    assert (inn.project, inn.asset, inn.asked, inn.made) == ("inn", "sign", 1, 0)
    counts = (potions.asked, potions.made, potions.waiting, potions.approved, potions.rejected, potions.sent_back)
    assert counts == (6, 5, 1, 2, 1, 1)
    assert ledger.assets("inn") == [inn]
    assert ledger.projects() == ["inn", "potions"]


def test_the_trail_is_newest_first_and_filtered(ledger: Ledger) -> None:
    specs = [a_spec(1), a_spec(2, project="inn", asset="sign")]
    kept(ledger, specs)
    ledger.decide(a_choice(specs[0]), reviewer="ann")
    ledger.decide(a_choice(specs[1], Verdict.REJECT), reviewer="ben")
    ledger.decide(a_choice(specs[0], Verdict.UNDO, revision=1), reviewer="ann")
    trail = ledger.decisions()
    assert [(row.decision.verdict, row.stands, row.asset) for row in trail] == [
        ("undo", False, "red potion"),
        ("reject", True, "sign"),
        ("approve", False, "red potion"),
    ]
    now = datetime.now(UTC)
    for filters, wanted in (
        ({"reviewer": "ann"}, 2),
        ({"verdict": Verdict.REJECT}, 1),
        ({"project": "inn"}, 1),
        ({"asset": "red potion"}, 2),
        ({"image": specs[0].digest, "verdict": "undo"}, 1),
        ({"since": now + timedelta(hours=1)}, 0),
        ({"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}, 3),
        ({"limit": 1}, 1),
        ({"before": trail[0].decision.id, "limit": 10}, 2),
    ):
        assert len(ledger.decisions(**filters)) == wanted, filters
