"""What was ordered and what waits, from the command line; each list as a table and as JSON."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.__main__ import app
from schemas.errors import InputError
from schemas.review import Verdict
from tests.conftest import Stack
from tests.making import a_choice, a_spec, a_submission, kept, planned, sha

LISTS = ("submissions", "queue", "assets", "set-aside", "status")


@pytest.fixture
def stack(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Three images made, one of them approved and one sent back; two more wait, by a second submission."""
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    ledger = local_stack.ledger
    kept(ledger, [a_spec(seed) for seed in range(3)])
    ledger.decide(a_choice(a_spec(0)), reviewer="rita")
    ledger.decide(a_choice(a_spec(1), Verdict.RETAKE), reviewer="rita")
    second = a_submission("more.yaml", due=date(2026, 12, 1), submitted_by="mia")
    planned(ledger, [a_spec(seed, asset="gem") for seed in range(2)], submission=second)
    return local_stack


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, "--json").output.splitlines()]


def test_submissions_with_their_images(stack: Stack) -> None:
    newest, oldest = rows("submissions")
    assert (newest["name"], newest["by"], newest["images"], newest["made"]) == ("more.yaml", "mia", 2, 0)
    assert (oldest["name"], oldest["images"], oldest["made"], oldest["state"]) == ("potions.yaml", 3, 3, "planned")
    text = run("submissions").output
    assert "2026-12-01" in text and sha("more.yaml")[:12] in text and "warning" not in text
    assert rows("submissions", "--project", "nothing") == []
    assert run("submissions", "--project", "nothing").output.strip() == "nothing was submitted"


def test_one_submission_with_its_warnings(stack: Stack) -> None:
    warning = {"file": "w.yaml", "line": 3, "column": 5, "field": "assets[0].size", "came": "x", "allowed": "y"}
    stack.ledger.submit(a_submission("w.yaml", warnings=[warning | {"cell": ""}]))
    assert "w.yaml:3:5: assets[0].size: warning:" in run("submissions", sha("w.yaml")[:8]).output
    (row,) = rows("submissions", sha("w.yaml")[:8])
    assert row["state"] == "for the next night" and row["images"] is None and len(row["warnings"]) == 1


def test_the_queue_by_urgency_and_what_moves_it(stack: Stack) -> None:
    planned(stack.ledger, [a_spec(9, asset="wall")], submission=a_submission("wall.yaml"))
    assert [(row["asset"], row["images"], row["due"]) for row in rows("queue")] == [
        ("gem", 2, "2026-12-01"),
        ("wall", 1, None),
    ]
    said = run("priority", sha("wall.yaml")[:8], "5").output
    assert "wall.yaml" in said and "priority 5, it was 0" in said
    assert [(row["asset"], row["priority"]) for row in rows("queue")] == [("wall", 5), ("gem", 0)]
    assert run("priority", sha("wall.yaml")[:8], "500").exit_code == 2


def test_cancelling_says_what_will_not_be_made(stack: Stack) -> None:
    digest = sha("more.yaml")[:10]
    said = run("cancel", digest, "--by", "mia").output
    assert "cancelled more.yaml" in said and "2 images will not be made; 0 images of it exist and stay" in said
    assert rows("queue") == [] and run("queue").output.strip() == "nothing waits to be made"
    assert "was cancelled before, by mia" in run("cancel", digest).output
    assert rows("submissions")[0]["state"] == "cancelled"
    with pytest.raises(InputError, match="got 'zz': no submission begins with 'zz'; expected the beginning"):
        run("cancel", "zz")


def test_assets_as_the_page_counts_them(stack: Stack) -> None:
    gem, potion = rows("assets", "potions")
    assert (gem["asset"], gem["asked"], gem["made"]) == ("gem", 2, 0)
    assert (potion["approved"], potion["sent_back"], potion["waiting"]) == (1, 1, 1)
    assert "sent back" in run("assets").output
    with pytest.raises(InputError, match=r"got the project 'potion'.*potions"):
        run("assets", "potion")


def test_status_as_json(stack: Stack) -> None:
    (status,) = rows("status")
    assert (status["waiting"], status["waiting_by_project"], status["to_review"]) == (2, {"potions": 2}, 1)
    assert status["approved_not_delivered"] == 1 and status["last_night"] is None


@pytest.mark.parametrize("command", LISTS)
def test_an_empty_ledger_lists_nothing_and_is_no_error(
    local_stack: Stack, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    assert run(command).output and all(isinstance(row, dict) for row in rows(command))
