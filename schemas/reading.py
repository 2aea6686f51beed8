"""Bytes -> Manifest, or every Problem in them at once, each at its line and column.

Opens nothing: a CSV of assets that the manifest names comes through `beside`, pictures are looked at by
storage/frozen.py, which adds its own problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.csv_text import read_csv
from schemas.errors import InputError, ManifestError, Problem
from schemas.json_text import read_json
from schemas.manifest import Manifest, RenderAsset, TextureVariants
from schemas.rules import broken, nearest
from schemas.settings import Limits
from schemas.tree import Path, Tree, decoded, problem, refuse
from schemas.yaml_text import read_yaml

_KINDS: dict[str, type[BaseModel]] = {"render": RenderAsset, "texture": TextureVariants}
_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of fields to values",
    "model_attributes_type": "a mapping of fields to values",
    "tuple_type": "a list",
    "list_type": "a list",
}


@dataclass
class Reading:
    """What was read: a manifest if it holds together, the problems if not, and where everything stands."""

    name: str
    data: bytes
    tree: Tree
    manifest: Manifest | None = None
    problems: list[Problem] = field(default_factory=list)
    beside: dict[str, bytes] = field(default_factory=dict)
    """The CSV files that it names, by path."""

    def complain(self, path: Path, came: str, allowed: str) -> None:
        there, place = self.tree.nearest(path)
        self.problems.append(problem(place, there, came, allowed))

    def sound(self) -> Manifest:
        """The manifest. Raises ManifestError with every problem, by place, when there is any."""
        if self.problems or self.manifest is None:
            order = {self.name: 0}
            raise ManifestError(
                sorted(set(self.problems), key=lambda p: (order.get(p.file, 1), p.line, p.column, p.field))
            )
        return self.manifest

    def pictures(self) -> Iterator[tuple[Path, str]]:
        """(path, picture) for every picture named, even where other fields are wrong."""
        data = self.tree.data if isinstance(self.tree.data, dict) else {}
        yield from _texts(data.get("brand"), ("brand",), ("references",))
        assets = data.get("assets")
        for index, asset in enumerate(assets if isinstance(assets, list) else []):
            at = ("assets", index)
            yield from _texts(asset, at, ("sources",))
            controls = asset.get("controls") if isinstance(asset, dict) else None
            for number, control in enumerate(controls if isinstance(controls, list) else []):
                yield from _texts(control, (*at, "controls", number), ("image", "condition"))


def read_manifest(data: bytes, name: str, limits: Limits, *, beside: Callable[[str], bytes] | None = None) -> Manifest:
    """Raises ManifestError and nothing else. `beside` gives the bytes of a file that the manifest names."""
    return examine(data, name, limits, beside=beside).sound()


def examine(data: bytes, name: str, limits: Limits, *, beside: Callable[[str], bytes] | None = None) -> Reading:
    """A Reading with its problems collected. Raises ManifestError at once for what is not even YAML, JSON or CSV."""
    # 1. Bytes to plain values
    text = decoded(data, name, limits)
    ending = name.lower().rsplit(".", 1)[-1]
    if ending == "csv":
        stem = name.rsplit("/", 1)[-1]
        allowed = f"a small YAML with project, model and `assets: {stem}`"
        refuse(read_csv(text, name, limits).values[()], (), "came the assets without the rest", allowed)
    reading = Reading(name, data, (read_json if ending == "json" else read_yaml)(text, name, limits))
    if not isinstance(reading.tree.data, dict):
        reading.complain((), f"came {_kind(reading.tree.data)}", "a mapping that begins with `project:`")
        return reading
    reading.tree.data.pop("$schema", None)

    # 2. Assets from a CSV
    if isinstance(reading.tree.data.get("assets"), str) and not _add_rows(reading, limits, beside):
        return reading

    # 3. Field by field, then what must hold between fields, for whatever part is sound
    try:
        reading.manifest = Manifest.model_validate(reading.tree.data)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        for error in errors:
            _translate(reading, error)
        _judge_the_rest(reading, errors, limits)
    else:
        for broke in broken(reading.manifest, limits):
            reading.complain(*broke)
    return reading


def _add_rows(reading: Reading, limits: Limits, beside: Callable[[str], bytes] | None) -> bool:
    """Puts the rows of `assets: file.csv` in its place. False when there are none."""
    name = reading.tree.data["assets"]
    if not name.lower().endswith(".csv") or name.startswith("/") or ".." in name.split("/"):
        reading.complain(("assets",), f"came {name!r}", "a list of assets, or a .csv file under the manifest's folder")
        return False
    if beside is None:
        reading.complain(("assets",), f"came {name!r}, which did not come with it", "a list of assets")
        return False
    try:
        reading.beside[name] = data = beside(name)
        rows = read_csv(decoded(data, name, limits), name, limits)
    except ManifestError as wrong:
        reading.problems += wrong.problems
        return False
    except InputError as wrong:
        reading.complain(("assets",), str(wrong), "a .csv file under the manifest's folder")
        return False
    reading.tree.data["assets"] = rows.data
    reading.tree.values.update({("assets", *path): place for path, place in rows.values.items() if path})
    reading.tree.keys.update({("assets", *path): place for path, place in rows.keys.items()})
    return True


def _judge_the_rest(reading: Reading, errors: list[ErrorDetails], limits: Limits) -> None:
    """The rules between fields, without the assets and sections that are wrong by themselves."""
    data = dict(reading.tree.data)
    wrong = {error["loc"][:2] if error["loc"][:1] == ("assets",) else error["loc"][:1] for error in errors}
    sections = {path[0] for path in wrong if len(path) == 1}
    for section in sections:
        data.pop(section, None)
    data.setdefault("project", "project")
    data.setdefault("model", "model")
    if not isinstance(data.get("assets"), list):
        return
    kept = [index for index in range(len(data["assets"])) if ("assets", index) not in wrong]
    data["assets"] = [data["assets"][index] for index in kept]
    try:
        rest = Manifest.model_validate(data)
    except ValidationError:
        return
    for path, came, allowed in broken(rest, limits, looks=not sections & {"styles", "defaults"}):
        if path[0] == "assets" and len(path) > 1 and isinstance(path[1], int):
            path = ("assets", kept[path[1]], *path[2:])
        reading.complain(path, came, allowed)


def _translate(reading: Reading, error: ErrorDetails) -> None:
    """One of pydantic's errors as a Problem."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "too_short" and error["input"]:
        return  # pydantic's echo of items that are wrong by themselves
    path = tuple(part for part in _plain(error["loc"]) if part != "[key]")
    there, place = reading.tree.nearest(path)
    came = _spoken(error["input"])
    if kind == "missing":
        reading.problems.append(problem(place, path, "came nothing", f"it is needed: {_described(path, error['loc'])}"))
    elif kind == "extra_forbidden":
        place = reading.tree.keys.get(path, place)
        fields = _model_at(path[:-1], error["loc"])
        allowed = nearest(str(path[-1]), fields.model_fields if fields else ())
        reading.problems.append(problem(place, path, "came an unknown field", allowed))
    elif kind == "refused":
        reading.problems.append(problem(place, there, str(context["came"]), str(context["allowed"])))
    elif kind in ("enum", "literal_error"):
        expected = "render, texture" if path[-1] == "kind" else str(context["expected"])
        names = expected.replace("'", "").replace(" or ", ", ").split(", ")
        reading.problems.append(problem(place, there, came, nearest(str(error["input"]), names)))
    else:
        wanted = _WANTED.get(kind) or error["msg"].replace("Input should be ", "").replace("Value should", "it should")
        if kind == "string_type" and isinstance(error["input"], bool | int | float):
            wanted += f" (in quotes: '{error['input']}')"
        reading.problems.append(problem(place, there, came, wanted))


def _plain(loc: tuple[int | str, ...]) -> Path:
    """Without the tag that the union of assets puts behind the index."""
    return (*loc[:2], *loc[3:]) if loc[:1] == ("assets",) and len(loc) > 2 and loc[2] in _KINDS else loc


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        return f"came {value if len(value) <= 60 else value[:57] + '...'!r}"
    return f"came {_kind(value)}"


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _model_at(path: Path, loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model whose fields stand at `path`. `loc` is pydantic's, which has the kind of the asset in it."""
    model: type[BaseModel] | None = Manifest
    for part in path:
        if isinstance(part, int) or model is None or part not in model.model_fields:
            continue
        model = _inner(model.model_fields[part].annotation)
        if model is RenderAsset:
            model = _KINDS[str(loc[2])]
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _described(path: Path, loc: tuple[int | str, ...]) -> str:
    model = _model_at(path[:-1], loc)
    info = model.model_fields.get(str(path[-1])) if model else None
    return (info.description if info else None) or "see the schema"


def _texts(section: Any, at: Path, fields: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    for name in fields if isinstance(section, dict) else ():
        value = section.get(name)
        if isinstance(value, str):
            yield (*at, name), value
        for index, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, str):
                yield (*at, name, index), item
