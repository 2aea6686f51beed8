"""What the command line says of nights, of the queue and of what is set aside. Plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from flows.commands.tables import print_json
from flows.schedule import schedule_line
from schemas.errors import InputError, LedgerError, LedgerUnavailable
from schemas.names import count_noun
from schemas.settings import Settings
from tasks.parts import Parts
from tasks.planning.retake import list_unanswered


def print_night(result: dict[str, Any] | None, settings: Settings) -> int:
    """A few lines about what `nightly` returned, None when there was nothing to do. Returns the exit code."""
    if result is None:
        print("nothing to make: all that was submitted is made, in somebody's hands or set aside")
        return 0
    if result["outcome"] == "running":
        print(*result["trouble"], sep="\n")
        return 0
    print(
        f"night {result['night']}: {result['outcome']}; {count_noun(result['made'], 'image')} made, "
        f"{result['flagged']} flagged, "
        f"{count_noun(result['failed'], 'failure')}, {result['waiting']} waiting, {result['set_aside']} set aside, "
        f"{result['gpu_seconds']:.1f} GPU seconds"
    )
    for trouble in result["trouble"]:
        print(f"trouble: {trouble}")
    name = f"night-{result['night']:04}"
    print(f"report: {settings.home / 'reports' / name}.md, and {name}.html to be mailed")
    return int(result["outcome"] in ("blocked", "stopped", "failed"))


def collect_status(parts: Parts) -> dict[str, Any]:
    """Counts of what is submitted, waiting, in hand, set aside and to be reviewed; the last night; when the next is."""
    ledger = parts.ledger
    waiting = ledger.waiting()
    night = next(iter(ledger.nights(limit=1)), None)
    return {
        "submitted_not_planned": len(ledger.unplanned()),
        "decisions_to_answer": len(list_unanswered(parts)),
        "waiting": len(waiting),
        "waiting_by_project": dict(sorted(Counter(item.project for item in waiting).items())),
        "in_hand": ledger.in_hand(),
        "set_aside": len(ledger.set_aside()),
        "to_review": sum(count.waiting for count in ledger.inbox_counts()),
        "approved_not_delivered": len(ledger.deliverable()),
        "last_night": night
        and {
            "night": night.id,
            "started_at": night.started_at.isoformat(),
            "ended_at": night.ended_at and night.ended_at.isoformat(),
            "outcome": night.outcome,
        },
        "schedule": schedule_line(parts.settings),
    }


def print_status(status: Mapping[str, Any]) -> None:
    rows = [
        ("submitted, not planned", status["submitted_not_planned"]),
        ("decisions to answer with a retake", status["decisions_to_answer"]),
        ("waiting to be made", status["waiting"]),
        *((f"  of {project}", count) for project, count in status["waiting_by_project"].items()),
        ("in a worker's hands", status["in_hand"]),
        ("set aside", status["set_aside"]),
        ("to be reviewed", status["to_review"]),
        ("approved, not delivered", status["approved_not_delivered"]),
    ]
    width = max(len(name) for name, _ in rows)
    for name, count in rows:
        print(f"{name:{width}}  {count:>7}")
    if night := status["last_night"]:
        ended = f"ended {_moment(night['ended_at'])}" if night["ended_at"] else "not ended"
        print(
            f"last night: {night['night']}, begun {_moment(night['started_at'])}, {ended}, {night['outcome'] or 'open'}"
        )
    print(status["schedule"])


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def find_report(parts: Parts, number: int | None) -> tuple[int, str]:
    """A night, or the last one that has a report, and that report (Markdown). InputError where there is none."""
    if number is None:
        number = next((night.id for night in parts.ledger.nights() if night.report_key), None)
        if number is None:
            raise InputError("no night has ended yet")
    try:
        key = parts.ledger.night(number).report_key
    except LedgerUnavailable:
        raise
    except LedgerError as wrong:
        raise InputError(str(wrong)) from None
    if key is None:
        raise InputError(f"night {number} has not ended, so it has no report")
    return number, parts.store.get(key).decode()


def collect_report(parts: Parts, number: int) -> dict[str, Any]:
    """The figures of a night, for programs."""
    summary, settings = parts.ledger.summary(number), parts.settings
    night = summary.night
    return {
        "night": number,
        "outcome": night.outcome,
        "started_at": night.started_at.isoformat(),
        "ended_at": night.ended_at and night.ended_at.isoformat(),
        "started_by": night.started_by,
        "planned": night.planned,
        "made": summary.made,
        "flagged": summary.flagged,
        "unchecked": summary.unchecked,
        "waiting": summary.waiting,
        "set_aside": summary.set_aside,
        "gpu_seconds": summary.gpu_seconds,
        "money": settings.gpu_hour_price * summary.gpu_seconds / 3600,
        "currency": settings.currency,
        "assets": [asdict(one) for one in summary.by_asset],
        "failures": [asdict(one) for one in summary.failures],
    }


def print_set_aside(parts: Parts, *, lines: bool = False) -> None:
    aside = parts.ledger.set_aside()
    for item in aside:
        if lines:
            print_json(asdict(item))
        else:
            print(f"{item.digest[:12]}  {item.project} / {item.asset} {item.variant}  {item.cause}: {item.message}")
    if not aside and not lines:
        print("nothing is set aside")


def release(parts: Parts, beginnings: list[str], *, everything: bool, by: str) -> int:
    """Releases the specs whose digests begin like these. InputError when one of them fits none, or several."""
    aside = [item.digest for item in parts.ledger.set_aside()]
    if everything:
        return parts.ledger.release_set_aside(aside, by)
    if not beginnings:
        raise InputError("say which, as `dailies set-aside` lists them, or --all")
    chosen = []
    for beginning in beginnings:
        found = [digest for digest in aside if digest.startswith(beginning.lower())]
        if len(found) != 1:
            raise InputError(f"{beginning}: {len(found)} specs that are set aside begin like that; expected one")
        chosen += found
    return parts.ledger.release_set_aside(chosen, by)
