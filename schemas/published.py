"""The JSON Schema of manifests, as editors read it.

`dailies schema --write` renews schemas/manifest.schema.json; a test keeps it current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.manifest import ASSET_KINDS, Manifest
from schemas.rules.imports import ALLOWED
from schemas.schedulers import ALIASES, SCHEDULERS

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")


def manifest_schema() -> dict[str, Any]:
    """Draft 2020-12, with a description for every field; it accepts whatever the reader accepts."""
    body = Manifest.model_json_schema()
    _trim(body)
    body["$defs"]["Scheduler"] = {"anyOf": [{"enum": [*ALIASES, *SCHEDULERS]}, {"type": "string"}]}
    imported = body["$defs"]["Import"]["properties"]
    body["$defs"]["Import"]["properties"] = {name: imported[name] for name in imported if name in ALLOWED}
    properties = body["properties"]
    properties["$schema"] = {"type": "string", "description": "where this schema is, for editors of JSON"}
    rows = {"type": "string", "pattern": r"\.csv$", "description": "a CSV of assets, one a row"}
    assets = properties["assets"]
    (_, usual), *others = ASSET_KINDS.items()
    items: dict[str, Any] = {"$ref": f"#/$defs/{usual.__name__}"}
    for kind, model in reversed(others):
        chosen = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
        items = {"if": chosen, "then": {"$ref": f"#/$defs/{model.__name__}"}, "else": items}
    assets["items"] = items
    properties["assets"] = {
        "description": assets.pop("description"),
        "anyOf": [assets, rows],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Dailies manifest",
        "description": "One order of images: what to make, how it is reviewed, what it is called.",
        **{key: value for key, value in body.items() if key not in ("title", "description")},
    }


def schema_text() -> str:
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def _trim(node: Any) -> None:
    """Without the titles that pydantic makes of field names, and with one list of schedulers."""
    if isinstance(node, list):
        for item in node:
            _trim(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        node.pop("title")
    if node.get("format") == "scheduler":
        node.clear()
        node["$ref"] = "#/$defs/Scheduler"
    for value in node.values():
        _trim(value)
