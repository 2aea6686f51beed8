"""The JSON Schema that editors read: current, described, and as generous as the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.published import SCHEMA_FILE, manifest_schema, schema_text
from schemas.reading.yaml_text import read_yaml
from schemas.settings import ROOT, Limits

EXAMPLES = sorted(path for path in (ROOT / "manifests").rglob("*") if path.suffix in (".yaml", ".json"))
VALIDATOR = jsonschema.Draft202012Validator(manifest_schema())


def test_the_file_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: dailies schema --write"


def test_it_is_a_schema_with_a_description_for_every_field() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    bare = [
        f"{name}.{field}"
        for name, section in _sections(schema)
        for field, body in section.items()
        if not ({"description", "$ref", "const"} & body.keys())
    ]
    assert bare == []


def _sections(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Manifest", schema["properties"]
    for name, section in schema["$defs"].items():
        if "properties" in section:
            yield name, section["properties"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_editor_accepts_every_example(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    VALIDATOR.validate(read_yaml(text, path.name, Limits()).data)  # JSON is YAML
    if path.suffix == ".yaml":
        named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (path.parent / named).resolve() == SCHEMA_FILE


@pytest.mark.parametrize(
    "asset",
    [
        {"name": "A", "prompt": ["x", "y"], "size": 128, "seeds": 4, "scheduler": ["Euler a", "dpmpp_2m_karras"]},
        {"name": "A", "prompt": "x", "seeds": [1, 2], "zip": ["seeds", "size"], "size": ["128x64", 256]},
        {"name": "A", "prompt": "x", "zip": [["seeds", "prompt"]], "exclude": [{"size": [128, 256], "style": "a"}]},
        {"name": "A", "kind": "texture", "prompt": "x", "sources": "a.png", "strength": [0.3, 1], "seamless": "both"},
        {
            "name": "A",
            "kind": "texture",
            "prompt": "x",
            "sources": "a.png",
            "controls": [{"type": "canny", "image": "a.png"}],
        },
        {"name": "A", "kind": "repair", "prompt": "x", "sources": "a.png", "recipe": "hands", "mask": ["m.png"]},
        {"name": "A", "prompt": "x", "loras": {"a/b": [0, 0.5]}, "values": {"colour": ["red", 7]}, "tier": "draft"},
        {"name": "A", "prompt": "x", "controls": [{"type": "canny", "image": ["a.png"], "params": {"low": 80}}]},
    ],
)
def test_it_accepts_what_the_reader_accepts(asset: dict[str, Any]) -> None:
    VALIDATOR.validate({"$schema": "x", "project": "P", "model": "m", "assets": [asset]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"asets": []},
        {"due": 7},
        {"assets": [{"name": "A", "prompt": "x", "steps": 20}]},
        {"assets": [{"name": "A", "prompt": "x", "guidance_scale": "high"}]},
        {"assets": [{"name": "A", "prompt": "x", "controls": [{"image": "a.png"}]}]},
        {"assets": []},
    ],
)
def test_it_underlines_the_usual_slips(wrong: dict[str, Any]) -> None:
    body = {"project": "P", "model": "m", "assets": [{"name": "A", "prompt": "x"}]} | wrong
    assert not VALIDATOR.is_valid(body)
