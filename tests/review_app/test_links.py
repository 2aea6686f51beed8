"""Links to pictures: signed, for some hours, for pictures only, the same for long enough to be cached."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from review_app.links import HOURS, Links, answer_picture
from storage.objects import FolderStore, Store
from tests.making import overwrite

SECRET = b"s" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def links(folder: FolderStore, clock: Clock) -> Links:
    return Links(folder, SECRET, clock=clock)


def ask(links: Links, url: str) -> tuple[int, bytes, str]:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(request: Request) -> Response:
        asked = request.query_params
        return answer_picture(links, request.path_params["key"], asked.get("until", ""), asked.get("sign", ""))

    with TestClient(Starlette(routes=[Route("/objects/{key:path}", answer)])) as client:
        found = client.get(url)
        return found.status_code, found.content, found.headers.get("content-type", "")


def test_a_link_opens_its_picture_and_no_other(folder: FolderStore, links: Links) -> None:
    one = folder.put_content("previews", b"one", extension="webp", media_type="image/webp")
    two = folder.put_content("previews", b"two", extension="webp", media_type="image/webp")
    assert ask(links, links.to(one)) == (200, b"one", "image/webp")
    assert ask(links, links.to(one).replace(one, two))[0] == 403
    assert ask(links, links.to(one).split("?")[0])[0] == 403
    assert ask(links, links.to("previews/ab/nothing.webp"))[0] == 404


@pytest.mark.parametrize(
    "key",
    [
        "manifests/ab/x.yaml", "reports/1.md", "delivery/T.png", "../review.secret", "images/../../review.secret",
        "images/..%2f..%2freview.secret", "images/ab/x.html", "images/ab/x.svg",
        "/etc/passwd", "images//etc/passwd.png",
    ],
)  # fmt: skip
def test_nothing_but_pictures_is_served_even_when_signed(folder: FolderStore, links: Links, key: str) -> None:
    (folder.root.parent / "review.secret").write_bytes(b"secret")
    assert ask(links, links.to(key))[0] in (403, 404)


def test_links_stay_the_same_for_hours_and_end(folder: FolderStore, links: Links, clock: Clock) -> None:
    key = folder.put_content("thumbs", b"x", extension="webp", media_type="image/webp")
    first = links.to(key)
    clock.now += 60
    assert links.to(key) == first
    clock.now += HOURS * 3600 * 2
    assert ask(links, first)[0] == 403
    assert ask(links, links.to(key))[0] == 200
    assert ask(Links(folder, b"t" * 32, clock=clock), links.to(key))[0] == 403


def test_s3_signs_its_own_links_and_they_are_kept(store: Store, clock: Clock) -> None:
    if isinstance(store, FolderStore):
        pytest.skip("the folder store is tested above")
    import urllib.request

    key = store.put_content("thumbs", b"bytes", extension="webp", media_type="image/webp")
    links = Links(store, SECRET, clock=clock)
    url = links.to(key)
    assert links.to(key) == url
    assert urllib.request.urlopen(url).read() == b"bytes"


@pytest.mark.parametrize(
    "asked", ["until=1&sign=é", "until=9&sign=%ff", f"until={'9' * 5000}&sign=0", "until=²&sign=0"]
)
def test_a_signature_of_any_letters_is_refused_and_not_an_error(folder: FolderStore, links: Links, asked: str) -> None:
    key = folder.put_content("thumbs", b"x", extension="webp", media_type="image/webp")
    until = links.to(key).partition("until=")[2].partition("&")[0]
    for query in (asked, asked.replace("until=1&", f"until={until}&")):
        assert ask(links, f"/objects/{key}?{query}")[0] == 403


def test_an_image_in_full_is_compared_with_its_key(store: Store, clock: Clock) -> None:
    """Through the app on either store; what a disk or a person changed is not shown."""
    key = store.put_content("images", b"as it was made", extension="png", media_type="image/png")
    links = Links(store, SECRET, clock=clock)
    assert links.to(key).startswith("/objects/images/") and ask(links, links.to(key))[:2] == (200, b"as it was made")
    overwrite(store, key, b"as it was MADE")
    assert ask(links, links.to(key))[0] == 409
    overwrite(store, key, None)
    assert ask(links, links.to(key))[0] == 404
