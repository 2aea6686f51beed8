"""The working window: the hours in which new batches may start, as wall-clock times in a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import SettingsError

_SHAPE = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


@dataclass(frozen=True)
class Window:
    """From `start` until `end` every day; it crosses midnight when `end` is not after `start`.

    Both are what a clock on the wall says in `zone`, so a night in which clocks change is an hour longer or shorter.
    """

    start: time
    end: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, *, timezone: str) -> Window:
        """`22:00-07:00`. SettingsError names what came and what is allowed."""
        try:
            zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise SettingsError(f"timezone: {timezone!r}; expected an IANA name such as Europe/Berlin") from None
        match = _SHAPE.fullmatch(text.strip())
        try:
            hours = [int(part) for part in match.groups()] if match else []
            start, end = time(hours[0], hours[1]), time(hours[2], hours[3])
        except (IndexError, ValueError):
            raise SettingsError(f"window: {text!r}; expected HH:MM-HH:MM, such as 22:00-07:00") from None
        if start == end:
            raise SettingsError(f"window: {text!r} is empty; leave it out to allow every hour")
        return cls(start, end, zone)

    def closes(self, now: datetime) -> datetime | None:
        """UTC end of the window that `now` is in, or None outside it."""
        for opened, closed in self._around(now):
            if opened <= now < closed:
                return closed
        return None

    def opens(self, now: datetime) -> datetime:
        """UTC start of the next window: the one after `now`, also when one is open."""
        return next(opened for opened, _ in self._around(now) if opened > now)

    @property
    def cron(self) -> str:
        return f"{self.start.minute} {self.start.hour} * * *"

    def _around(self, now: datetime) -> list[tuple[datetime, datetime]]:
        today = now.astimezone(self.zone).date()
        days = [today + timedelta(days=offset) for offset in (-1, 0, 1, 2)]
        nights = 1 if self.end <= self.start else 0
        return [(min(self._utc(day, self.start)), self._utc(day + timedelta(days=nights), self.end)[0]) for day in days]

    def _utc(self, day: date, at: time) -> tuple[datetime, datetime]:
        """A wall time read with the clocks of before a change, and of after it; on most days these are one moment.

        A window starts at the earlier one: the first of a time that occurs twice, and for one that is skipped the
        moment at which Prefect's schedule starts the night.
        """
        before, after = (datetime.combine(day, at, tzinfo=self.zone).replace(fold=fold) for fold in (0, 1))
        return before.astimezone(UTC), after.astimezone(UTC)
