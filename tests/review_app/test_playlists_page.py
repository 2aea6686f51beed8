"""The Playlists page, the queue in the Inbox that it makes, and reviews in steps, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from schemas.playlists import NewPlaylist
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit, on_screen, saved
from tests.review_app.test_client_page import in_steps

pytestmark = pytest.mark.browser


def test_made_on_the_page_it_is_somebodys_queue(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    project = request.node.name
    specs = stocked(4)
    page = visit("playlists", who="Lea")
    page.get_by_text("New playlist").first.click()
    page.get_by_label("Name", exact=True).fill("Heroes of Monday")
    people = page.get_by_role("combobox", name="Whose work it is")
    people.click()
    people.fill("Rea")
    people.press("Enter")
    people.press("Escape")
    page.get_by_role("combobox", name="Project").click()
    page.get_by_role("combobox", name="Project").fill(project)  # a list of every test's project draws its first alone
    page.get_by_role("option", name=project, exact=True).click()
    expect(page.get_by_text("4 images, asset by asset.")).to_be_visible()
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("4 of 4 wait").first).to_be_visible()
    (made,) = [one for one in house.ledger.playlists() if one.name == "Heroes of Monday"]
    assert (made.people, made.made_by, made.images) == (("Rea",), "Lea", 4)

    # hers, in the Inbox
    hers = visit("?playlist=mine", who="Rea")
    hers.wait_for_selector(".stage[data-painted]")
    expect(hers.locator("[data-part=playlist]")).to_have_value("mine")
    order = house.ledger.playlist_images(made.id)
    assert on_screen(hers) == order[0]
    hers.keyboard.press("a")
    saved(hers)
    assert on_screen(hers) == order[1]
    assert {spec.digest for spec in specs} == set(order)


def test_a_link_is_shown_once_and_taken_back(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    new = NewPlaylist(name=request.node.name, images=(stocked(1)[0].digest,))
    number = house.ledger.make_playlist(new, made_by="Lea", role="lead")
    page = visit("playlists", who="Lea")
    card = page.locator("[data-testid=stVerticalBlock]", has=page.get_by_role("heading", name=request.node.name)).last
    card.get_by_text("Client links").click()
    card.get_by_label("Client", exact=True).fill("Aki <b>Tanaka</b>")
    card.get_by_role("button", name="Make a link").click()
    shown = card.locator("code", has_text="/client#")
    expect(shown).to_be_visible()
    secret = shown.inner_text().split("#")[1]
    opened = house.ledger.open_client_link(secret)
    assert opened is not None
    assert (opened.playlist, opened.client) == (number, "Aki <b>Tanaka</b>")
    page.reload()
    expect(card.get_by_text("not opened yet")).to_be_hidden()
    card.get_by_text("Client links").click()
    card.get_by_role("button", name="Take it back").click()
    expect(card.get_by_text(re.compile("taken back"))).to_be_visible()
    expect(shown).to_have_count(0)
    assert house.ledger.open_client_link(secret) is None
    assert secret not in house.log.read_text()


def test_a_reviewer_gives_no_links(house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit) -> None:
    new = NewPlaylist(name="Only a reviewer's", images=(stocked(1)[0].digest,))
    house.ledger.make_playlist(new, made_by="Lea", role="lead")
    page = visit("playlists", who="Noor")
    expect(page.get_by_role("heading", name="Only a reviewer's")).to_be_visible()
    expect(page.get_by_text("Client links")).to_have_count(0)


def test_each_step_sees_what_waits_for_it(
    house: House,
    stocked: Callable[..., list[ImageSpec]],
    inbox: Visit,
    visit: Visit,
    request: pytest.FixtureRequest,
) -> None:
    specs = stocked(2)
    in_steps(house.ledger, specs)  # the first waits for the client, the second for the art lead
    page = inbox("Noor")
    expect(page.locator("[data-part=step]")).to_have_text("Step 1 of 2: art lead")
    assert on_screen(page) == specs[1].digest
    grid = visit(f"grid?project={request.node.name}", who="Noor")
    expect(grid.locator("[data-place]")).to_have_count(1)  # the Grid has the same queue
    page.keyboard.press("a")
    saved(page)
    expect(page.locator("[data-part=empty]")).to_contain_text("Waits for others")
    expect(page.locator("[data-part=empty]")).to_contain_text("for client")
    assert house.ledger.picture(specs[1].digest).entry.step == "client"


def test_the_chosen_of_the_grid_become_one(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    stocked(3)
    page = visit(f"grid?project={request.node.name}", who="Noor")
    page.locator("[data-place]").first.wait_for()
    page.locator("[data-place]").nth(1).click()
    page.get_by_role("button", name="Playlist", exact=True).click()
    expect(page.get_by_text("1 image, as chosen in the Grid.")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("One of the grid")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("button", name="Make it")).to_have_count(0)
    (made,) = [one for one in house.ledger.playlists() if one.name == "One of the grid"]
    assert made.images == 1


def test_a_filter_is_saved_and_chosen_again(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    stocked(3)
    page = inbox("Noor")
    page.get_by_role("link", name="Save filter").click()
    page.get_by_label("Its name").fill("Mine <b>only</b>")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved filters (1)").click()
    expect(page.get_by_text(f"Mine <b>only</b>: project {request.node.name}")).to_be_visible()
    (saved_one,) = house.ledger.saved_filters("Noor")
    assert dict(saved_one.query) == {"project": request.node.name}
    page.goto(house.url)
    page.wait_for_selector(".stage[data-painted]")
    page.locator("[data-part=named]").select_option(label="Mine <b>only</b>")
    expect(page.locator("[data-part=project]")).to_have_value(request.node.name)
    assert f"project={request.node.name}" in page.url
    expect(page.get_by_role("link", name="Save filter")).to_be_hidden()
    house.ledger.remove_filter(saved_one.id, owner="Noor")
