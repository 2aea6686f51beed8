"""Against a real local receiver."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from storage.webhook import notify
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_plain_json(receiver: Receiver) -> None:
    assert notify(
        SecretStr(receiver.url), shape="json", event="night ended", facts={"night": 3, "made": 24}, text="24 made"
    )
    assert receiver.heard == [{"event": "night ended", "text": "24 made", "night": 3, "made": 24}]


def test_slack(receiver: Receiver) -> None:
    assert notify(SecretStr(receiver.url), shape="slack", event="night ended", facts={"night": 3}, text="24 made")
    assert receiver.heard == [{"text": "24 made"}]


@pytest.mark.parametrize("way", ["/refuse", "/move"])
def test_a_refusal_is_a_warning_without_the_address(
    receiver: Receiver, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert not notify(SecretStr(receiver.url + way), shape="json", event="night ended", facts={}, text="")
    assert "HTTP " in caplog.text
    assert "sesame" not in "".join(
        f"{record.getMessage()}" for record in caplog.records if record.levelno >= logging.INFO
    )
    assert len(receiver.heard) == 1, "a redirect must not be followed: the body is for one receiver"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/sesame", "ftp://x/sesame", "sesame", "http://[/sesame"])
def test_what_cannot_be_reached_is_a_warning_without_the_address(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert not notify(SecretStr(url), shape="json", event="night ended", facts={}, text="")
    assert "could not be told" in caplog.text
    assert "sesame" not in caplog.text


def test_nobody_to_tell() -> None:
    assert not notify(None, shape="json", event="night ended", facts={}, text="")
