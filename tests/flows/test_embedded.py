"""Prefect's embedded API leaves out what nobody reads. Prefect takes no notice of a setting that it does not know."""

from __future__ import annotations

import pytest

from flows.embedded import UNWATCHED


def test_the_services_that_nobody_watches_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    def list_services() -> list[bool]:
        services = Settings().server.services
        return [services.event_persister.enabled, services.task_run_recorder.enabled, services.triggers.enabled]

    for name in UNWATCHED:
        monkeypatch.delenv(name, raising=False)
    assert list_services() == [True] * 3
    for name, value in UNWATCHED.items():
        monkeypatch.setenv(name, value)
    assert list_services() == [False] * 3
