"""The JavaScript of the review app: linted and type-checked by deno, and its parts by themselves in Chromium."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deno import find_deno_bin
from playwright.sync_api import Browser

from review_app import light_table, sheet, viewer
from schemas.settings import ROOT

CONFIG = ROOT / "review_app" / "deno.json"
FILES = [viewer.HERE / name for name in viewer.SCRIPTS]
TABLE = [light_table.HERE / name for name in light_table.SCRIPTS]


def joined(files: list[Path]) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def place_of(line: int, files: list[Path]) -> str:
    """FILE:LINE of a line of the joined module."""
    for file in files:
        length = file.read_text(encoding="utf-8").count("\n") + 1
        if line <= length:
            return f"{file.relative_to(ROOT)}:{line}"
        line -= length
    raise AssertionError(line)


@pytest.mark.parametrize("command", [["lint", "--compact"], ["check"]], ids=["lint", "types"])
def test_the_scripts_are_clean(tmp_path: Path, command: list[str]) -> None:
    modules = {"viewer": FILES, "light_table": TABLE, "sheet": [sheet.HERE / "sheet.js"]}
    for name, files in modules.items():
        (tmp_path / f"{name}.js").write_text(joined(files), encoding="utf-8")
    quiet = {"DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        [find_deno_bin(), *command, f"--config={CONFIG}", *(str(tmp_path / f"{name}.js") for name in modules)],
        env=os.environ | quiet,
        capture_output=True,
        text=True,
    )
    said = re.sub(
        r"\S*/(\w+)\.js:(\d+)",
        lambda found: place_of(int(found[2]), modules[found[1]]) if found[1] in modules else found[0],
        done.stdout + done.stderr,
    )
    assert done.returncode == 0, said


def test_the_type_check_finds_a_mistake(tmp_path: Path) -> None:
    module = tmp_path / "viewer.js"
    module.write_text(joined(FILES) + "\nadvance(newOutbox(() => {}));\n", encoding="utf-8")
    quiet = {"DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    command = [find_deno_bin(), "check", f"--config={CONFIG}", str(module)]
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode != 0
    assert "'Outbox' is not assignable to parameter of type 'Deck'" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def run(browser: Browser) -> Iterator[Callable[..., Any]]:
    """run(script, argument) evaluates on a page that has every function of the viewer."""
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://unit.test/")
    page.add_script_tag(content=joined(FILES).replace("export default", ""))
    yield page.evaluate
    page.close()


@pytest.fixture(scope="module")
def on_table(browser: Browser) -> Iterator[Callable[..., Any]]:
    """As `run`, with the functions of the light table."""
    page = browser.new_page()
    page.add_script_tag(content=joined(TABLE).replace("export default", ""))
    yield page.evaluate
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    "steps, ranges",
    [
        ("pick(s, 3); pick(s, 7, { extend: true })", [[3, 7]]),
        ("pick(s, 7); pick(s, 3, { extend: true }); pick(s, 9, { extend: true })", [[7, 9]]),
        ("pick(s, 2); pick(s, 5, { keep: true }); pick(s, 2, { keep: true })", [[5, 5]]),
        ("addRange(s, 1, 3); pick(s, 6, { keep: true }); pick(s, 8, { keep: true, extend: true })", [[1, 3], [6, 8]]),
        ("pickAll(s); pick(s, 40, { keep: true })", [[0, 39], [41, 99]]),
        ("pick(s, 500)", [[99, 99]]),
    ],
)  # fmt: skip
def test_choosing_is_a_file_managers(on_table: Callable[..., Any], steps: str, ranges: list[list[int]]) -> None:
    assert on_table(f"() => {{ const s = newSelection(100); {steps}; return rangesIn(s); }}") == ranges


@pytest.mark.browser
def test_every_tile_has_one_place_and_is_found_there(on_table: Callable[..., Any]) -> None:
    """Sections of 1, 7, 0-remainder and many images, at every scroll height: what is in view is what is drawn."""
    wrong = on_table(
        """() => {
            const rows = rowsFor([1, 7, 10, 400, 3].map((images) => ({ title: "t", images })), 800);
            const wrong = [];
            const tops = Array.from({ length: 421 }, (_, place) => tileAt(rows, place));
            for (let top = 0; top < rows.height; top += 37) {
                const bottom = Math.min(rows.height - 1, top + 600);
                const [first, last] = placesBetween(rows, top, bottom);
                tops.forEach((tile, place) => {
                    const inView = tile.top + TILE.height > top && tile.top < bottom;
                    if (inView && (place < first || place > last)) wrong.push([top, place]);
                });
                if (last - first > 8 * rows.columns) wrong.push([top, first, last]);
            }
            for (let place = 0; place < 421; place += 1) {
                const down = placeInRow(rows, place, 1);
                if (down !== place && tops[down].top <= tops[place].top) wrong.push(["down", place, down]);
            }
            return wrong;
        }"""
    )
    assert wrong == []


DECK = """const item = (id) => ({ id });
    const deck = newDeck();
    merge(deck, ["a", "b", "c", "d"].map(item), ["a", "b", "c", "d"], { pending: new Set() });
    const sent = (...ids) => ({ pending: new Set(ids) });
    """


@pytest.mark.browser
@pytest.mark.parametrize(
    "steps, expected",
    [
        ("deck.at = 1; merge(deck, [], ['d', 'c'], sent())", ["b", ["b", "c", "d"]]),
        ("deck.at = 2; merge(deck, [item('e')], ['a', 'b', 'c', 'd', 'e'], sent())", ["c", ["a", "b", "c", "d", "e"]]),
        ("deck.done.set('a', {}); advance(deck); merge(deck, [], ['c'], sent('a'))", ["b", ["a", "b", "c"]]),
        ("deck.done.set('b', {}); advance(deck)", ["c", ["a", "b", "c", "d"]]),
        ("deck.at = 3; deck.done.set('d', {}); advance(deck)", ["a", ["a", "b", "c", "d"]]),
        ("for (const id of deck.order) deck.done.set(id, {}); advance(deck)", [None, ["a", "b", "c", "d"]]),
        (
            "for (const id of deck.order) deck.done.set(id, {}); advance(deck); merge(deck, [], [], sent())",
            [None, ["a", "b", "c", "d"]],
        ),
        ("skip(deck)", ["b", ["b", "c", "d", "a"]]),
        ("deck.at = 2; deck.order.splice(0, 1); deck.at = 1; bringBack(deck, 'a')", ["a", ["b", "a", "c", "d"]]),
        ("deck.at = 1; bringBack(deck, 'nothing')", ["b", ["a", "b", "c", "d"]]),
    ],
)
def test_the_deck(run: Callable[..., Any], steps: str, expected: list[Any]) -> None:
    found = run(f"() => {{ {DECK} {steps}; return [onScreen(deck)?.id ?? null, deck.order]; }}")
    assert found == expected


@pytest.mark.browser
def test_what_is_merged_says_which_details_are_missing(run: Callable[..., Any]) -> None:
    script = f"() => {{ {DECK} return merge(deck, [], ['d', 'x', 'a', 'y'], sent()); }}"
    assert run(script) == ["x", "y"]


@pytest.mark.browser
def test_the_outbox_keeps_what_is_not_answered_and_drops_what_stood_on_a_refusal(run: Callable[..., Any]) -> None:
    found = run(
        """() => {
            let sends = 0;
            const outbox = newOutbox(() => { sends += 1; });
            post(outbox, { image: "a", revision: 0, verdict: "approve" });
            post(outbox, { image: "a", revision: 1, verdict: "undo", undoes: 1 });
            post(outbox, { image: "b", revision: 0, verdict: "approve" });
            const of = (seq, ok, client = outbox.client) => ({ client, seq, ok, image: "a" });
            const other = settle(outbox, [of(1, true, "somebody else's page")]).length;
            const fresh = settle(outbox, [of(1, false)]).map((answer) => answer.seq);
            const again = settle(outbox, [of(1, false)]).length;
            return { sends, other, fresh, again, left: outbox.waiting.map((event) => event.seq) };
        }"""
    )
    assert found == {"sends": 3, "other": 0, "fresh": [1], "again": 0, "left": [3]}


@pytest.mark.browser
def test_a_closed_pages_decisions_are_adopted_once_and_by_the_same_reviewer(run: Callable[..., Any]) -> None:
    found = run(
        """() => {
            localStorage.clear();
            const closed = newOutbox(() => {});
            closed.reviewer = "Noor";
            post(closed, { image: "a", revision: 0, verdict: "approve" });
            post(closed, { image: "a", revision: 1, verdict: "undo", undoes: 1 });
            const key = "dailies.outbox." + closed.client;
            const kept = JSON.parse(localStorage.getItem(key));
            const opened = (reviewer) => Object.assign(newOutbox(() => {}), { reviewer, seq: 7 });
            const early = adopt(opened("Noor")).length;  // its page may still be there
            localStorage.setItem(key, JSON.stringify({ ...kept, beat: Date.now() - 60_000 }));
            const others = adopt(opened("Ada")).length;
            const mine = opened("Noor");
            const adopted = adopt(mine).length;
            const [twice, waiting] = [adopt(opened("Noor")).length, mine.waiting.map((e) => [e.seq, e.undoes])];
            return { early, others, adopted, twice, waiting };
        }"""
    )
    assert found == {"early": 0, "others": 0, "adopted": 2, "twice": 0, "waiting": [[8, None], [9, 8]]}


@pytest.mark.browser
def test_a_dragged_region_is_the_same_from_every_corner(run: Callable[..., Any]) -> None:
    corners = [({"x": 0.2, "y": 0.3}, {"x": 0.6, "y": 0.9}), ({"x": 0.6, "y": 0.3}, {"x": 0.2, "y": 0.9})]
    for one, other in corners:
        for pair in ((one, other), (other, one)):
            assert run("([a, b]) => between(a, b)", pair) == {"x": 0.2, "y": 0.3, "width": 0.4, "height": 0.6}
