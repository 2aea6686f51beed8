"""What a page asks is answered from indexes, however many images there are. (bench/ledger.py has the times.)

Every statement that a page's calls send is explained by the database itself. On SQLite no step may go through a table
row by row; a step may go through an index only where its numbers are what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from bench.meaning import fill_vectors
from bench.million import fill
from storage.ledger import Ledger

NOW = datetime.now(UTC)
AGO = NOW - timedelta(days=365)

PAGES: dict[str, Callable[[Ledger, str, str], object]] = {
    "inbox": lambda at, image, _: [
        at.inbox(reviewer="r1", limit=40),
        at.inbox(project="project 0", after=image, limit=40),
        at.inbox(check="text"),
        at.inbox_counts(),
        at.tally(NOW - timedelta(hours=9)),
        at.picture(image),
        at.briefs([image]),
        at.others_hands("r1"),
    ],
    "grid": lambda at, *_: at.inbox(reviewer="r1", limit=300),
    "conflicts": lambda at, *_: at.conflicts(),
    "assets": lambda at, _, asset: [
        at.projects(), at.assets(), at.assets("project 0"), at.contact_sheet("project 0", asset, limit=400),
    ],
    "nights": lambda at, *_: [at.nights(60), at.summary(1), at.night_progress(1), at.set_aside()],
    "decisions": lambda at, image, _: [
        at.reviewers(),
        at.decisions(limit=500),
        at.decisions(project="project 0", reviewer="r1", verdict="reject", limit=500),
        at.decisions(since=AGO, until=NOW, before=1, limit=500),
        at.decisions(image=image),
    ],
    "insights": lambda at, *_: [
        at.judged(since=AGO), at.judged(since=AGO, project="project 0"), at.judged_twice(since=AGO),
    ],
    "library": lambda at, image, _: [
        at.library(),
        at.library(["key"], project="project 0"),
        at.library(approved=False),
        at.library(["key"], approved=False, project="project 0"),
        at.library(like="0" * 16),
        at.library(["key"], near=image, colour="#1d3557"),
        at.library_beyond_words(["golden", "key"], approved=False),
    ],
    "you": lambda at, *_: at.tally(AGO, reviewer="r1"),
    "submit": lambda at, *_: at.pace(),
}  # fmt: skip

BY_NATURE = {
    # pages of an index in its own order, and counts of all that an index holds
    "inbox": ("ix_inbox_waiting", "ix_inbox_asset_waiting"),
    "grid": ("ix_inbox_waiting",),
    "conflicts": ("ix_inbox_differing",),
    "assets": ("ix_specs_asset", "ix_inbox_asset_verdict", "ix_deliveries_asset"),
    "nights": ("ix_jobs_open", "ix_jobs_set_aside"),
    "decisions": ("ix_decisions_trail",),
    "library": ("ix_images_made_at",),
    "submit": ("ix_images_made_at",),
}
SMALL = ("nights", "claims", "submissions")
"""Tables that do not grow with the images."""


@pytest.fixture
def many(sqlite_ledger: Ledger) -> Iterator[Ledger]:
    fill(sqlite_ledger.engine, 410, 60)
    fill_vectors(sqlite_ledger.engine, 410)
    yield sqlite_ledger


def explained(ledger: Ledger, ask: Callable[[], object]) -> list[tuple[str, str]]:
    """Statements that `ask` sends, each with every step of its plan."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(ledger.engine, "before_cursor_execute", note)
    ask()
    event.remove(ledger.engine, "before_cursor_execute", note)
    with ledger.engine.connect() as connection:
        return [
            (statement, row[3])
            for statement, given in asked
            if statement.startswith(("SELECT", "WITH"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
        ]


def goes_through_all(step: str, page: str) -> bool:
    """Whether a step's work grows with the images, beyond what BY_NATURE allows this page."""
    if not step.startswith("SCAN") or "VIRTUAL TABLE" in step or "CONSTANT ROW" in step:
        return False
    words = step.split()
    if "USING" in words:
        return words[-1] not in BY_NATURE.get(page, ()) and words[1] not in SMALL
    return words[1] not in (*SMALL, "found", "up", "down") and not words[1].startswith(("anon_", "(", "newest"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_no_table_from_end_to_end(many: Ledger, page: str) -> None:
    waiting = many.inbox(limit=1)[0]
    steps = explained(many, lambda: PAGES[page](many, waiting.digest, waiting.asset))
    assert steps
    assert [(statement, step) for statement, step in steps if goes_through_all(step, page)] == []


def test_without_an_index_the_same_test_fails(many: Ledger) -> None:
    with many.engine.begin() as connection:
        for name in ("ix_inbox_waiting", "ix_specs_asset", "ix_decisions_trail"):
            connection.execute(text(f"DROP INDEX {name}"))
    for page in ("grid", "assets", "decisions"):
        steps = explained(many, lambda: PAGES[page](many, "0" * 64, ""))  # noqa: B023
        assert any(goes_through_all(step, page) for _, step in steps), page


def test_the_counts_of_a_filled_ledger_are_those_of_its_rows(many: Ledger) -> None:
    """The benchmark's rows are such as the ledger writes: what is derived and what is kept agree."""
    with many.engine.connect() as connection:
        for query in (
            "SELECT count(*) FROM inbox WHERE waiting != (decision IS NULL) OR waiting != (verdict IS NULL)",
            "SELECT count(*) FROM inbox JOIN decisions d ON d.id = decision WHERE d.verdict != inbox.verdict",
            "SELECT count(*) FROM inbox i WHERE revision != (SELECT count(*) FROM decisions d WHERE d.image = i.image)",
            "SELECT count(*) FROM decisions d JOIN images i ON i.digest = d.image WHERE i.project != d.project",
        ):
            assert connection.scalar(text(query)) == 0, query
    counts = many.assets()
    assert sum(count.made for count in counts) == 410
    assert sum(count.waiting for count in counts) == sum(count.waiting for count in many.inbox_counts()) == 60
    assert len(many.decisions(limit=None)) == 350 + 4 + 2  # one in a hundred is judged twice, waiting or not
    assert len(many.conflicts()) == 1
