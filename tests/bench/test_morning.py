"""A short morning by script: every act on what was on screen, none lost."""

from __future__ import annotations

import pytest

from bench.morning import run

pytestmark = pytest.mark.browser


def test_a_short_morning_loses_nothing() -> None:
    found = run(12)
    assert (found["images"], found["acts not as on screen, or lost"]) == (12, 0)
    assert found["annotated"] == found["retakes with a mask"] == 1
    assert found["conflicts settled"] == found["approved by the client"] == 1
