"""A client link: what it gives, in Chromium; and the ways to reach more than that, of which none works."""

from __future__ import annotations

import io
import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from sqlalchemy import select, update

from schemas.comments import NewComment
from schemas.playlists import ClientMay, NewClientLink, NewPlaylist
from schemas.records import ClientLink, InboxEntry
from schemas.review import Verdict
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from storage.ledger.transaction import now
from tests.making import a_choice
from tests.review_app.conftest import House, Visit
from tests.review_app.test_accessible import violations

pytestmark = pytest.mark.browser
STEPS = ["art lead", "client"]


def in_steps(ledger: Ledger, specs: list[ImageSpec]) -> None:
    """As if the manifest had said so, and the art lead had approved all but the last."""
    with ledger.writing("test") as session:
        session.execute(
            update(InboxEntry)
            .where(InboxEntry.image.in_([spec.digest for spec in specs]))
            .values(steps=STEPS, step="art lead")
        )
    for spec in specs[:-1]:
        ledger.decide(a_choice(spec), reviewer="Ann")


def a_link(house: House, specs: list[ImageSpec], may: ClientMay = ClientMay.DECIDE) -> str:
    new = NewPlaylist(name="Potions, first round", images=tuple(spec.digest for spec in specs))
    number = house.ledger.make_playlist(new, made_by="Lea", role="lead")
    link = NewClientLink(playlist=number, client="Aki Tanaka", may=may)
    return house.ledger.make_client_link(link, made_by="Lea", role="lead")


def call(
    house: House, path: str, secret: str | None, body: Any = None, *, method: str | None = None
) -> tuple[int, bytes]:
    """Status and body."""
    headers = {"Content-Type": "application/json"} | ({"X-Dailies-Client": secret} if secret is not None else {})
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{house.url}/client/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def acting(number: int = 0, act: str = "approve", revision: int = 1, text: str = "", **more: Any) -> dict[str, Any]:
    return {"number": number, "act": act, "revision": revision, "text": text, "token": secrets.token_hex(12)} | more


def test_a_client_looks_says_and_decides(house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit) -> None:
    specs = stocked(4)
    in_steps(house.ledger, specs)
    secret = a_link(house, specs)
    page = visit(f"client#{secret}", who="")
    expect(page.locator("#name")).to_have_text("Potions, first round")
    expect(page.locator("#progress")).to_have_text("3 of 4 wait for you")
    expect(page.locator("#picture")).to_have_attribute("src", re.compile("^blob:"))
    assert violations(page) == []
    page.keyboard.press("a")
    expect(page.locator("#progress")).to_have_text("2 of 4 wait for you")
    page.keyboard.press("n")
    page.keyboard.type("The neck is too long.")
    page.locator("#send").click()
    expect(page.locator("#progress")).to_have_text("1 of 4 wait for you")
    page.locator("#words").fill("And a bit warmer?")
    page.locator("#send").click()
    expect(page.locator("#said li")).to_have_text(["And a bit warmer?"])
    verdicts = [house.ledger.picture(spec.digest).entry.verdict for spec in specs]
    assert verdicts == ["approve", "reject", None, None]
    decided = house.ledger.picture(specs[1].digest).decisions[-1]
    assert (decided.reviewer, decided.role, decided.step, decided.note) == (
        "Aki Tanaka (client)", "client", "client", "The neck is too long.",
    )  # fmt: skip
    # the lead who gave the link hears of both
    heard = [entry.text for entry in house.ledger.feed("Lea", blind_to=None, limit=5)][:2]
    assert heard == ["@Lea And a bit warmer?", "@Lea The neck is too long."]
    # thinking again
    page.locator("#strip button").first.click()
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#progress")).to_have_text("2 of 4 wait for you")
    acts = [act.act for act in house.ledger.client_acts(link_of(house, secret))]
    assert acts.count("looked") >= 4
    assert [act for act in acts if act != "looked"] == ["took back", "commented", "rejected", "approved", "opened"]
    # what is behind the # reached no log
    assert secret not in house.log.read_text()


def link_of(house: House, secret: str) -> int:
    opened = house.ledger.open_client_link(secret)
    assert opened is not None
    return opened.id


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1366])
def test_it_is_accessible_and_fits(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, scheme: str, width: int
) -> None:
    specs = stocked(2)
    in_steps(house.ledger, specs)
    page = visit(f"client#{a_link(house, specs)}", who="", color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("button", name="Not yet …").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_name_is_across_every_picture(house: House, stocked: Callable[..., list[ImageSpec]]) -> None:
    specs = stocked(1)
    secret = a_link(house, specs, ClientMay.LOOK)
    for size in ("preview", "thumb"):
        status, data = call(house, f"picture/0/{size}", secret)
        assert status == 200
        image = house.ledger.picture(specs[0].digest).image
        own = house.store.get(image.preview_key if size == "preview" else image.thumb_key)
        with Image.open(io.BytesIO(data)) as shown, Image.open(io.BytesIO(own)) as kept:
            assert shown.size == kept.size
            pair = [np.asarray(one.convert("RGB")).astype(int) for one in (shown, kept)]
        differ = (np.abs(pair[0] - pair[1]).max(axis=2) > 12).mean()
        assert 0.01 < differ < 0.5


def secrets_that_are_none(secret: str) -> list[str | None]:
    return [None, "", "x", secret[:-1], secret + "A", secret.swapcase(), secret[::-1], "null", "' OR 1=1 --", "A" * 43,
            "%00" * 10, "../" * 12, "A" * 5000]  # fmt: skip


def test_no_other_secret_opens_it(house: House, stocked: Callable[..., list[ImageSpec]]) -> None:
    secret = a_link(house, stocked(1))
    for other in secrets_that_are_none(secret):
        for path, body in (("open", {}), ("picture/0/preview", None), ("act", acting())):
            status, said = call(house, path, other, body)
            assert status == 404, (other, path)
            assert json.loads(said) == {
                "wrong": "This link is not valid, or no longer. Ask whoever sent it for a new one."
            }


@pytest.mark.parametrize("end", ["revoked", "expired", "closed"])
def test_a_link_that_has_ended_is_like_none(house: House, stocked: Callable[..., list[ImageSpec]], end: str) -> None:
    specs = stocked(1)
    in_steps(house.ledger, [*specs, specs[0]])
    secret = a_link(house, specs)
    opened = house.ledger.open_client_link(secret)
    assert opened is not None
    assert call(house, "open", secret, {})[0] == 200
    if end == "revoked":
        house.ledger.revoke_client_link(opened.id, by="Lea", role="lead")
    elif end == "closed":
        house.ledger.close_playlist(opened.playlist, by="Lea", role="lead")
    else:
        with house.ledger.writing("test") as session:
            past = update(ClientLink).where(ClientLink.id == opened.id)
            session.execute(past.values(expires_at=now() - timedelta(seconds=1)))
    for path, body in (("open", {}), ("picture/0/preview", None), ("act", acting()), ("act", acting(act="comment"))):
        assert call(house, path, secret, body)[0] == 404
    assert house.ledger.picture(specs[0].digest).revision == 1


# expected: the status, or 0 where the address is none of this page's
REACHING: dict[str, tuple[str, Any, int]] = {
    "an image after the last": ("picture/1/preview", None, 404),
    "one before the first": ("picture/-1/preview", None, 0),
    "a huge number": ("picture/99999999999999999999/preview", None, 404),
    "the original": ("picture/0/original", None, 404),
    "another folder": ("picture/0/..%2f..%2fimages", None, 0),
    "a digest as the number": (f"picture/{'a' * 64}/preview", None, 0),
    "a file beside the page": ("../visit.py", None, 0),
    "the page's own code": ("visit.py", None, 404),
    "an act on the image after the last": ("act", acting(1), 404),
    "on one before the first": ("act", acting(-1), 404),
    "a number as text": ("act", acting("0"), 404),  # type: ignore[arg-type]
    "true as a number": ("act", acting(True), 404),
    "no number": ("act", {"act": "approve"}, 404),
    "a digest in the number's place": ("act", acting("b" * 64), 404),  # type: ignore[arg-type]
    "a retake": ("act", acting(act="retake", text="again"), 400),
    "no act": ("act", acting(act=""), 400),
    "an act that is a list": ("act", acting(act=["approve"]), 400),  # type: ignore[arg-type]
    "another image's digest in the body": ("act", acting(act="approve", image="c" * 64, number=5), 404),
    "a changed seed": ("act", acting(act="approve", changes={"seed": 1}, revision=99), 409),
    "an old page": ("act", acting(revision=0), 409),
    "a revision as text": ("act", acting(revision="latest"), 400),  # type: ignore[arg-type]
    "no words with a no": ("act", acting(act="reject", text="  "), 400),
    "words that are no text": ("act", acting(act="comment", text={"a": 1}), 400),  # type: ignore[arg-type]
    "a no without a token": ("act", acting(act="reject", text="x", token=""), 400),
    "a comment without a token": ("act", acting(act="comment", text="x", token=""), 400),
    "a comment with a bad token": ("act", acting(act="comment", text="x", token="../../x"), 400),
    "a comment that is too long": ("act", acting(act="comment", text="x" * 20_000), 400),
    "a body that is too long": ("act", acting(act="comment", text="x" * 70_000), 413),
    "no JSON": ("act", b"{", 400),
    "a list": ("act", b"[]", 400),
    "a number alone": ("open", b"7", 400),
    "not UTF-8": ("act", b"\xff\xfe", 400),
}


@pytest.mark.parametrize("way", REACHING)
def test_ways_to_reach_more(house: House, stocked: Callable[..., list[ImageSpec]], way: str) -> None:
    path, body, expected = REACHING[way]
    specs = stocked(2)
    in_steps(house.ledger, specs)  # the first waits for the client, the second still for the art lead
    secret = a_link(house, specs[:1])
    status, said = call(house, path, secret, body)
    if expected:
        assert status == expected
    else:  # no address of this page: the app's own shell, the same for everybody, or a refusal
        assert status in (400, 404) or b"streamlit" in said.lower()
    assert [house.ledger.picture(spec.digest).revision for spec in specs] == [1, 0]
    assert house.ledger.comments([spec.digest for spec in specs], reader="Lea") == {}


@pytest.mark.parametrize("may", [ClientMay.LOOK, ClientMay.COMMENT])
def test_a_smaller_right_is_no_greater_one(
    house: House, stocked: Callable[..., list[ImageSpec]], may: ClientMay
) -> None:
    specs = stocked(2)
    in_steps(house.ledger, specs)
    secret = a_link(house, specs, may)
    shown = json.loads(call(house, "open", secret, {})[1])
    assert [one["may"] for one in shown["images"]] == [[], []]
    for act in ("approve", "reject", "undo"):
        assert call(house, "act", secret, acting(act=act, text="no"))[0] == 403
    commented = call(house, "act", secret, acting(act="comment", text="fine"))[0]
    assert commented == (403 if may is ClientMay.LOOK else 200)
    assert [house.ledger.picture(spec.digest).revision for spec in specs] == [1, 0]


def test_what_does_not_wait_for_the_client_is_not_decided(
    house: House, stocked: Callable[..., list[ImageSpec]]
) -> None:
    specs = stocked(3)
    in_steps(house.ledger, specs[:2])  # 0 waits for the client, 1 for the art lead, 2 has no steps
    secret = a_link(house, specs)
    for number, revision in ((1, 0), (2, 0)):
        for act in ("approve", "reject", "undo"):
            assert call(house, "act", secret, acting(number, act, revision, "no"))[0] == 403
    assert call(house, "act", secret, acting(0, "undo", 1))[0] == 403  # the art lead's, not the client's
    assert [house.ledger.picture(spec.digest).revision for spec in specs] == [1, 0, 0]


def test_nothing_of_the_studio_is_told(house: House, stocked: Callable[..., list[ImageSpec]]) -> None:
    specs = stocked(2)
    in_steps(house.ledger, specs)
    secret_words = "the client must not read this"
    house.ledger.comment(NewComment(image=specs[0].digest, text=secret_words, token="b" * 24), author="Ann")
    house.ledger.decide(a_choice(specs[1], Verdict.REJECT, note=secret_words), reviewer="Ann")
    secret = a_link(house, specs)
    told = call(house, "open", secret, {})[1].decode()
    assert secret_words not in told
    assert not any(word in told for word in (specs[0].digest, specs[0].prompt, "Ann", "Lea", "previews/", "seed"))
    assert set(json.loads(told)["images"][0]) == {
        "number", "asset", "variant", "take", "width", "height", "revision", "verdict", "may", "said",
    }  # fmt: skip


def test_two_clients_do_not_hear_each_other(house: House, stocked: Callable[..., list[ImageSpec]]) -> None:
    specs = stocked(1)
    first = a_link(house, specs, ClientMay.COMMENT)
    number = house.ledger.open_client_link(first)
    assert number is not None
    other = NewClientLink(playlist=number.playlist, client="Bo")
    second = house.ledger.make_client_link(other, made_by="Lea", role="lead")
    assert call(house, "act", first, acting(act="comment", text="between us"))[0] == 200
    assert b"between us" in call(house, "open", first, {})[1]
    assert b"between us" not in call(house, "open", second, {})[1]


@pytest.mark.parametrize("path", ["", "inbox", "grid", "playlists", "_stcore/stream", "objects/previews/x.webp"])
def test_the_secret_opens_no_other_page(house: House, stocked: Callable[..., list[ImageSpec]], path: str) -> None:
    """The app asks for a name, or refuses, as it does for anybody."""
    secret = a_link(house, stocked(1))
    request = urllib.request.Request(f"{house.url}/{path}", headers={"X-Dailies-Client": secret})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = answer.read()
    except urllib.error.HTTPError as refused:
        said = refused.read()
    with house.ledger.reading() as session:
        digests = session.scalars(select(InboxEntry.image).limit(50)).all()
    assert not any(digest.encode() in said for digest in digests)


def test_the_page_keeps_to_itself(house: House) -> None:
    with urllib.request.urlopen(f"{house.url}/client", timeout=60) as answer:
        headers = answer.headers
    assert headers["Referrer-Policy"] in ("no-referrer", "same-origin")
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
