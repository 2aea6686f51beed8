from __future__ import annotations

import pytest

from schemas.errors import ConditionError, NotFinite, RenderError
from tasks.shift.failure_breaker import FailureBreaker, ShiftStopped, find_cause


def test_the_same_error_in_a_row_stops() -> None:
    streak = FailureBreaker(3)
    for error in (NotFinite("a"), NotFinite("b")):
        streak.note(error)
        streak.check()
    streak.note(NotFinite("c"))
    with pytest.raises(ShiftStopped, match="3 specs in a row failed with NotFinite; the last said: c"):
        streak.check()
    streak.note(None)
    with pytest.raises(ShiftStopped):
        streak.check()


def test_success_or_another_error_between_begins_anew() -> None:
    streak = FailureBreaker(2)
    for error in (NotFinite("a"), None, NotFinite("b"), ConditionError("c"), NotFinite("d"), None, None):
        streak.note(error)
        streak.check()


def test_a_library_s_error_is_its_own_cause() -> None:
    assert find_cause(RenderError("ValueError: no such sampler")) == "ValueError"
    assert find_cause(RenderError("crate: got 7x7; expected sides that are multiples of 8")) == "RenderError"
    assert find_cause(NotFinite("ValueError: x")) == "NotFinite"
