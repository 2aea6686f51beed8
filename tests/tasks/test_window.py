from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from tasks.window import Window

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def window(text: str = "22:00-07:00", zone: str = "Europe/Berlin") -> Window:
    return Window.parse(text, timezone=zone)


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        ("2026-01-10 21:59:59", None),
        ("2026-01-10 22:00:00", "2026-01-11 07:00"),
        ("2026-01-11 00:00:00", "2026-01-11 07:00"),
        ("2026-01-11 06:59:59", "2026-01-11 07:00"),
        ("2026-01-11 07:00:00", None),
    ],
)
def test_crossing_midnight(now: str, closes: str | None) -> None:
    assert window().closes(berlin(now)) == (berlin(closes) if closes else None)


def test_within_one_day() -> None:
    assert window("09:30-17:00").closes(berlin("2026-01-10 12:00")) == berlin("2026-01-10 17:00")
    assert window("09:30-17:00").closes(berlin("2026-01-10 22:00")) is None


@pytest.mark.parametrize(("evening", "hours"), [("2026-03-28", 8), ("2026-10-24", 10), ("2026-06-01", 9)])
def test_a_night_of_changing_clocks_is_an_hour_shorter_or_longer(evening: str, hours: int) -> None:
    opened = window().opens(berlin(f"{evening} 12:00"))
    closed = window().closes(opened)
    assert closed is not None and closed - opened == timedelta(hours=hours)


def test_the_hour_that_comes_twice_is_inside_both_times() -> None:
    assert window("02:00-03:00").closes(berlin("2026-10-25 02:30")) is not None
    assert window("02:00-03:00").closes(berlin("2026-10-25 02:30", fold=1)) is not None


@given(st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)), st.times(), st.times())
def test_what_opens_next_is_open_then(now: datetime, start: time, end: time) -> None:
    start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    if start == end:
        return
    span = Window(start, end, BERLIN)
    moment = now.replace(tzinfo=UTC)
    opens = span.opens(moment)
    assert moment < opens <= moment + timedelta(hours=49)
    closes = span.closes(moment)
    assert closes is None or closes > moment
    # A window inside the hour that spring skips has no length that day; any other is open the moment it opens.
    if abs((datetime.combine(now, end) - datetime.combine(now, start)).total_seconds()) > 7200:
        assert span.closes(opens) is not None


@pytest.mark.parametrize("text", ["", "22-7", "25:00-07:00", "22:00", "22:00-22:00", "22:61-07:00"])
def test_what_is_no_window_is_said(text: str) -> None:
    with pytest.raises(SettingsError, match="window: "):
        window(text)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../etc/passwd"])
def test_what_is_no_zone_is_said(zone: str) -> None:
    with pytest.raises(SettingsError, match="timezone: "):
        window(zone=zone)


def test_cron() -> None:
    assert window("22:05-07:00").cron == "5 22 * * *"
