"""GPU-hours for a night and for projects: what may still be started, purely.

An estimate of None (no history for that kind of image) never holds work back; what was truly spent does, before every
batch, so a wrong guess costs one batch and not a night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HOUR = 3600.0


@dataclass
class Budget:
    """GPU-seconds left; None or an absent project means no limit."""

    night: float | None = None
    projects: dict[str, float] = field(default_factory=dict)

    @classmethod
    def left(
        cls,
        *,
        night_hours: float | None,
        project_hours: Mapping[str, float],
        night_spent: float,
        project_spent: Mapping[str, float],
    ) -> Budget:
        return cls(
            night=None if night_hours is None else night_hours * HOUR - night_spent,
            projects={name: hours * HOUR - project_spent.get(name, 0.0) for name, hours in project_hours.items()},
        )

    def refuses(self, project: str, seconds: float | None = None) -> str | None:
        """Why an image of `project` that takes `seconds` may not start, in words for the report; None when it may."""
        seconds = seconds or 0.0
        if self.night is not None and not _fits(self.night, seconds):
            return "the night's budget"
        if project in self.projects and not _fits(self.projects[project], seconds):
            return f"the budget of {project}"
        return None

    def spend(self, project: str, seconds: float) -> None:
        if self.night is not None:
            self.night -= seconds
        if project in self.projects:
            self.projects[project] -= seconds

    def choose(self, wanted: Iterable[tuple[str, str, float | None]]) -> tuple[list[str], dict[str, str]]:
        """(digest, project, estimated seconds) in order of urgency -> the digests that fit, and why others wait.

        Nothing less urgent slips past what did not fit in the same budget, or cheap images would starve dear ones.
        """
        plan = Budget(self.night, dict(self.projects))
        fits: list[str] = []
        waits: dict[str, str] = {}
        closed: set[str] = set()
        for digest, project, seconds in wanted:
            reason = plan.refuses(project, seconds)
            if reason is None and "the night's budget" in closed:
                reason = "the night's budget"
            elif reason is None and f"the budget of {project}" in closed:
                reason = f"the budget of {project}"
            if reason is None:
                plan.spend(project, seconds or 0.0)
                fits.append(digest)
            else:
                closed.add(reason)
                waits[digest] = reason
        return fits, waits


def _fits(left: float, seconds: float) -> bool:
    return left > 0 and seconds <= left
