"""Thousands of mistakes in one manifest: told up to a hundred, counted beyond, and hardly dearer than no mistake.

The effort is counted in function calls (tests/effort.py), so that a busy machine fails nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.model_files import open_model_files
from schemas.errors import ManifestError
from schemas.settings import Settings
from storage.intake import Upload, inspect_pictures
from tests.effort import count_calls

SETTINGS = Settings()
CATALOGUE = open_model_files(SETTINGS)
HEAD = "project: P\nmodel: studio-tiny\n"
ASSETS = 300


def read(text: str) -> list[str]:
    """The lines of its complaint; none for a sound one."""
    try:
        inspect_pictures(text.encode(), "m.yaml", Upload({}), SETTINGS, CATALOGUE).reading.sound()
    except ManifestError as wrong:
        return str(wrong).splitlines()
    return []


def sound(many: int) -> str:
    return HEAD + "assets:\n" + "".join(f"- {{name: A{n}, prompt: x, note: a, style: none}}\n" for n in range(many))


def unknown_styles(many: int) -> str:
    """Each asset's another, near to none, to all, or to one of 120 styles that there are."""
    styles = "styles:\n" + "".join(f"  style {n:04}: {{prompt: x}}\n" for n in range(120))
    assets = "".join(f"- {{name: A{n}, prompt: x, note: a, style: stile {n:05}}}\n" for n in range(many))
    return f"{HEAD}{styles}assets:\n{assets}"


def unknown_fields(many: int) -> str:
    fields = "a{0}: 1, b{0}: 2, steps: 3, promt: 4"
    return HEAD + "assets:\n" + "".join(f"- {{name: A{n}, prompt: x, {fields.format(n)}}}\n" for n in range(many))


def unknown_models(many: int) -> str:
    return HEAD + "assets:\n" + "".join(f"- {{name: A{n}, prompt: x, model: studio-{n}}}\n" for n in range(many))


def unknown_words(many: int) -> str:
    return HEAD + "assets:\n" + "".join(f"- {{name: A{n}, prompt: $word{n}, values: {{}}}}\n" for n in range(many))


def missing_pictures(many: int) -> str:
    asset = "- {{name: A{0}, kind: texture, prompt: x, sources: gone{0}.png}}\n"
    return HEAD + "assets:\n" + "".join(asset.format(n) for n in range(many))


KINDS: dict[Callable[[int], str], int] = {
    unknown_styles: 1,
    unknown_fields: 4,
    unknown_models: 1,
    unknown_words: 1,
    missing_pictures: 1,
}
"""The manifest and its mistakes an asset."""


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_many_mistakes_are_told_up_to_a_hundred_and_cost_little_more_than_none(write: Callable[[int], str]) -> None:
    lines: list[str] = []
    plain = count_calls(lambda: read(sound(ASSETS)))
    wrong = count_calls(lambda: lines.extend(read(write(ASSETS))))
    assert lines[-1] == f"and {KINDS[write] * ASSETS - 100:,} more" and len(lines) == 101
    assert all(line.startswith("m.yaml:") for line in lines[:100])
    first = count_calls(lambda: read(write(100)))
    assert wrong < 2.5 * plain + first


def test_many_exclusions_cost_what_they_are_and_not_their_product() -> None:
    def write(many: int) -> str:
        values = ", ".join(f"v{n}" for n in range(many + 1))
        rules = "".join(f"  - {{values.v: v{n}, style: none}}\n" for n in range(many))
        return f"{HEAD}assets:\n- name: A\n  prompt: $v\n  values: {{v: [{values}]}}\n  exclude:\n{rules}"

    assert read(write(600)) == []
    assert count_calls(lambda: read(write(600))) < 2.5 * count_calls(lambda: read(write(300)))
