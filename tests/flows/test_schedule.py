"""Window and schedule agree on when nights begin, also when clocks change: Prefect's own schedule is asked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.window import Window

WINDOWS = ("22:00-07:00", "00:00-02:30", "01:30-05:00", "02:00-05:00", "02:30-03:30", "03:00-05:00", "23:59-00:01")


@pytest.mark.parametrize(
    ("zone", "evening"),
    [
        ("Europe/Berlin", "2026-03-28"),
        ("Europe/Berlin", "2026-10-24"),
        ("America/New_York", "2026-03-07"),
        ("America/New_York", "2026-10-31"),
        ("Australia/Lord_Howe", "2026-04-04"),  # half an hour
        ("Australia/Lord_Howe", "2026-10-03"),
    ],
)
def test_one_night_a_day_though_clocks_change(zone: str, evening: str) -> None:
    from prefect.server.schemas.schedules import CronSchedule

    noon = datetime.fromisoformat(f"{evening} 12:00").replace(tzinfo=ZoneInfo(zone))
    before, after = (moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in (noon, noon + timedelta(days=1)))
    assert before != after, "clocks change in that night"
    for text in WINDOWS:
        window = Window.parse(text, timezone=zone)
        schedule = CronSchedule(cron=window.cron, timezone=zone)
        starts = asyncio.run(schedule.get_dates(n=20, start=noon, end=noon + timedelta(days=3)))
        starts = [start.astimezone(UTC) for start in starts]
        assert len(starts) == 3, f"{text}: one night a day"
        opens, moment = [], noon
        for _ in starts:
            moment = window.opens(moment)
            opens.append(moment)
        assert starts == opens, f"{text}: the night starts when its window opens"
        closed = [window.closes(start) for start in starts]
        assert all(
            end is not None and end - start >= timedelta(minutes=2) for start, end in zip(starts, closed, strict=True)
        )
        assert len(set(closed)) == 3, f"{text}: each in a window of its own"
