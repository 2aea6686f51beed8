"""The morning report as one HTML file: flagged ones first, pictures inside, links into the inbox, nothing that runs."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.records import Image as ImageRow
from schemas.review import Criterion, Result
from storage.objects import Store
from storage.pictures import make_preview
from tests import making
from tests.conftest import Stack

NASTY = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """Checks that every tag is closed, and keeps tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def a_night(stack: Stack, *, images: int) -> int:
    """`images` potions of which the last is flagged, and a gem whose name is hostile; with real thumbnails."""
    ledger, store = stack.ledger, stack.store
    night = ledger.start_night("schedule")
    flag = making.a_finding(Criterion.HANDS, Result.FLAG, sentence=f"six fingers {NASTY}")
    specs = [making.a_spec(seed, variant=f"v{seed:02}") for seed in range(images)]
    gem = making.a_spec(99, asset="gem", variant=NASTY)
    making.planned(ledger, [*specs, gem])
    ledger.keep_many(
        [
            making.a_keeping(spec, [flag] if spec is specs[-1] else [], image=_kept(store, spec, night))
            for spec in [*specs, gem]
        ]
    )
    ledger.fail(specs[0].digest, cause="NotFinite", message=NASTY, worker="w", night=night, max_attempts=9)
    text = "# Night 1: complete\n\nBegun.\n\n## Failed, by cause\n\n| cause |\n| --- |\n| NotFinite |\n"
    key = store.put_content("reports", text.encode(), extension="md", media_type="text/markdown")
    ledger.end_night(night, outcome="complete", report_key=key, totals={})
    return night


def _kept(store: Store, spec: making.ImageSpec, night: int) -> ImageRow:
    pixels = np.full((64, 64, 3), spec.seed * 2, np.uint8)
    thumb = store.put_content("thumbs", make_preview(pixels, 384), extension="webp", media_type="image/webp")
    return making.an_image(spec, thumb_key=thumb, night=night)


@pytest.fixture
def page(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAILIES_REVIEW_URL", "https://review.studio.example/")
    a_night(local_stack, images=15)
    done = CliRunner().invoke(app, ["report", "--html"])
    assert done.exit_code == 0, done.output
    return done.output


def test_flagged_ones_come_first_with_their_sentence_and_a_link(page: str) -> None:
    read = Page(page)
    text = read.text
    first, causes, by_asset = (
        text.index(part) for part in ("Look here first: 1 image", "Failed, by cause", "By asset")
    )
    assert first < causes < by_asset
    assert "hands: six fingers" in text[first:causes] and "NotFinite" in text[causes:by_asset]
    links = [tag["href"] for name, tag in read.tags if name == "a"]
    assert f"https://review.studio.example/?image={making.a_spec(14, variant='v14').digest}" in links
    assert "https://review.studio.example/?project=potions&asset=red%20potion" in links
    assert "and 3 more" in text[by_asset:] and "15 images, 1 flagged, 0 approved" in text


def test_pictures_are_inside_and_small_and_nothing_else_is_loaded(page: str) -> None:
    sources = [tag["src"] or "" for name, tag in Page(page).tags if name == "img"]
    assert len(sources) == 1 + 12 + 1, "the flagged one, twelve potions, the gem"
    for source in sources:
        head, data = source.split(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.format == "JPEG" and max(picture.size) <= 160
    assert not re.search(r"<(script|link|iframe|object)\\b", page) and "url(" not in page


def test_names_and_errors_are_only_text(page: str) -> None:
    assert "<script" not in page and NASTY in Page(page).text


def test_a_picture_that_is_gone_leaves_the_rest(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    a_night(local_stack, images=2)
    for key in list(local_stack.store.keys("thumbs/")):
        making.overwrite(local_stack.store, key, None)
    read = Page(CliRunner().invoke(app, ["report", "--html"]).output)
    assert not [tag for name, tag in read.tags if name == "img"] and "v01" in read.text


def test_figures_of_a_night_as_json(local_stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    a_night(local_stack, images=3)
    body = json.loads(CliRunner().invoke(app, ["report", "1", "--json"]).output)
    assert (body["made"], body["flagged"], body["failures"][0]["cause"]) == (4, 1, "NotFinite")
    assert body["gpu_seconds"] == 4.0 and body["money"] == pytest.approx(4 * 2.5 / 3600)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["sheet", "potions"])
    assert done.output.split() == ["potions.png", "potions.pdf"] and done.exit_code == 0
    assert Path("potions.pdf").read_bytes().startswith(b"%PDF")
    with Image.open("potions.png") as sheet:
        levels = {int(level) for level in np.unique(np.asarray(sheet.convert("L")))}
    assert levels & {3, 4, 5} and levels & {197, 198, 199}, "the third potion's grey, and the gem's"
