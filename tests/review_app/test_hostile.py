"""Text from manifests, prompts, notes, reviewers and checks is text on every page: it runs nothing, fetches nothing,
makes no element, and is read as it was written."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from review_app.export import guard
from schemas.comments import NewComment
from schemas.review import Choice, Criterion, Finding, Reason, Region, Result, Verdict
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from tests.making import a_choice, a_spec, a_submission, kept, planned, sha
from tests.review_app.conftest import House, a_house
from tests.review_app.hostile import GONE_WRONG, TEXTS, WORDS, flat
from tests.review_app.stocked import _keeping, _spec

NAMES = tuple(f"{flat(text)[:180]} {n}" for n, text in enumerate(TEXTS))
"""Of assets: one line, at most 200 letters, each different."""

PROJECT = "<img src=x onerror=window.hurt=1> **P** $x$ :ghost: {{7*7}}"
TWICE = PROJECT + " twice"


def stock_hostile(house: House) -> list[ImageSpec]:
    """One image a text, which is in every field that takes text."""
    ledger, store = house.ledger, house.store
    specs = []
    for project, double in ((PROJECT, False), (TWICE, True)):
        made = []
        for n, text in enumerate(TEXTS[: 30 if double else None]):
            fields = {
                "project": project,
                "asset": NAMES[n],
                "variant": NAMES[n],
                "prompt": text,
                "negative_prompt": text,
            }
            made.append(_spec(n, 64, store, {}, fields))
        submission = a_submission(name=f"{TEXTS[0]}.yaml", project=project, submitted_by=NAMES[2], digest=sha(project))
        planned(ledger, made, submission=submission)
        night = ledger.start_night(NAMES[0])
        keepings = []
        for n, spec in enumerate(made):
            place = Region(x=0.2, y=0.2, width=0.4, height=0.2, label=NAMES[n][:60])
            found = Finding(
                check=Criterion.TEXT, result=Result.FLAG, score=0.9, sentence=f"Reads {TEXTS[n]}", regions=(place,)
            )
            keepings.append(replace(_keeping(spec, n, 64, store, night, double), findings=[found]))
        ledger.keep_many(keepings)
        ledger.end_night(night, outcome=NAMES[1][:32], report_key=None, totals={NAMES[3]: 1}, planned=len(made))
        specs.append(made)
    alone, twice = specs
    for spec, name, text in zip(alone, NAMES, TEXTS, strict=True):
        choice = Choice(image=spec.digest, revision=0, verdict=Verdict.REJECT, note=text)
        ledger.decide(choice, reviewer=name)
        ledger.decide(Choice(image=spec.digest, revision=1, verdict=Verdict.UNDO), reviewer=name)
    for n, spec in enumerate(twice):
        ledger.decide(a_choice(spec, note=TEXTS[n]), reviewer=NAMES[n])
        said = Choice(
            image=spec.digest, revision=1, verdict=Verdict.REJECT, note=TEXTS[n + 30], reasons=(Reason.HANDS,)
        )
        ledger.decide(said, reviewer=NAMES[n + 30])
    for n, (spec, text) in enumerate(zip(alone, TEXTS, strict=True)):
        spoken = NewComment(image=spec.digest, text=f"{text}\n@Lea @{NAMES[n]}", token=f"hostile{n:03}")
        ledger.comment(spoken, author=NAMES[n], people=["Lea"])
    failing = [a_spec(900 + n, project=PROJECT, asset=NAMES[n]) for n in range(3)]
    ledger.plan(None, failing, priority=0, due=None, submitted_by=NAMES[0])
    ledger.claim([spec.digest for spec in failing], worker="w", seconds=60)
    for spec, text in zip(failing, TEXTS[3:], strict=False):
        ledger.fail(spec.digest, cause=text[:190], message=text, worker=text[:190], night=night, max_attempts=1)
    return alone


class Watched:
    """A page from which nothing may leave this machine."""

    def __init__(self, browser: Browser, house: House, who: str) -> None:
        self.house = house
        self.context = browser.new_context(viewport={"width": 1600, "height": 900})
        self.context.add_cookies([{"name": "dailies_reviewer", "value": quote(who), "url": house.url}])
        self.asked: list[str] = []
        self.dialogs: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.house.url}/{path}")
        self.page.wait_for_selector("h1, .stage[data-painted]")
        expect(self.page.get_by_test_id("stStatusWidget")).to_have_count(0)
        return self.page

    def is_harmless(self) -> None:
        assert self.page.evaluate(GONE_WRONG) == []
        assert self.page.url.startswith(self.house.url)
        away = [url for url in self.asked if not url.startswith((self.house.url, "data:", "blob:", "about:"))]
        assert (away, self.dialogs) == ([], [])

    def unread(self, texts: tuple[str, ...], *, seconds: float = 10) -> list[str]:
        """Those of `texts` that are not on the page as they were written, nor come within these seconds: a busy
        machine draws a page's parts one after the other."""
        until = time.monotonic() + seconds
        while True:
            words = self.page.evaluate(WORDS)
            spaced = flat(words)
            missing = [text for text in texts if text not in words and flat(text) not in spaced]
            if not missing or time.monotonic() > until:
                return missing
            self.page.wait_for_timeout(200)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = a_house(tmp_path_factory.mktemp("hostile"))
    made.environment |= {"DAILIES_ROLES": '{"Lea": "lead"}', "DAILIES_ROLES_WITHOUT_SIGN_IN": "true"}
    made.start()
    yield made
    made.kill()
    assert "Traceback" not in made.log.read_text(), made.log.read_text()


@pytest.fixture(scope="module")
def specs(house: House) -> list[ImageSpec]:
    return stock_hostile(house)


@pytest.fixture
def watched(browser: Browser, house: House, specs: list[ImageSpec]) -> Iterator[Watched]:
    made = Watched(browser, house, "Lea")
    yield made
    made.is_harmless()
    made.context.close()


def test_there_are_sixty() -> None:
    assert len(set(TEXTS)) == 60


@pytest.mark.browser
def test_the_reviewing_screen(watched: Watched, specs: list[ImageSpec]) -> None:
    page = watched.open(f"?project={quote(PROJECT)}")
    page.wait_for_selector(".stage[data-painted]")
    order = {spec.digest: n for n, spec in enumerate(specs)}
    seen = set()
    for _ in range(200):
        n = order[str(page.get_attribute(".stage", "data-image"))]
        if n not in seen:
            seen.add(n)
            text = TEXTS[n]
            said = (f"{text.strip()}\n@Lea", f"@{NAMES[n]}")
            assert watched.unread((NAMES[n], text, f"without: {text}", f"Reads {text}", *said)) == [], n
            if n % 10 == 0:  # the screen's own panels, which put the prompt into a field
                page.keyboard.press("t")
                page.keyboard.press("Escape")
                watched.is_harmless()
        if len(seen) == len(TEXTS):
            break
        page.keyboard.press("s")
        page.wait_for_timeout(60)
    assert len(seen) == len(TEXTS)
    page.keyboard.press("g")
    watched.is_harmless()


@pytest.mark.browser
def test_contact_sheets(watched: Watched) -> None:
    page = watched.open("grid")
    expect(page.locator(".sheet .tile").first).to_be_visible()
    unread = NAMES
    for _ in range(40):  # only the tiles in view are in the page
        unread = tuple(watched.unread(unread, seconds=0))
        if not unread:
            break
        page.locator(".list").evaluate("list => list.scrollBy(0, list.clientHeight / 2)")
        page.wait_for_timeout(400)
    assert unread == ()
    page.locator(".sheet .tile").first.click()
    watched.is_harmless()
    page = watched.open("library")
    page.get_by_text("All, not only approved").click()
    expect(page.locator(".sheet .tile").first).to_be_visible()
    assert watched.unread(NAMES) == []


@pytest.mark.browser
def test_conflicts(watched: Watched) -> None:
    page = watched.open("conflicts")
    expect(page.locator("h3")).to_have_count(30)
    assert watched.unread(TEXTS) == []  # the notes of the two who differ
    assert watched.unread(NAMES) == []  # and their names
    page.get_by_role("button", name="Reject", exact=True).first.click()
    expect(page.locator("h3")).to_have_count(29)


@pytest.mark.browser
def test_an_asset_with_its_line_and_its_snippet(watched: Watched, specs: list[ImageSpec]) -> None:
    page = watched.open(f"assets?project={quote(PROJECT)}")
    name = sorted(NAMES)[0]
    expect(page.locator(".sheet .tile").first).to_be_visible()
    assert watched.unread((name,)) == []
    page.locator(".sheet .tile").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_text("Manifest snippet").click()
    text = TEXTS[NAMES.index(name)]
    page.wait_for_timeout(500)
    assert watched.unread((name, text)) == []


@pytest.mark.browser
def test_comments_in_the_feed_and_in_an_images_dialog(watched: Watched, specs: list[ImageSpec]) -> None:
    page = watched.open("for_you")
    for shown in (40, 60):
        page.get_by_role("button", name="Show older ones").click()
        expect(page.locator(".st-key-feed [data-testid=stPageLink]")).to_have_count(shown)
    assert watched.unread((*NAMES, *(f"{text.strip()}\n@Lea" for text in TEXTS))) == []
    watched.is_harmless()
    for n in (0, 4, 28, 39, 42):
        page = watched.open(f"decisions?image={specs[n].digest}")
        expect(page.get_by_role("dialog").get_by_label("Your comment")).to_be_visible()
        assert watched.unread((f"{TEXTS[n].strip()}\n@Lea", f"@{NAMES[n]}")) == []
        watched.is_harmless()


@pytest.mark.browser
@pytest.mark.parametrize("page", ["submit", "nights", "decisions", "insights"])
def test_tables(watched: Watched, page: str) -> None:
    """Drawn on a canvas: what can be shown is that no element came of a text and nothing was fetched."""
    shown = watched.open(page)
    expect(shown.get_by_test_id("stDataFrame").first).to_be_visible()
    shown.wait_for_timeout(500)


@pytest.mark.browser
def test_a_manifest_that_is_being_written(watched: Watched, tmp_path: Path) -> None:
    lines = [f"  - {{name: '{text.replace(chr(39), chr(39) * 2)}', prompt: x}}" for text in NAMES[:40]]
    manifest = tmp_path / "hostile.yaml"
    styles = f"styles: {{'{TEXTS[2].replace(chr(39), '')}': {{promt: a}}}}"
    head = f"project: '{PROJECT}'\nmodel: '{TEXTS[0]}'\n{styles}\nassets:\n"
    manifest.write_text(head + "\n".join(lines), encoding="utf-8")
    page = watched.open("submit")
    page.locator("input[type=file]").set_input_files(manifest)
    expect(page.get_by_text("nothing can be submitted yet")).to_be_visible()
    assert watched.unread((PROJECT,)) == []


@pytest.mark.browser
@pytest.mark.parametrize("part", range(4))
def test_a_reviewers_name(browser: Browser, house: House, specs: list[ImageSpec], part: int) -> None:
    name = flat(" ".join(text for text in TEXTS[part::4] if len(text) < 40))[:80].strip()
    watched = Watched(browser, house, name)
    watched.open("you")
    assert watched.unread((name,)) == []
    watched.is_harmless()
    watched.context.close()


@pytest.mark.browser
def test_an_export_holds_no_formula(watched: Watched, specs: list[ImageSpec]) -> None:
    page = watched.open("decisions")
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").filter(has_text="CSV").locator("button").click()
    text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []
    notes = {row["note"] for row in rows}
    assert {guard(text) for text in TEXTS} <= notes


def test_words_of_a_search_are_no_pattern(ledger: Ledger) -> None:
    specs = [a_spec(n, asset=name, prompt=text) for n, (name, text) in enumerate(zip(NAMES, TEXTS, strict=True))]
    kept(ledger, specs)
    for spec in specs:
        found = {one.image for one in ledger.library([spec.prompt], approved=False)}
        assert found == {
            other.digest for other in specs if spec.prompt.lower() in f"{other.asset}\n{other.prompt}".lower()
        }
