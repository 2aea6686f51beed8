"""The morning report: what was planned, made, failed and why, what waits and why, what it cost. For people."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from schemas.names import count_noun
from storage.failpoint import failpoint
from storage.ledger.jobs import SetAside, Waiting
from storage.ledger.nights import NightSummary
from storage.mail import send
from storage.webhook import notify
from tasks.parts import Parts, current_parts
from tasks.report_page import ASSETS_TABLE, make_page

log = logging.getLogger(__name__)

UNREACHED = {
    "window closed": "the working window closed",
    "budget spent": "the budget was spent",
}
"""Why the rest waits, by the night's outcome; otherwise the night ended first."""

NAMED = 20
"""Assets named under one reason; the rest is counted."""


@dataclass
class Morning:
    """What only the night itself knows; everything else is asked of the ledger."""

    night: int
    outcome: str = "failed"
    planned: int = 0
    refused: list[str] = field(default_factory=list)
    """Retakes that were not planned, a sentence each."""
    stopped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    """What went away during the night, and did not keep it from going on."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else is worth a line, and of how many images. What the engine said of batches comes from the ledger."""
    waits: dict[str, str] = field(default_factory=dict)
    """spec digest -> why it waits"""


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def write_report(morning: Morning) -> str:
    """Ends the night: report into the store, its record, then a file and an artifact. Returns the report's key."""
    parts = current_parts()
    settings, ledger = parts.settings, parts.ledger
    # 1. What to say.
    summary = ledger.summary(morning.night)
    morning.notes += ledger.shift_notes(morning.night)
    text = to_markdown(
        morning,
        summary,
        waiting=ledger.waiting(),
        aside=ledger.set_aside(),
        price=settings.gpu_hour_price,
        currency=settings.currency,
        zone=ZoneInfo(settings.timezone),
    )
    # 2. Bytes, then the record.
    failpoint("report.before_put")
    key = parts.store.put_content("reports", text.encode(), extension="md", media_type="text/markdown")
    failpoint("report.before_record")
    ledger.end_night(
        morning.night, outcome=morning.outcome, report_key=key, totals=add_totals(summary), planned=morning.planned
    )
    failpoint("report.after_record")
    # 3. Where people look.
    folder = settings.home / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"night-{morning.night:04}.md").write_text(text, encoding="utf-8")
    try:
        page = make_page(morning.night, text, ledger=ledger, store=parts.store, settings=settings)
        (folder / f"night-{morning.night:04}.html").write_text(page, encoding="utf-8")
    except Exception as error:  # `dailies report --html` makes it again; the report is kept
        log.warning("the report of night %d has no page: %s: %s", morning.night, type(error).__name__, error)
    try:
        create_markdown_artifact(text, key="morning-report", description=f"Night {morning.night}: {morning.outcome}")
    except Exception as error:  # Prefect's server only shows it; the report is kept
        log.warning("the report of night %d is not shown in Prefect: %s", morning.night, type(error).__name__)
    announce_report(
        parts, morning, event=f"night {'failed' if morning.outcome == 'failed' else 'ended'}", summary=summary
    )
    return key


def close_dead_nights(parts: Parts, *, but: int) -> None:
    """Nights whose process went away, and that nobody went on with, end with a report of their own."""
    for night in parts.ledger.dead_nights():
        if night.id != but:
            heard = f" at about {night.held_until:%Y-%m-%d %H:%M} UTC" if night.held_until else ""
            problem = f"its process went away{heard} without an end; night {but} makes what it left"
            write_report(Morning(night.id, problems=[problem]))


def announce_report(
    parts: Parts, morning: Morning, *, event: str, summary: NightSummary | None = None, text: str = ""
) -> None:
    """Tells the webhook and who gets e-mails of nights, where there are any."""
    facts: dict[str, object] = {"night": morning.night}
    if summary is not None:
        facts |= {"outcome": morning.outcome, "planned": morning.planned, **add_totals(summary)}
        failed = sum(cause.failures for cause in summary.failures)
        text = (
            f"Night {morning.night}: {morning.outcome}. {count_noun(summary.made, 'image')} made, "
            f"{summary.flagged} flagged, {count_noun(failed, 'failure')}, "
            f"{summary.waiting} waiting, {summary.set_aside} set aside."
        )
    settings = parts.settings
    notify(settings.webhook_url, shape=settings.webhook_shape, event=event, facts=facts, text=text)
    said = f"{text}\n\n{settings.review_url.rstrip('/')}/nights?night={morning.night}\n"
    send(settings.mail, to=settings.mail.nights, subject=f"Dailies: {event}, night {morning.night}", text=said)


def add_totals(summary: NightSummary) -> dict[str, float | int]:
    return {
        "made": summary.made,
        "failed": sum(cause.failures for cause in summary.failures),
        "flagged": summary.flagged,
        "unchecked": summary.unchecked,
        "waiting": summary.waiting,
        "set_aside": summary.set_aside,
        "gpu_seconds": round(summary.gpu_seconds, 3),
    }


def to_markdown(
    morning: Morning,
    summary: NightSummary,
    *,
    waiting: Iterable[Waiting],
    aside: Iterable[SetAside],
    price: float,
    currency: str,
    zone: ZoneInfo,
) -> str:
    """The whole report. Pure; names come from manifests and errors, so everything in a cell is escaped."""
    failures = sum(cause.failures for cause in summary.failures)
    each = summary.gpu_seconds / summary.made if summary.made else 0.0
    lines = [
        f"# Night {morning.night}: {morning.outcome}",
        "",
        f"Begun {_time(summary.night.started_at, zone)} by {_plain(summary.night.started_by)}.",
        "",
        *_table(
            ("planned", "made", "flagged", "not checked", "failures", "set aside", "waiting"),
            [
                (
                    morning.planned,
                    summary.made,
                    summary.flagged,
                    summary.unchecked,
                    failures,
                    summary.set_aside,
                    summary.waiting,
                )
            ],
        ),
        f"{summary.gpu_seconds:.1f} GPU seconds, {each:.2f} an image; "
        f"{price * summary.gpu_seconds / 3600:.2f} {currency} at {price:g} {currency} a GPU-hour.",
        "",
    ]
    lines += _list("Stopped", morning.stopped)
    if summary.failures:
        lines += ["## Failed, by cause", ""]
        lines += _table(
            ("cause", "failures", "images", "for example"),
            [(cause.cause, cause.failures, cause.specs, cause.example) for cause in summary.failures],
        )
    named = [f"{item.project} / {item.asset} {item.variant}: {item.message} ({item.digest[:12]})" for item in aside]
    lines += _list("Set aside, until somebody releases them", named)
    lines += _waiting(waiting, morning.waits, UNREACHED.get(morning.outcome, "the night ended before them"))
    lines += _list("Not made again", morning.refused)
    lines += _list("Trouble", morning.problems)
    lines += _list("Recovered from", morning.recovered)
    lines += _list("Notes", [f"{note} ({count_noun(count, 'image')})" for note, count in morning.notes.items()])
    if summary.by_asset:
        lines += [f"## {ASSETS_TABLE}", ""]
        lines += _table(
            ("project", "asset", "made", "flagged", "GPU seconds"),
            [(a.project, a.asset, a.made, a.flagged, f"{a.gpu_seconds:.1f}") for a in summary.by_asset],
        )
    return "\n".join(lines).rstrip() + "\n"


def _waiting(waiting: Iterable[Waiting], reasons: Mapping[str, str], otherwise: str) -> list[str]:
    by_reason: dict[str, Counter[str]] = defaultdict(Counter)
    for item in waiting:
        by_reason[reasons.get(item.digest, otherwise)][f"{item.project} / {item.asset}"] += 1
    lines = []
    for reason, assets in by_reason.items():
        rest = sum(count for _, count in assets.most_common()[NAMED:])
        names = [f"{name} ({count})" for name, count in assets.most_common(NAMED)]
        lines.append(
            f"{reason}: {', '.join(names)}" + (f", and {count_noun(rest, 'image')} of other assets" if rest else "")
        )
    return _list("Waiting", lines)


def _list(title: str, lines: Iterable[str]) -> list[str]:
    rows = [f"- {_plain(line)}" for line in lines]
    return [f"## {title}", "", *rows, ""] if rows else []


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    body = [f"| {' | '.join(_plain(str(cell)) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body, ""]


def _plain(text: str) -> str:
    """One line in which nothing means anything to Markdown or HTML."""
    text = " ".join(text.split())[:500].replace("&", "&amp;").replace("<", "&lt;")
    for letter in "\\`*[]|#":
        text = text.replace(letter, "\\" + letter)
    return text


def _time(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
