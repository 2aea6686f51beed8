"""Words that must be read, filled in with each image's own values."""

from __future__ import annotations

import pytest

from schemas.manifest import Manifest
from schemas.reading.manifest_file import examine
from schemas.settings import Limits
from schemas.text_requests import TextRequests

HEAD = "project: P\nmodel: m\nvalues_of: unused\n".replace("values_of: unused\n", "")


def read(body: str, brand: str = "") -> tuple[Manifest | None, list[str]]:
    reading = examine((HEAD + brand + "assets:\n" + body).encode(), "m.yaml", Limits())
    return reading.manifest, [str(problem) for problem in reading.problems]


SIGN = """
  - name: Sign
    prompt: a $colour sign that says $word
    values: {word: [INN, OPEN], colour: [red, blue]}
    seeds: [1, 2]
    text: {must_read: "$word 24 h, $asset", where: the board}
"""


def test_every_variant_has_its_own_words() -> None:
    manifest, problems = read(SIGN)
    assert manifest is not None and problems == []
    requests = TextRequests(manifest)
    found = requests.find("Sign", "red_OPEN_02")
    assert found is not None and (found.must_read, found.where) == ("OPEN 24 h, Sign", "the board")
    assert requests.find("Sign", "blue_INN_01").must_read == "INN 24 h, Sign"  # type: ignore[union-attr]
    with pytest.raises(KeyError):
        requests.find("Sign", "green_INN_01")


def test_words_without_placeholders_are_those_of_every_variant_and_a_dollar_is_written_twice() -> None:
    manifest, problems = read('  - {name: Can, prompt: a can, text: {must_read: "ONLY 5 $$"}}')
    assert manifest is not None and problems == []
    assert TextRequests(manifest).find("Can", "01").must_read == "ONLY 5 $"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "brand", "said"),
    [
        ('  - {name: Can, prompt: a can, text: {must_read: "5 $"}}', "", "$$ for a dollar sign"),
        ("  - {name: Can, prompt: a can, text: {must_read: $brand}}", "", "a name under `values`"),
        (
            "  - {name: Can, prompt: a can}\ndefaults: {text: {must_read: $maker}, values: {maker: [Ola, Zed]}}",
            "",
            "$maker in the prompt as well",
        ),
        (SIGN, "brand: {forbidden_words: [Open]}\n", "got 'OPEN 24 h, Sign', and forbidden_words has 'Open'"),
        (SIGN, 'brand: {palette: ["#ffffff"], forbidden_colours: ["#FFFFFF"]}\n', "palette has as well"),
    ],
)
def test_words_that_no_image_could_have_are_refused(body: str, brand: str, said: str) -> None:
    _, problems = read(body, brand)
    assert any(said in problem for problem in problems), problems
