"""The commands that list what was ordered and what waits, and that change an order: submissions, cancel, priority,
queue, assets, sheet. Each list is a table, or with `--json` a JSON object a line."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from schemas.records import Submission
    from storage.ledger import Ledger

JsonLines = Annotated[bool, typer.Option("--json", help="a JSON object a line, for programs")]
Digest = Annotated[
    str, typer.Argument(help="as `dailies submissions` lists it; its beginning will do", show_default=False)
]
By = Annotated[str, typer.Option("--by", help="who; for the record")]
Project = Annotated[str | None, typer.Option("--project", help="of this project only")]


def submissions(
    digest: Annotated[str | None, typer.Argument(help="one of them, with its warnings", metavar="[DIGEST]")] = None,
    project: Project = None,
    limit: Annotated[int, typer.Option(min=1, help="the newest so many")] = 50,
    lines: JsonLines = False,
) -> None:
    """List what was submitted, newest first: who, when, how many images, how many of them exist."""
    from flows.commands.tables import print_rows

    ledger = _ledger()
    found = [_find(ledger, digest)] if digest else ledger.submissions(project=project, limit=limit)
    counts = ledger.count_images([one.digest for one in found])
    rows = []
    for one in found:
        asked, made = counts.get(one.digest, (0, 0))
        state = "cancelled" if one.cancelled_at else "planned" if one.planned_at else "for the next night"
        row: dict[str, Any] = {
            "digest": one.digest if lines else one.digest[:12],
            "name": one.name,
            "project": one.project,
            "by": one.submitted_by,
            "submitted": one.submitted_at.isoformat() if lines else f"{one.submitted_at:%Y-%m-%d %H:%M}",
            "priority": one.priority,
            "due": one.due and one.due.isoformat(),
            "images": asked if one.planned_at else None,
            "made": made if one.planned_at else None,
            "state": state,
        }
        rows.append(row | ({"warnings": _warnings(one)} if lines else {}))
    print_rows(rows, lines=lines, empty="nothing was submitted")
    if digest and not lines:
        for sentence in _warnings(found[0]):
            print(sentence)


def cancel(digest: Digest, by: By = "") -> None:
    """Take a submission back: what only it asks for is not made. What exists stays, and stays to be reviewed."""
    from flows.commands.tables import count_nouns
    from storage.intake import make_local_name

    ledger = _ledger()
    submission = _find(ledger, digest)
    if submission.cancelled_at is not None:
        print(f"{submission.name} ({submission.digest[:12]}) was cancelled before, by {submission.cancelled_by}")
        return
    before = len(ledger.waiting())
    ledger.cancel(submission.digest, by or make_local_name())
    _, made = ledger.count_images([submission.digest]).get(submission.digest, (0, 0))
    print(f"cancelled {submission.name} ({submission.digest[:12]})")
    if submission.planned_at is not None:
        gone = count_nouns(before - len(ledger.waiting()), "image")
        print(f"{gone} will not be made; {count_nouns(made, 'image')} of it exist and stay")


def priority(
    digest: Digest,
    number: Annotated[int, typer.Argument(min=-100, max=100, help="higher is made first", metavar="PRIORITY")],
) -> None:
    """Move everything that a submission asks for forward or back in the queue."""
    ledger = _ledger()
    submission = _find(ledger, digest)
    ledger.prioritise(submission.digest, number)
    print(f"{submission.name} ({submission.digest[:12]}): priority {number}, it was {submission.priority}")


def queue(
    project: Project = None,
    lines: JsonLines = False,
) -> None:
    """List what waits to be made, most urgent first, by asset."""
    from flows.commands.tables import print_rows

    ledger = _ledger()
    waiting = ledger.waiting(project=project)
    rows = []
    for key, items in groupby(
        waiting, key=lambda item: (item.priority, item.due, item.project, item.asset, item.submitted_by)
    ):
        some = list(items)
        rows.append(
            {
                "priority": key[0],
                "due": key[1] and key[1].isoformat(),
                "project": key[2],
                "asset": key[3],
                "by": key[4],
                "images": len(some),
                "attempts": max(item.attempts for item in some),
                "first": some[0].digest if lines else some[0].digest[:12],
            }
        )
    print_rows(rows, lines=lines, empty="nothing waits to be made")


def assets(
    project: Annotated[str | None, typer.Argument(help="else of every project", metavar="[PROJECT]")] = None,
    lines: JsonLines = False,
) -> None:
    """List each asset: images asked for and made, to be reviewed, approved, rejected, sent back, delivered."""
    from dataclasses import asdict

    from flows.commands.tables import print_rows
    from schemas.errors import InputError
    from schemas.names import suggest_names

    ledger = _ledger()
    counts = ledger.assets(project)
    if project is not None and not counts and project not in (known := ledger.projects()):
        raise InputError(f"got the project {project!r}; {suggest_names(project, known)}")
    rows = [{name.replace("_", " "): value for name, value in asdict(count).items()} for count in counts]
    if lines:
        rows = [asdict(count) for count in counts]
    print_rows(rows, lines=lines, empty="nothing is planned yet")


def sheet(
    project: Annotated[str, typer.Argument(help="as `dailies assets` lists it", show_default=False)],
    assets: Annotated[list[str] | None, typer.Argument(help="only these", metavar="[ASSET]...")] = None,
    approved: Annotated[bool, typer.Option("--approved", help="only what is approved")] = False,
    out: Annotated[Path | None, typer.Option(help=".png or .pdf; else both, named after the project")] = None,
    side: Annotated[int, typer.Option(min=64, max=800, help="px of a picture on a page of 1754 px")] = 240,
) -> None:
    """Make a contact sheet of a project's images, asset by asset: PNG and PDF."""
    from flows.__main__ import settings
    from flows.commands.tables import count_nouns
    from tasks.contact_sheet import check_ending, write_sheet
    from tasks.delivery.names import make_safe_name
    from tasks.parts import open_parts
    from tasks.project_sheet import list_groups

    if out is not None:
        check_ending(out)
    parts = open_parts(settings())
    groups = list_groups(parts.ledger, parts.store, project, assets=assets, approved=approved)
    stem = make_safe_name(project)
    title = f"{project}: {count_nouns(sum(len(group.tiles) for group in groups), 'image')}"
    for path in [out] if out is not None else [Path(f"{stem}.png"), Path(f"{stem}.pdf")]:
        for file in write_sheet(path, groups, title=title, side=side):
            print(file)


def _ledger() -> Ledger:
    from flows.__main__ import settings
    from tasks.parts import open_parts

    return open_parts(settings()).ledger


def _find(ledger: Ledger, digest: str) -> Submission:
    """Raises InputError for none or several."""
    from schemas.errors import InputError, LedgerError, LedgerUnavailable

    try:
        return ledger.find_submission(digest)
    except LedgerUnavailable:
        raise
    except LedgerError as wrong:
        expected = "the beginning of one digest that `dailies submissions` lists"
        raise InputError(f"got {digest!r}: {wrong}; expected {expected}") from None


def _warnings(submission: Submission) -> list[str]:
    from schemas.errors import Warned

    return [str(Warned(**warning)) for warning in submission.warnings or ()]


def add_to(app: typer.Typer) -> None:
    for command in (submissions, cancel, priority, queue, assets, sheet):
        app.command()(command)
