# ruff: noqa: E501
"""Natural mistakes (YAML, spreadsheets, ComfyUI, A1111): each is located, and says what to write."""

from __future__ import annotations

import io

import pytest

from engine.model_files import open_model_files
from schemas.errors import ManifestError
from schemas.reading.manifest_file import read_manifest
from schemas.settings import Limits, Settings
from storage.intake import Upload, inspect_pictures

HEAD = "project: P\nmodel: studio-tiny\n"
ASSET = "assets: [{name: A, prompt: x}]\n"


def asset(fields: str) -> str:
    return f"{HEAD}defaults: {{size: 128}}\nassets:\n  - {{name: A, prompt: x, {fields}}}\n"


def prompt(text: str) -> str:
    return f"{HEAD}assets:\n  - name: A\n    prompt: {text}\n"


MISTAKES: dict[str, tuple[str | bytes, str]] = {
    # YAML
    "tab": (f"{HEAD}brand:\n\tpalette: []\n{ASSET}", "4:1: manifest: got a tab, with which YAML does not indent; expected two spaces"),
    "bare colour": (f"{HEAD}brand:\n  palette: [#C8102E]\n{ASSET}", '4:13: manifest: got #C8102E, where # begins a comment; expected colours in quotes: palette: ["#C8102E"]'),
    "bare colour alone": (f"{HEAD}brand:\n  palette: #C8102E\n{ASSET}", 'got nothing, for # begins a comment: #C8102E; expected it in quotes: "#C8102E"'),
    "braces in braces": (f"{HEAD}delivery: {{name: T_{{Asset}}_BC.png}}\n{ASSET}", 'quotes: name: "T_{Asset}_BC.png"'),
    "second colon": (prompt("a red potion: shiny"), '5:25: manifest: got a second colon with a space, which YAML takes for another field; expected quotes: prompt: "a red potion: shiny"'),
    "second colon in braces": (f"{HEAD}assets: [{{name: A, prompt: a red potion: shiny}}]\n", 'quotes: prompt: "a red potion: shiny"'),
    "at sign": (f"asked_by: @mia\n{HEAD}{ASSET}", "1:11: manifest: got '@' at the beginning, which YAML keeps for itself; expected quotes: asked_by: \"@mia\""),
    "percent first": (prompt("%red"), 'quotes: prompt: "%red"'),
    "backtick": (prompt("`red`"), 'quotes: prompt: "`red`"'),
    "open quote": (prompt('"a red potion'), "5:13: manifest: got a \" that is never closed"),
    "apostrophe": (prompt("'it's red'"), 'double quotes around it: prompt: "it\'s red"'),
    "text after bracket": (prompt("[word] more"), 'quotes around all of it: prompt: "[word] more"'),
    "comma as point": (asset("guidance_scale: 3,5"), "got 3,5, of which YAML makes 3 and a field '5'; expected a point: guidance_scale: 3.5"),
    "comma in braces": (f"{HEAD}assets: [{{name: A, prompt: a crown, outlined}}]\n", 'quotes: prompt: "a crown, outlined"'),
    "open bracket": (f"{HEAD}assets: [{{name: A, prompt: x}}\nnote: y\n", "']' at the end"),
    "no space": (f"{HEAD}note:x\nassets: []\n", "got a colon without a space behind it; expected note: x"),
    "indent": (f"{HEAD}assets:\n  - name: A\n   prompt: x\n", "in the same column"),
    "alias": (prompt("*x"), "got the alias *x"),
    "tag": (prompt("!red x"), "got the tag !red"),
    "twice": (f"{HEAD}model: m\n{ASSET}", "got 'model' again"),
    "two documents": (f"{HEAD}{ASSET}---\na: 1\n", "one document a file"),
    "empty": ("", "got an empty file"),
    "a list": ("- a\n", "got a list of 1; expected a mapping that begins with `project:`"),
    # numbers
    "yes for true": (f"{HEAD}delivery: {{ascii: yes}}\n{ASSET}", "delivery.ascii: got 'yes'; expected true or false: ascii: true"),
    "1 for true": (f"{HEAD}delivery: {{ascii: 1}}\n{ASSET}", "delivery.ascii: got 1; expected true or false: ascii: true"),
    "whole with a point": (asset("num_inference_steps: 20.0"), "got 20.0; expected a whole number: 20"),
    "percent": (asset("guidance_rescale: 80%"), "got '80%'; expected a number: 0.8 for 80%"),
    "decimal comma": (asset("guidance_rescale: '0,8'"), "a number: 0.8, with a point"),
    "number in quotes": (asset("num_inference_steps: '20'"), "a whole number: 20, without quotes"),
    "strength of 40": (asset("kind: texture, sources: a.png, strength: 40"), "0.4 for 40%"),
    "seed -1": (asset("seeds: -1"), "got -1, by which other tools mean a random seed"),
    "half a step": (asset("num_inference_steps: 20.5"), "a whole number"),
    "steps 0": (asset("num_inference_steps: 0"), "greater than or equal to 1"),
    "size 100": (asset("size: 100"), "multiples of 8"),
    "size with x": (asset("size: 512 x 768"), "a size in pixels such as 1024 or 1216x832"),
    # fields of others
    "seamless render": (asset("seamless: both"), "got a field of kind: texture; expected `kind: texture`, or no seamless"),
    "sources render": (asset("sources: a.png"), "got a field of kind: texture or repair"),
    **{f"field {name}": (asset(f"{name}: 1"), f"{name}: got an unknown field; did you mean {meant!r}?") for name, meant in {
        "steps": "num_inference_steps", "cfg": "guidance_scale", "cfg_scale": "guidance_scale", "sampler": "scheduler",
        "sampler_name": "scheduler", "seed": "seeds", "width": "size", "batch_size": "seeds", "negative": "negative_prompt",
        "ckpt_name": "model", "lora": "loras", "controlnet": "controls", "resolution": "size", "promt": "prompt",
    }.items()},
    "denoise": (asset("kind: texture, sources: a.png, denoise: 0.4"), "did you mean 'strength'?"),
    "sampler's name": (asset("scheduler: Eulr"), "got 'Eulr'; expected a scheduler such as Euler"),
    "dpmpp_2m": (asset("scheduler: dpmpp_2mm"), "got 'dpmpp_2mm'; expected a scheduler such as DPM"),
    "strength render": (asset("strength: 0.5"), "strength for textures and repairs"),
    # prompts
    "lora tag": (prompt('"a hat <lora:hero:0.8>"'), "`loras: {hero: 0.8}` beside the prompt"),
    "embedding": (prompt('"embedding:EasyNegative"'), "`embeddings: [EasyNegative]`"),
    "choice": (prompt('"a {red|blue} hat"'), "`values: {choice: [red, blue]}`"),
    "wildcard": (prompt('"a __card__"'), "`values: {card: [...]}`"),
    "schedule": (prompt('"[cat:dog:0.5]"'), "words that hold for all steps"),
    "alternation": (prompt('"[cat|dog]"'), "`values: {word: [cat, dog]}`"),
    "weight comma": (prompt('"(hat:1,2)"'), "(hat:1.2)"),
    "unclosed": (prompt('"a (hat:1.2, red"'), "(words:1.2), or \\( for a bracket"),
    "midjourney": (prompt('"a hat --ar 16:9"'), "`size` beside the prompt"),
    "compose": (prompt("cat AND dog"), "warning: got AND"),
    "placeholder": (prompt("a $colour hat"), "got $colour"),
    "dollar": (prompt("5 $ hat"), "$$ for a dollar sign"),
    # files
    "windows text": (f"{HEAD}note: café\n{ASSET}".encode("cp1252"), "3:10: manifest: got the byte 0xe9 (é in Windows-1252); expected text in UTF-8"),
    "utf-16": (f"{HEAD}{ASSET}".encode("utf-16"), "got text in UTF-16; expected UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "got a PNG picture; expected a manifest, which is YAML or JSON"),
    "workbook": (b"PK\x03\x04" + bytes(40), "got a ZIP file"),
    "backslash": (asset("kind: texture, sources: 'a\\b.png'"), "forward slashes"),
    "no model": (f"{HEAD.replace('tiny', 'tinny')}{ASSET}", "did you mean 'studio-tiny'?"),
    "no csv": (f"{HEAD}pirority: 3\nassets: rows.csv\n", "did you mean 'priority'?"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_located_and_says_what_to_write(name: str) -> None:
    text, sentence = MISTAKES[name]
    data = text if isinstance(text, bytes) else text.encode()
    settings = Settings()
    try:
        reading = inspect_pictures(data, "m.yaml", Upload({}), settings, open_model_files(settings)).reading
        lines = [str(one) for one in (*reading.problems, *reading.warnings)]
    except ManifestError as wrong:
        lines = str(wrong).splitlines()
    assert any(sentence in line for line in lines), lines
    assert all(line.startswith("m.yaml:") for line in lines)


def test_the_corpus_has_sixty() -> None:
    assert len(MISTAKES) >= 60


def rows(text: str | bytes, name: str = "rows.csv") -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    try:
        read_manifest(f"{HEAD}assets: {name}\n".encode(), "m.yaml", Limits(), beside=lambda _: data)
    except ManifestError as wrong:
        return str(wrong).splitlines()
    return []


def test_a_wrong_header_is_said_once_and_headers_count_in_any_case() -> None:
    wrong = rows("Name,PROMPT,steps,CFG\n" + "".join(f"A{n},x,20,5\n" for n in range(19)))
    assert wrong == [
        "rows.csv:1:3: cell C1: steps: got the column 'steps'; did you mean 'num_inference_steps'?",
        "rows.csv:1:4: cell D1: CFG: got the column 'CFG'; did you mean 'guidance_scale'?",
    ]


def test_a_cell_is_told_by_the_spreadsheets_row_even_after_a_cell_of_two_lines() -> None:
    (wrong,) = rows('name,prompt,seeds\nA,"x\ny",1\nB,z,many\n')
    assert wrong.startswith("rows.csv:4:3: cell C3: assets[1].seeds: got 'many'")


def test_leading_zeros_stay_and_decomposed_letters_are_composed() -> None:
    text = "name,prompt,values.n\n01,cafe\u0301 $n,007\n".encode()
    manifest = read_manifest(f"{HEAD}assets: rows.csv\n".encode(), "m.yaml", Limits(), beside=lambda _: text)
    (one,) = manifest.assets
    assert (one.name, one.prompt, one.values) == ("01", ("café $n",), {"n": ("007",)})


def test_a_workbook_is_read_as_csv_is() -> None:
    from openpyxl import Workbook

    book, file = Workbook(), io.BytesIO()
    for row in (
        ["Name", "prompt", "seeds", "guidance_scale"],
        ["Hat", "a hat", 2, 4.5],
        ["Cap", "a cap", "many", None],
    ):
        book.worksheets[0].append(row)
    book.save(file)
    assert rows(file.getvalue(), "rows.xlsx")[0].startswith("rows.xlsx:3:3: cell C3: assets[1].seeds: got 'many'")
    assert "got no workbook" in rows(b"not a workbook", "rows.xlsx")[0]


@pytest.mark.parametrize("header", ["k" + ".99.a" * 40, ",".join(["a"] * 2_000_000), "controls.99.image", "name.a.b.c"])
def test_headers_build_nothing_that_is_not_a_field(header: str) -> None:
    assert "got " in rows(f"name,prompt,{header}\n" + "A,x,1\n" * 50)[0]


def test_many_complaints_are_counted_and_not_all_said() -> None:
    lines = rows("name,prompt,style\n" + "".join(f"A{n},x,s{n}\n" for n in range(300)))
    assert len(lines) == 101 and lines[-1] == "and 200 more"
