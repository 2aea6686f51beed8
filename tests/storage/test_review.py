from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import event

from schemas.errors import LedgerError, NotAllowed, StaleDecision
from schemas.review import Changes, Criterion, Drawing, Mark, Result, Verdict
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from tests.making import a_choice, a_finding, a_spec, kept


def waiting(ledger: Ledger, **filters: object) -> list[str]:
    return [item.digest for item in ledger.inbox(**filters)]  # type: ignore[arg-type]


def test_every_image_waits_until_it_is_decided(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(3)]
    kept(ledger, specs)
    assert set(waiting(ledger)) == {spec.digest for spec in specs}
    assert ledger.decide(a_choice(specs[0]), reviewer="ann") == 1
    assert set(waiting(ledger)) == {spec.digest for spec in specs[1:]}
    assert [(count.project, count.asset, count.waiting) for count in ledger.inbox_counts()] == [
        ("potions", "red potion", 2)
    ]


def test_a_decision_is_kept_as_it_was_taken(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    region = Drawing(x=0.1, y=0.2, width=0.3, height=0.4, criterion=Criterion.HANDS, label="six fingers")
    choice = a_choice(
        spec,
        Verdict.RETAKE,
        marks={Criterion.HANDS: Mark.BAD, Criterion.TEXT: Mark.OK},
        regions=(region,),
        note="Hände: sechs Finger",
        changes=Changes(region=region, strength=0.6),
        seconds=2.5,
    )
    ledger.decide(choice, reviewer="ann", role="lead")
    (row,) = ledger.picture(spec.digest).decisions
    assert (row.verdict, row.reviewer, row.role, row.revision) == ("retake", "ann", "lead", 1)
    assert row.marks == {"hands": "bad", "text": "ok"}
    assert Drawing.model_validate(row.regions[0]) == region
    assert Changes.model_validate(row.changes) == choice.changes
    assert (row.note, row.seconds) == (choice.note, 2.5)


def test_a_stale_page_loses_and_is_told_to_whom(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    ledger.decide(a_choice(spec), reviewer="ann")
    with pytest.raises(StaleDecision, match=r"^ann approved it at \d{4}-.* UTC\. Your reject was not recorded$"):
        ledger.decide(a_choice(spec, Verdict.REJECT), reviewer="ben", role="lead")
    picture = ledger.picture(spec.digest)
    assert [decision.verdict for decision in picture.decisions] == ["approve"]
    assert picture.revision == 1
    with pytest.raises(StaleDecision, match="there is no image"):
        ledger.decide(a_choice(a_spec(99)), reviewer="ann")


def test_undo_puts_the_image_back_and_revives_nothing(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    ledger.decide(a_choice(spec), reviewer="ann")
    ledger.decide(a_choice(spec, Verdict.REJECT, revision=1), reviewer="ann")
    assert ledger.picture(spec.digest).standing.verdict == "reject"  # type: ignore[union-attr]
    assert ledger.decide(a_choice(spec, Verdict.UNDO, revision=2), reviewer="ann") == 3
    assert waiting(ledger) == [spec.digest]
    assert ledger.picture(spec.digest).standing is None
    with pytest.raises(NotAllowed, match="nothing to take back"):
        ledger.decide(a_choice(spec, Verdict.UNDO, revision=3), reviewer="ann")
    ledger.decide(a_choice(spec, revision=3), reviewer="ben")
    assert [d.verdict for d in ledger.picture(spec.digest).decisions] == ["approve", "reject", "undo", "approve"]
    assert waiting(ledger) == []


def test_who_may_decide_what(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    with pytest.raises(NotAllowed, match="guest; deciding takes one of admin, lead, reviewer"):
        ledger.decide(a_choice(spec), reviewer="gus", role="guest")
    ledger.decide(a_choice(spec), reviewer="ann")
    with pytest.raises(NotAllowed, match=r"ann approved it at .*; only ann or a lead can take that back"):
        ledger.decide(a_choice(spec, Verdict.UNDO, revision=1), reviewer="ben")
    with pytest.raises(NotAllowed, match=r"ann approved it at .*; only a lead can decide otherwise"):
        ledger.decide(a_choice(spec, Verdict.REJECT, revision=1), reviewer="ben")
    ledger.decide(a_choice(spec, Verdict.REJECT, revision=1), reviewer="lou", role="lead")
    with pytest.raises(NotAllowed, match="lou rejected it"):
        ledger.decide(a_choice(spec, revision=2), reviewer="ann")
    ledger.decide(a_choice(spec, Verdict.UNDO, revision=2), reviewer="mia", role="admin")
    assert waiting(ledger) == [spec.digest]


def test_a_refused_decision_leaves_nothing(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    ledger.decide(a_choice(spec), reviewer="ann")
    with pytest.raises(NotAllowed):
        ledger.decide(a_choice(spec, Verdict.UNDO, revision=1), reviewer="ben")
    picture = ledger.picture(spec.digest)
    assert (picture.revision, len(picture.decisions)) == (1, 1)


def test_two_reviewers_must_agree(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec], reviews_wanted=2)
    ledger.decide(a_choice(spec), reviewer="ann")
    assert waiting(ledger, reviewer="ann") == []
    assert waiting(ledger, reviewer="ben") == waiting(ledger) == [spec.digest]
    assert ledger.deliverable() == []
    ledger.decide(a_choice(spec, revision=1), reviewer="ann")  # the same person twice is one review
    assert waiting(ledger) == [spec.digest]
    ledger.decide(a_choice(spec, revision=2), reviewer="ben")
    assert waiting(ledger) == []
    assert [image.digest for image, *_ in ledger.deliverable()] == [spec.digest]
    assert ledger.conflicts() == []


def test_reviewers_who_differ_leave_it_waiting_for_a_third_or_a_lead(ledger: Ledger) -> None:
    third, lead = a_spec(1), a_spec(2)
    kept(ledger, [third, lead], reviews_wanted=2)
    for spec in (third, lead):
        ledger.decide(a_choice(spec), reviewer="ann")
        ledger.decide(a_choice(spec, Verdict.REJECT, revision=1), reviewer="ben")
    conflicts = {c.image: [d.reviewer for d in c.decisions] for c in ledger.conflicts(project="potions")}
    assert conflicts == {third.digest: ["ann", "ben"], lead.digest: ["ann", "ben"]}
    assert waiting(ledger, reviewer="ann") == waiting(ledger, reviewer="ben") == []
    assert set(waiting(ledger, reviewer="cid")) == {third.digest, lead.digest}
    ledger.decide(a_choice(third, revision=2), reviewer="cid")
    assert ledger.picture(third.digest).standing.verdict == "approve"  # type: ignore[union-attr]
    ledger.decide(a_choice(lead, Verdict.REJECT, revision=2), reviewer="lou", role="lead")
    assert ledger.picture(lead.digest).standing.reviewer == "lou"  # type: ignore[union-attr]
    assert ledger.conflicts() == [] and waiting(ledger) == []


def test_undo_in_a_double_review_takes_back_ones_own(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec], reviews_wanted=2)
    ledger.decide(a_choice(spec), reviewer="ann")
    ledger.decide(a_choice(spec, Verdict.REJECT, revision=1), reviewer="ben")
    ledger.decide(a_choice(spec, Verdict.UNDO, revision=2), reviewer="ben")
    assert waiting(ledger, reviewer="ann") == [] and waiting(ledger, reviewer="ben") == [spec.digest]
    ledger.decide(a_choice(spec, revision=3), reviewer="ben")
    assert waiting(ledger) == []  # ann's approval still counted
    ledger.decide(a_choice(spec, Verdict.UNDO, revision=4), reviewer="lou", role="lead")
    assert waiting(ledger, reviewer="ann") == waiting(ledger, reviewer="ben") == [spec.digest]


def test_the_inbox_pages_through_everything_once_in_order(ledger: Ledger) -> None:
    specs = [a_spec(seed, asset=f"asset {seed % 3}") for seed in range(25)]
    for seed, spec in enumerate(specs):
        result = Result.FLAG if seed % 5 == 0 else Result.PASS
        kept(ledger, [spec], [a_finding(Criterion.TEXT, result)], rank=seed % 4)
    pages, last = [], None
    while page := ledger.inbox(limit=7, after=last):
        pages.append([item.digest for item in page])
        last = page[-1].digest
        ledger.decide(a_choice(a_spec_of(specs, last)), reviewer="ann")  # it may leave: the place stays
    assert [len(page) for page in pages] == [7, 7, 7, 4]
    seen = [digest for page in pages for digest in page]
    assert len(set(seen)) == 25
    ranks = [specs.index(a_spec_of(specs, digest)) % 4 for digest in seen]
    assert ranks == sorted(ranks)
    flagged = ledger.inbox(check=Criterion.TEXT, limit=100)
    assert all(item.results == {Criterion.TEXT: Result.FLAG} for item in flagged)
    assert {specs.index(a_spec_of(specs, item.digest)) % 5 for item in flagged} == {0}
    assert all(item.asset == "asset 1" for item in ledger.inbox(project="potions", asset="asset 1"))
    assert ledger.inbox(project="another") == []
    with pytest.raises(LedgerError):
        ledger.inbox(after="0" * 64)


def a_spec_of(specs: list[ImageSpec], digest: str) -> ImageSpec:
    return next(spec for spec in specs if spec.digest == digest)


def test_twenty_reviewers_at_once_lose_and_double_nothing(ledger: Ledger) -> None:
    specs = [a_spec(seed) for seed in range(12)]
    kept(ledger, specs)
    recorded: list[tuple[str, str]] = []
    stale, start = [], threading.Barrier(20)

    def review(name: str) -> None:
        start.wait()
        for spec in specs:
            try:
                ledger.decide(a_choice(spec), reviewer=name)
                recorded.append((spec.digest, name))
            except StaleDecision as error:
                stale.append(str(error))

    threads = [threading.Thread(target=review, args=(f"r{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorded) == len(specs) and len(stale) == 19 * len(specs)
    written = [(row.decision.image, row.decision.reviewer) for row in ledger.decisions(limit=None)]
    assert sorted(written) == sorted(recorded)
    assert waiting(ledger) == []


def test_decisions_of_many_on_one_image_are_one_line_of_revisions(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])

    def review(name: str) -> None:
        for _ in range(4):
            while True:
                try:
                    ledger.decide(
                        a_choice(spec, revision=ledger.picture(spec.digest).revision), reviewer=name, role="lead"
                    )
                    break
                except StaleDecision:
                    continue

    threads = [threading.Thread(target=review, args=(f"r{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decisions = ledger.picture(spec.digest).decisions
    assert [decision.revision for decision in decisions] == list(range(1, 25))
    assert {d.reviewer: sum(e.reviewer == d.reviewer for e in decisions) for d in decisions} == {
        f"r{n}": 4 for n in range(6)
    }


def test_the_inbox_is_read_from_its_indexes_alone(sqlite_ledger: Ledger) -> None:
    """However many images there are: no scan and no sort. (bench/ledger.py has the times at a million.)"""
    specs = [a_spec(seed, asset=f"asset {seed % 3}") for seed in range(30)]
    kept(sqlite_ledger, specs, [a_finding(Criterion.TEXT, Result.FLAG)])
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(sqlite_ledger.engine, "before_cursor_execute", note)
    for filters, index in (
        ({}, "ix_inbox_waiting"),
        ({"check": "text"}, "ix_inbox_waiting"),
        ({"after": specs[0].digest}, "ix_inbox_waiting"),
        ({"project": "potions"}, "ix_inbox_project_waiting"),
        ({"project": "potions", "asset": "asset 1"}, "ix_inbox_asset_waiting"),
    ):
        asked.clear()
        assert sqlite_ledger.inbox(**filters)  # type: ignore[arg-type]
        (page,) = [
            (statement, given) for statement, given in asked if "ORDER BY" in statement and "images" not in statement
        ]
        with sqlite_ledger.engine.connect() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {page[0]}", page[1])]
        assert len(plan) == 1 and f"USING INDEX {index}" in plan[0], (filters, plan)
    asked.clear()
    sqlite_ledger.picture(specs[0].digest)
    sqlite_ledger.awaiting_retake()
    sqlite_ledger.conflicts()
    for statement, given in asked:
        if statement.startswith(("SELECT", "WITH")):
            with sqlite_ledger.engine.connect() as connection:
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]
            scans = [step for step in plan if step.startswith("SCAN") and "USING" not in step and "VIRTUAL" not in step]
            assert all(step.split()[1] in ("up", "down", "submissions") for step in scans), (statement, plan)
    event.remove(sqlite_ledger.engine, "before_cursor_execute", note)
