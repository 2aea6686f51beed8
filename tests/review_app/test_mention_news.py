"""Mentions reach a real local receiver: together, once, as plain text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from review_app import mention_news
from review_app.mention_news import mail_mentions, start_telling, tell_mentions
from schemas.comments import NewComment
from schemas.settings import MailSettings, Settings
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from tests.mail_server import MailServer, serving
from tests.making import a_spec, kept
from tests.receiver import Receiver, receiving
from tests.review_app.hostile import TEXTS


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with serving() as server:
        yield server


@pytest.fixture
def spec(ledger: Ledger) -> ImageSpec:
    made = a_spec()
    kept(ledger, [made])
    return made


def say(ledger: Ledger, spec: ImageSpec, text: str, token: str = "token001") -> None:
    ledger.comment(NewComment(image=spec.digest, text=text, token=token), author="Noor", people=["Ada", "Lea"])


def a_studio(tmp_path: Path, url: str, shape: str = "json") -> Settings:
    return Settings(home=tmp_path, webhook_url=SecretStr(url), webhook_shape=shape, review_url="http://review/")


def with_mail(tmp_path: Path, mail: MailServer, **people: str) -> Settings:
    mailing = MailSettings(
        host="127.0.0.1", port=mail.port, security="none", sender="dailies@studio.example", people=people
    )
    return Settings(home=tmp_path, mail=mailing, review_url="http://review/")


def test_one_message_names_all(ledger: Ledger, spec: ImageSpec, receiver: Receiver, tmp_path: Path) -> None:
    settings = a_studio(tmp_path, receiver.url)
    say(ledger, spec, "@Ada is this\nthe new glass?")
    say(ledger, spec, "@Lea and @Ada?", "token002")
    assert tell_mentions(ledger, settings, quiet_seconds=60) and receiver.heard == []
    assert tell_mentions(ledger, settings, quiet_seconds=0) and tell_mentions(ledger, settings, quiet_seconds=0)
    (heard,) = receiver.heard
    url = f"http://review/?image={spec.digest}"
    about = {"author": "Noor", "project": "potions", "asset": "red potion", "variant": "s0", "image": spec.digest}
    assert heard["event"] == "mentioned" and heard["more"] == 0
    assert heard["mentions"] == [
        {"person": "Ada", **about, "text": "@Ada is this\nthe new glass?", "url": url},
        {"person": "Ada", **about, "text": "@Lea and @Ada?", "url": url},
        {"person": "Lea", **about, "text": "@Lea and @Ada?", "url": url},
    ]
    assert heard["text"] == (
        "3 mentions in comments\n"
        f"• Ada, by Noor on red potion, s0: “@\u2060Ada is this the new glass?” {url}\n"
        f"• Ada, by Noor on red potion, s0: “@\u2060Lea and @\u2060Ada?” {url}\n"
        f"• Lea, by Noor on red potion, s0: “@\u2060Lea and @\u2060Ada?” {url}"
    )


def test_slack_reads_no_markup_and_nobody_else_is_called(
    ledger: Ledger, spec: ImageSpec, receiver: Receiver, tmp_path: Path
) -> None:
    for number, said in enumerate((*TEXTS, "<!channel> @channel @here\u202e\u2066 x")):
        say(ledger, spec, f"@Ada {said}", f"hostile{number:03}")
    assert tell_mentions(ledger, a_studio(tmp_path, receiver.url, "slack"), quiet_seconds=0)
    assert list(receiver.heard[0]) == ["text"]
    text = str(receiver.heard[0]["text"])
    assert "<" not in text and ">" not in text and "\u202e" not in text and "@channel" not in text
    assert text.count("\n") == 21 and text.endswith("\nand 41 more")


def test_a_second_review_is_told_of_without_the_text(ledger: Ledger, receiver: Receiver, tmp_path: Path) -> None:
    spec = a_spec()
    kept(ledger, [spec], reviews_wanted=2)
    say(ledger, spec, "@Ada six fingers")
    assert tell_mentions(ledger, a_studio(tmp_path, receiver.url), quiet_seconds=0)
    assert "fingers" not in str(receiver.heard) and "Ada, by Noor" in str(receiver.heard[0]["text"])


def test_what_is_refused_is_told_again_and_the_night_goes_on(
    ledger: Ledger, spec: ImageSpec, receiver: Receiver, tmp_path: Path
) -> None:
    say(ledger, spec, "@Ada look")
    assert not tell_mentions(ledger, a_studio(tmp_path, receiver.url + "/refuse"), quiet_seconds=0)
    assert tell_mentions(ledger, a_studio(tmp_path, receiver.url), quiet_seconds=0)
    assert [len(str(heard["mentions"])) > 2 for heard in receiver.heard] == [True, True]


def test_the_thread_tells_what_was_left_and_then_stops(
    ledger: Ledger, spec: ImageSpec, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mention_news, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(mention_news, "QUIET_SECONDS", 0.0)
    assert start_telling(lambda: ledger, Settings(home=tmp_path)) is None
    say(ledger, spec, "@Ada before the server")
    stop = start_telling(lambda: ledger, a_studio(tmp_path, receiver.url))
    assert stop is not None
    for _ in range(100):
        if receiver.heard:
            break
        time.sleep(0.05)
    stop.set()
    assert len(receiver.heard) == 1


def test_each_person_gets_one_mail_of_theirs(
    ledger: Ledger, spec: ImageSpec, receiver: Receiver, mail: MailServer, tmp_path: Path
) -> None:
    settings = with_mail(tmp_path, mail, Ada="ada@studio.example")
    people = ["Ada", "Lea", "noor@studio.example"]  # Lea has no address
    for token, text in enumerate(("@Ada is this the new glass?", "@Ada @Lea and @noor@studio.example: yes")):
        said = NewComment(image=spec.digest, text=text, token=f"token00{token}")
        ledger.comment(said, author="Mara", people=people)
    assert mail_mentions(ledger, settings, quiet_seconds=60) and mail.heard == []
    assert mail_mentions(ledger, settings, quiet_seconds=0) and mail_mentions(ledger, settings, quiet_seconds=0)
    told = {heard["To"]: (heard["Subject"], heard.get_content()) for heard in mail.heard}
    assert len(mail.heard) == 2 and set(told) == {"ada@studio.example", "noor@studio.example"}
    subject, text = told["ada@studio.example"]
    assert subject == "2 comments for you in Dailies" and text.count(f"http://review/?image={spec.digest}") == 2
    assert "1 mention in comments" in told["noor@studio.example"][1]
    assert tell_mentions(ledger, a_studio(tmp_path, receiver.url), quiet_seconds=0)
    assert len(receiver.heard) == 1, "what was mailed is still news to the webhook"


def test_a_mail_that_is_refused_is_sent_again_and_the_others_are_not(
    ledger: Ledger, spec: ImageSpec, mail: MailServer, tmp_path: Path
) -> None:
    settings = with_mail(tmp_path, mail, Ada="ada@studio.example", Lea="lea@studio.example")
    say(ledger, spec, "@Ada and @Lea look")
    mail.refuses = {"lea@studio.example"}
    assert not mail_mentions(ledger, settings, quiet_seconds=0)
    mail.refuses = set()
    assert mail_mentions(ledger, settings, quiet_seconds=0)
    assert [heard["To"] for heard in mail.heard] == ["ada@studio.example", "lea@studio.example"]


def test_a_second_review_is_mailed_without_the_text(ledger: Ledger, mail: MailServer, tmp_path: Path) -> None:
    spec = a_spec()
    kept(ledger, [spec], reviews_wanted=2)
    say(ledger, spec, "@Ada six fingers")
    assert mail_mentions(ledger, with_mail(tmp_path, mail, Ada="ada@studio.example"), quiet_seconds=0)
    assert "fingers" not in mail.heard[0].as_string() and "red potion" in mail.heard[0].get_content()


def test_mail_alone_has_a_thread_too(
    ledger: Ledger, spec: ImageSpec, mail: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mention_news, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(mention_news, "QUIET_SECONDS", 0.0)
    say(ledger, spec, "@Ada before the server")
    stop = start_telling(lambda: ledger, with_mail(tmp_path, mail, Ada="ada@studio.example"))
    assert stop is not None
    for _ in range(100):
        if mail.heard:
            break
        time.sleep(0.05)
    stop.set()
    assert len(mail.heard) == 1
