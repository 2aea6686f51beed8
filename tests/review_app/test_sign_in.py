"""Signing in with a real OpenID provider, through st.login, in a real browser: roles from a claim, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.oidc import Provider, provider
from tests.review_app.conftest import House, a_house, saved
from tests.review_app.stocked import stock
from tests.servers import free_port

pytestmark = pytest.mark.browser

PEOPLE: dict[str, dict[str, Any]] = {
    "mara": {"email": "mara@studio.example", "email_verified": True, "dailies_role": ["artist", "reviewer"]},
    "vic": {"email": "vic@studio.example", "email_verified": True},
    "eve": {"email": "mara@studio.example", "email_verified": False, "dailies_role": "admin"},
    "silent": {"email": "mara@studio.example", "dailies_role": "admin"},
    "mara@studio.example": {"dailies_role": "admin"},  # a provider's own name for somebody, and no address at all
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Provider]:
    with provider(PEOPLE) as made:
        yield made
    assert made.refused == []


@pytest.fixture(scope="module")
def house(issuer: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = a_house(tmp_path_factory.mktemp("signed"))
    made.port = free_port()
    issuer.redirect_uri = f"{made.url}/oauth2callback"
    made.folder = tmp_path_factory.mktemp("started")
    (made.folder / ".streamlit").mkdir()
    (made.folder / ".streamlit" / "secrets.toml").write_text(issuer.secrets_toml)
    made.environment |= {"DAILIES_ROLE_CLAIM": "dailies_role", "DAILIES_DEFAULT_ROLE": "viewer"}
    stock(made.ledger, made.store, images=6, size=96)
    made.start()
    yield made
    made.kill()
    assert "Traceback" not in made.log.read_text(), made.log.read_text()


def sign_in(browser: Browser, house: House, who: str) -> Page:
    page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
    page.set_default_timeout(30_000)
    # a name from the days without sign-in counts for nothing
    page.context.add_cookies([{"name": "dailies_reviewer", "value": "admin", "url": house.url}])
    page.goto(house.url)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator(".stage")).to_have_count(0)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=who, exact=True).click()
    return page


def test_a_reviewer_decides_until_she_signs_out_in_every_tab(browser: Browser, house: House) -> None:
    page = sign_in(browser, house, "mara")
    page.wait_for_selector(".stage[data-painted]")
    page.keyboard.press("a")
    saved(page)
    (decision,) = [one.decision for one in house.ledger.decisions()]
    assert (decision.reviewer, decision.role) == ("mara@studio.example", "reviewer")

    other = page.context.new_page()
    other.goto(f"{house.url}/you")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("button", name="Sign in")).to_be_visible()
    assert house.ledger.others_hands("nobody") == []
    page.keyboard.press("a")  # the first tab is still open, and its connection too
    expect(page.locator(".notice.bad").or_(page.get_by_role("button", name="Sign in")).first).to_be_visible()
    assert len(house.ledger.decisions()) == 1
    page.context.close()


def test_who_has_no_role_only_looks(browser: Browser, house: House) -> None:
    before = len(house.ledger.decisions())
    page = sign_in(browser, house, "vic")
    page.wait_for_selector(".stage[data-painted]")
    page.keyboard.press("a")
    expect(page.locator(".notice.bad")).to_contain_text("your role does not decide")
    assert len(house.ledger.decisions()) == before
    page.context.close()


@pytest.mark.parametrize("who", ["eve", "silent", "mara@studio.example"])
def test_an_address_that_nobody_verified_is_nobodys(browser: Browser, house: House, who: str) -> None:
    page = sign_in(browser, house, who)
    expect(page.get_by_text("no verified e-mail address")).to_be_visible()
    expect(page.locator(".stage")).to_have_count(0)
    page.context.close()
