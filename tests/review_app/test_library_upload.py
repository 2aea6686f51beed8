"""The Library is searched by a picture that somebody uploads: its own image first, then what is like it."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, expect

from schemas.review import Choice, Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit
from tests.review_app.stocked import drawn
from tests.review_app.test_accessible import drawn as page_is_drawn
from tests.review_app.test_accessible import violations

pytestmark = pytest.mark.browser


def payload(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_by_an_uploaded_picture(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, scheme: str
) -> None:
    specs = stocked(8)
    for spec in specs[1:]:
        house.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")
    project = specs[0].project
    page = visit(f"library?project={project}", color_scheme=scheme)
    tiles = page.locator(".sheet .tile")
    expect(tiles).to_have_count(7)
    before = {path for path in house.settings.home.rglob("*") if path.is_file()}
    page.get_by_role("button", name="By a picture").click()
    upload = page.locator("input[type=file]")

    # the file of an image that waits: it is named, whatever the filters say, and shown first
    own = house.store.get(house.ledger.picture(specs[0].digest).image.object_key)
    upload.set_input_files(payload("potion.png", own))
    expect(page.get_by_text("Its metadata names that image.")).to_be_visible()
    expect(page.locator(".sheet h3").first).to_have_text("This image")
    expect(tiles.first).to_have_attribute("data-id", specs[0].digest)
    expect(tiles).to_have_count(8)
    page.keyboard.press("Escape")
    page_is_drawn(page)
    assert violations(page) == []

    # a copy without any metadata: what is nearly the same picture stands first
    bare = io.BytesIO()
    Image.fromarray(drawn(5, 96)[0]).resize((200, 200)).save(bare, "JPEG", quality=80)
    page.get_by_role("button", name="By a picture").click()
    upload.set_input_files(payload("<b>copy</b>.jpg", bare.getvalue()))
    expect(page.get_by_text("No image of the ledger is named by it.")).to_be_visible()
    expect(page.locator(".sheet h3").first).to_have_text("Nearly the same picture")
    expect(tiles.first).to_have_attribute("data-id", specs[5].digest)
    assert {path for path in house.settings.home.rglob("*") if path.is_file()} - before <= {house.log}

    # what is no picture is refused in words
    upload.set_input_files(payload("<img src=x onerror=hurt()>.png", b"\x89PNG\r\n\x1a\n no picture"))
    expect(page.get_by_text("it is no picture that can be read")).to_be_visible()
    expect(page.get_by_text("<img src=x onerror=hurt()>.png: ")).to_be_visible()
    assert violations(page) == []
