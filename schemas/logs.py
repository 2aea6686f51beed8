"""Logs as text for a person, or as JSON lines for a collector: one setting for Dailies' processes and Prefect's.

A line says when, how bad, who and what; and, as fields of their own, which night, shift, asset and digest it is about,
so that a collector finds everything of one image.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from schemas.settings import LogFormat
    from schemas.spec import ImageSpec

OUR_ROOMS = ("flows", "tasks", "engine", "checks", "storage", "review_app")
"""Loggers whose INFO is worth a line. Other libraries' INFO holds addresses, and some of those are signed."""

PREFECT_AS_JSON = {"PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS": "schemas.logs.JsonLines"}
"""Environment of a Prefect process whose lines are ours too: its loggers all end in this handler."""

_about: dict[str, object] = {}
"""Of the process and not of a thread: a process runs one night or one shift, and its threads all work for that."""


class JsonLines(logging.StreamHandler[TextIO]):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `message`, `exc_info` and whatever the line is about."""

    def __init__(self, stream: TextIO | None = None, styles: object = None) -> None:
        """`styles`: colours, which Prefect's configuration gives to its console handler."""
        super().__init__(stream)
        self._lines = JsonFormatter(
            ["levelname", "name", "message"], rename_fields={"levelname": "level", "name": "logger"}, timestamp="time"
        )

    def format(self, record: logging.LogRecord) -> str:
        """Whatever formatter a configuration set."""
        for name, value in _about.items():
            record.__dict__.setdefault(name, value)
        return self._lines.format(record)


def start_logs(log_format: LogFormat, *, text: logging.Handler | None = None, level: int = logging.INFO) -> None:
    """For an entry point. `text`: the handler for a person, else plain lines on stderr; `level` of our own lines then.

    JSON lines hold our INFO always: who collects them can leave some out.
    """
    if log_format == "json":
        logging.basicConfig(handlers=[JsonLines()], level=logging.WARNING, force=True)
        level = logging.INFO
    elif text is not None:
        logging.basicConfig(handlers=[text], format="%(message)s", level=logging.WARNING)
    else:
        logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    for room in OUR_ROOMS:
        logging.getLogger(room).setLevel(level)


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """What lines in this block are about, in JSON."""
    before = dict(_about)
    _about.update(fields)
    try:
        yield
    finally:
        _about.clear()
        _about.update(before)


def about_spec(spec: ImageSpec) -> dict[str, Any]:
    """`extra` of a line about one image."""
    return {"project": spec.project, "asset": spec.asset, "variant": spec.variant, "digest": spec.digest}
