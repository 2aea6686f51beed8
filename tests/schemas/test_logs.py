"""JSON lines: every field of its own, whatever is logged; and nothing of other libraries' INFO."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from schemas.logs import JsonLines, about, about_spec, start_logs
from tests.making import a_spec


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a logger of its own writes; the process's own logging stays as it is."""
    out = io.StringIO()
    handler, logger = JsonLines(out), logging.getLogger("a.test.of.lines")
    logger.addHandler(handler)
    logger.propagate, level = False, logger.level
    logger.setLevel(logging.INFO)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_line_says_what_it_is_about(lines: io.StringIO) -> None:
    log, spec = logging.getLogger("a.test.of.lines"), a_spec()
    with about(night=7), about(shift="shifts/ab.json"):
        log.info("%s kept", spec.asset, extra=about_spec(spec))
    log.warning('two\nlines, "quoted" \x1b[31m é')
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("it failed", extra={"odd": object()})
    first, second, third = (json.loads(line) for line in lines.getvalue().splitlines())
    assert first.pop("time") and datetime.fromisoformat(second.pop("time")).astimezone(UTC) <= datetime.now(UTC)
    assert first == {
        "level": "INFO",
        "logger": "a.test.of.lines",
        "message": f"{spec.asset} kept",
        "night": 7,
        "shift": "shifts/ab.json",
        "project": spec.project,
        "asset": spec.asset,
        "variant": spec.variant,
        "digest": spec.digest,
    }
    assert second == {"level": "WARNING", "logger": "a.test.of.lines", "message": 'two\nlines, "quoted" \x1b[31m é'}
    assert third["exc_info"].endswith("ValueError: wrong") and "odd" in third


def test_only_our_rooms_say_more_than_warnings(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    levels = {name: logging.getLogger(name).level for name in ("", "flows", "tasks")}
    try:
        start_logs("json")
        logging.getLogger("httpx").info("GET https://signed.example/?X-Amz-Signature=secret")
        logging.getLogger("tasks.shift").info("hello")
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "hello"
