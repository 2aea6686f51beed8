"""The reader on any bytes at all, and manifests that come back as they went in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import ManifestError
from schemas.manifest import Manifest
from schemas.reading.manifest_file import read_manifest
from schemas.schedulers import ALIASES
from schemas.settings import ROOT, Limits
from schemas.spec import Tier
from tests.effort import count_calls

LIMITS = Limits()
HEAD = "project: P\nmodel: m\n"
EXAMPLES = sorted(path for path in (ROOT / "manifests").rglob("*") if path.suffix in (".yaml", ".json"))


def problems(text: str | bytes, name: str = "m.yaml", limits: Limits = LIMITS) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ManifestError) as caught:
        read_manifest(data, name, limits)
    return [str(problem) for problem in caught.value.problems]


def read(text: str, name: str = "m.yaml") -> Manifest:
    return read_manifest(text.encode(), name, LIMITS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_reads_and_round_trips(path: Path) -> None:
    manifest = read_manifest(
        path.read_bytes(), path.name, LIMITS, beside=lambda name: (path.parent / name).read_bytes()
    )
    body = json.loads(json.dumps(manifest.model_dump(mode="json")))
    assert Manifest.model_validate(body) == manifest


WORDS = (
    "project model assets name prompt seeds styles zip exclude controls null true --- ... << 10 1e9 .nan ~ ? $x &a *a"
)
FRAGMENTS = st.lists(
    st.sampled_from([*WORDS.split(), *":,[]{}\"'#|>%@- \n\t\0\ufeffé\u2028", "  ", "- "]), max_size=60
).map("".join)
SEEDS_OF_FUZZ = [path.read_bytes() for path in EXAMPLES]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_manifest_with_a_slip_anywhere_gives_a_manifest_or_a_manifest_error(data: st.DataObject) -> None:
    """Bytes cut out of a real manifest or typed into it: this reaches what random bytes never would."""
    source = data.draw(st.sampled_from(range(len(EXAMPLES))))
    text = SEEDS_OF_FUZZ[source]
    start = data.draw(st.integers(0, len(text)))
    typed = data.draw(st.one_of(FRAGMENTS.map(str.encode), st.just(text[start : start + 40])))
    broken = text[:start] + typed + text[start + data.draw(st.integers(0, 30)) :]
    try:
        read_manifest(broken, EXAMPLES[source].name, LIMITS, beside=lambda name: broken)
    except ManifestError as wrong:
        assert wrong.problems


@settings(max_examples=400, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=300), FRAGMENTS.map(str.encode)), ending=st.sampled_from(["yaml", "json", "csv"])
)
@example(data=b"\xef\xbb\xbf", ending="yaml")
@example(data=b"{" * 5000, ending="json")
@example(data=b"[" * 5000, ending="yaml")
@example(data=b'{"a": "\\ud800"}', ending="json")
@example(data=b"project: " + b"9" * 5000, ending="yaml")
@example(data=b"- " * 5000, ending="yaml")
@example(data=b'"' * 4001, ending="csv")
def test_any_bytes_give_a_manifest_or_a_manifest_error(data: bytes, ending: str) -> None:
    try:
        read_manifest(data, f"m.{ending}", LIMITS, beside=lambda name: data)
    except ManifestError as wrong:
        assert wrong.problems
        for problem in wrong.problems:
            assert problem.line >= 1 and problem.column >= 1
            assert str(problem).isprintable()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0$(<{[_:-"), min_size=1, max_size=30)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True)
ONE_OR_MANY = {
    "size": st.sampled_from([128, "256x128", "64x64"]),
    "tier": st.sampled_from([tier.value for tier in Tier]),
    "guidance_scale": st.floats(0, 50),
    "num_inference_steps": st.integers(1, 500),
    "scheduler": st.sampled_from(sorted(ALIASES)),
    "negative_prompt": TEXT,
}


@st.composite
def asset_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A random asset, as it would be written: scalars or lists, with or without each field."""
    body: dict[str, Any] = {"prompt": draw(TEXT)}
    for field, values in ONE_OR_MANY.items():
        if draw(st.booleans()):
            body[field] = draw(st.one_of(values, st.lists(values, min_size=1, max_size=3, unique_by=repr)))
    if draw(st.booleans()):
        body["seeds"] = draw(
            st.one_of(st.integers(1, 50), st.lists(st.integers(0, 2**63 - 1), min_size=1, unique=True))
        )
    if draw(st.booleans()):
        said = body.get("num_inference_steps", 100)
        fewest = min(said) if isinstance(said, list) else said
        body |= {
            "kind": "texture",
            "sources": ["a.png", "b/c.png"],
            "strength": draw(st.floats(min(1.0, 1.01 / fewest), 1)),  # less would leave no step, which is refused
            "seamless": "x",
        }
    return body


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(
        st.lists(NAMES, min_size=1, max_size=4, unique_by=lambda name: name.casefold().translate({45: "", 95: ""}))
    )
    return {
        "project": draw(NAMES),
        "model": draw(NAMES),
        "priority": draw(st.integers(-100, 100)),
        "assets": [{"name": name, **draw(asset_bodies())} for name in names],
    }


class Quoting(yaml.SafeDumper):
    """Quotes text, since PyYAML writes YAML 1.1, where 0E0 is text."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@settings(max_examples=150, deadline=None)
@given(bodies())
def test_yaml_json_and_the_ledger_give_the_same_manifest(body: dict[str, Any]) -> None:
    from_json = read_manifest(json.dumps(body).encode(), "m.json", LIMITS)
    from_yaml = read_manifest(yaml.dump(body, Dumper=Quoting, allow_unicode=True).encode(), "m.yaml", LIMITS)
    assert from_json == from_yaml
    assert Manifest.model_validate(json.loads(json.dumps(from_json.model_dump(mode="json")))) == from_json


def test_scalars_mean_what_they_look_like() -> None:
    """YAML 1.2's core schema, not 1.1: no is text, 1e1 a number, 12:30 text."""
    text = (
        HEAD + "assets:\n  - name: A\n    prompt: [no, on, 12:30, 2026-12-01, 'true', '7']\n    guidance_scale: 1e1\n"
    )
    asset = read(text).assets[0]
    assert asset.prompt == ("no", "on", "12:30", "2026-12-01", "true", "7")
    assert asset.guidance_scale == (10.0,)


def test_text_is_only_text() -> None:
    """Whatever a template engine, a shell, a terminal or a format string would make of it."""
    hostile = [
        "{{7*7}}",
        "{0.__class__}",
        "`id`",
        "'; DROP TABLE images; --",
        "<script>alert(1)</script>",
        "%s%n",
        "../..",
    ]
    manifest = read_manifest(
        json.dumps({"project": "P", "model": "m", "assets": [{"name": "A", "prompt": hostile}]}).encode(),
        "m.json",
        LIMITS,
    )
    assert manifest.assets[0].prompt == tuple(hostile)
    [said] = problems(json.dumps({"project": "P", "model": "m", "assets": [], "\x1b[31mred\n": 1}), "m.json")[1:]
    assert "\x1b" not in said and "\n" not in said


@pytest.mark.parametrize(
    ("limits", "text", "said"),
    [
        (Limits(manifest_bytes=10), HEAD, "1:1: manifest: got 20 bytes; expected at most 10 bytes"),
        (Limits(nodes=5), HEAD + "note: x\n", "3:1: note: got more than 5 values; expected at most 5"),
        (Limits(depth=2), HEAD + "styles: {a: {prompt: {x: 1}}}\n", "got more than 2 levels; expected at most 2"),
        (
            Limits(images=3),
            HEAD + "assets: [{name: A, prompt: x, seeds: 4}]\n",
            "got 4 images; expected at most 3 in a manifest",
        ),
        (
            Limits(image_side=64),
            HEAD + "assets: [{name: A, prompt: x, size: 128}]\n",
            "got 128x128; expected sides of at most 64 px",
        ),
    ],
)
def test_limits_are_settings(limits: Limits, text: str, said: str) -> None:
    assert said in problems(text, limits=limits)[0]


def test_a_wide_file_is_read_in_time_that_grows_with_it() -> None:
    def rows(many: int) -> str:
        asset = "  - {{name: A{}, prompt: [a, b, c], seeds: [1, 2], size: 128}}\n"
        return HEAD + "assets:\n" + "".join(asset.format(index) for index in range(many))

    assert len(read(rows(2000)).assets) == 2000
    assert count_calls(lambda: read(rows(400))) < 2.2 * count_calls(lambda: read(rows(200)))


def test_rows_of_a_spreadsheet() -> None:
    rows = (
        "name;prompt;seeds;values.colour;size;controls.0.type;controls.0.image;guidance_scale\r\n"
        'Hat;"a $colour hat; tall";2;red | blue;128 | 64x64;;;4.5\r\n'
        "\r\n"
        '7;"two\r\nlines";7 |;;;canny;hat.png;\r\n'
    )
    text = "project: P\nmodel: m\nassets: rows.csv\n"
    manifest = read_manifest(text.encode(), "folder/m.yaml", LIMITS, beside=lambda name: rows.encode("utf-8-sig"))
    hat, seven = manifest.assets
    assert (hat.prompt, hat.seeds, hat.values) == (("a $colour hat; tall",), 2, {"colour": ("red", "blue")})
    assert (hat.size, hat.guidance_scale) == (("128x128", "64x64"), (4.5,))
    assert (seven.name, seven.prompt, seven.seeds) == ("7", ("two\r\nlines",), (7,))
    assert seven.pictures == ("hat.png",)


def test_a_wrong_cell_is_told_by_row_and_column() -> None:
    rows = "name,prompt,seeds\nA,x,1\n\nB,y,many\n"
    with pytest.raises(ManifestError) as caught:
        read_manifest(
            b"project: P\nmodel: m\nassets: rows.csv\n", "folder/m.yaml", LIMITS, beside=lambda _: rows.encode()
        )
    assert str(caught.value).startswith("folder/rows.csv:4:3: cell C4: assets[1].seeds: got 'many'; expected ")


def test_no_number_is_silently_changed() -> None:
    """Booleans are no numbers, text is no number, fractions are no counts, and nothing is infinite."""
    for field, value in [
        ("num_inference_steps", "true"),
        ("num_inference_steps", "20.5"),
        ("num_inference_steps", "'20'"),
        ("guidance_scale", "true"),
        ("guidance_scale", "1e999"),
        ("seeds", "1.0"),
        ("seeds", "99999999999999999999"),
    ]:
        said = problems(HEAD + f"assets:\n  - name: A\n    prompt: x\n    {field}: {value}\n")
        assert len(said) == 1 and f"assets[0].{field}" in said[0], (field, value, said)
    whole = read(HEAD + "assets: [{name: A, prompt: x, guidance_scale: 5}]").assets[0].guidance_scale
    assert whole is not None and isinstance(whole[0], float) and math.isclose(whole[0], 5.0)
