"""Bytes -> Manifest, or every Problem in them at once, each at its line and column.

Opens nothing: a CSV of assets that the manifest names comes through `beside`, pictures are looked at by
storage/intake.py, which adds its own problems.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, field
from functools import cached_property, partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import InputError, ManifestError, Problem, Warned
from schemas.manifest import Manifest
from schemas.reading.csv_text import read_csv
from schemas.reading.json_text import read_json
from schemas.reading.tree import Broken, Path, SourcePosition, Tree, decode_text, make_problem
from schemas.reading.validation_errors import describe_error, locate, name_type, show_value
from schemas.reading.yaml_text import read_yaml
from schemas.rules.consistency import find_conflicts
from schemas.rules.prompt_syntax import find_misread_prompts
from schemas.settings import Limits


@dataclass
class Reading:
    """What was read: a manifest if it holds together, the problems if not, and where everything stands."""

    name: str
    data: bytes
    tree: Tree
    manifest: Manifest | None = None
    problems: list[Problem] = field(default_factory=list)
    """The first ManifestError.SAID of them."""
    more: int = 0
    """How many others there are: counted and not spelt out, so that 20,000 wrong fields cost no more than one."""
    warnings: list[Warned] = field(default_factory=list)
    """What is allowed and often not meant."""
    beside: dict[str, bytes] = field(default_factory=dict)
    """The CSV files that it names, by path."""
    rest: Manifest | None = None
    """The manifest, or what is left of it without the fields that are wrong by themselves."""
    removed: set[Path] = field(default_factory=set)
    """What `rest` lacks, or has stand-ins for."""
    kept: list[int] = field(default_factory=list)
    """Which of the file's assets `rest` has."""

    def complain(self, path: Path, came: str, allowed: object) -> None:
        there, place = self.tree.nearest(path)
        self._tell(place, there, came, lambda: make_problem(place, there, came, allowed))

    def judge(self, found: Iterable[Broken]) -> None:
        """Complains of broken rules of `rest`, but not of what is missing there, nor twice of one field."""
        known = set(self._fields)
        for path, came, allowed in found:
            if path[:1] == ("assets",) and len(path) > 1 and isinstance(path[1], int) and self.kept:
                path = ("assets", self.kept[path[1]], *path[2:])
            there, place = self.tree.nearest(path)
            if path[:1] in self.removed or path[:3] in self.removed or (place.line, there) in known:
                continue
            self._tell(place, there, came, partial(make_problem, place, there, came, allowed))

    def judge_fields(self, errors: Iterable[ErrorDetails]) -> None:
        """Complains of what pydantic found wrong with single fields, in the order of the file."""
        located = [(*where, error) for error in errors if (where := locate(error, self.tree)) is not None]
        located.sort(key=lambda one: (one[0].line, one[0].column))
        for place, there, error in located:
            came = f"{error['type']} {error['msg']}"
            self._tell(place, there, came, partial(describe_error, error, self.tree, place, there))

    def add(self, problems: Iterable[Problem]) -> None:
        """Complains of what was found before there was a tree to look places up in."""
        for found in problems:
            self._tell(
                SourcePosition(found.file, found.line, found.column),
                (found.field,),
                found.came,
                partial(_itself, found),
            )

    def _tell(self, place: SourcePosition, path: Path, came: str, spell_out: Callable[[], Problem]) -> None:
        """Once for each place, field and thing that came."""
        if (place, path, came) in self._told:
            return
        self._told.add((place, path, came))
        self._fields.add((place.line, path))
        if len(self.problems) < ManifestError.SAID:
            self.problems.append(spell_out())
        else:
            self.more += 1

    @cached_property
    def _told(self) -> set[tuple[SourcePosition, Path, str]]:
        return set()

    @cached_property
    def _fields(self) -> set[tuple[int, Path]]:
        return set()

    def warn(self, found: Iterable[Broken]) -> None:
        """Warns of what is allowed and often not meant, once for each place."""
        for path, came, usual in found:
            there, place = self.tree.nearest(path)
            warning = Warned(*astuple(make_problem(place, there, came, usual)))
            if warning not in self._warned:
                self._warned.add(warning)
                self.warnings.append(warning)

    @cached_property
    def _warned(self) -> set[Warned]:
        return set()

    def sound(self) -> Manifest:
        """The manifest. Raises ManifestError with every problem, by place, when there is any."""
        if self.problems or self.manifest is None:
            order = {self.name: 0}
            by_place = sorted(self.problems, key=lambda p: (order.get(p.file, 1), p.line, p.column, p.field))
            raise ManifestError(by_place, more=self.more)
        return self.manifest

    def pictures(self) -> Iterator[tuple[Path, str]]:
        """(path, picture) for every picture named, even where other fields are wrong."""
        data = self.tree.data if isinstance(self.tree.data, dict) else {}
        yield from _texts(data.get("brand"), ("brand",), ("references", "logos"))
        yield from _texts(data.get("review"), ("review",), ("backgrounds",))
        assets = data.get("assets")
        for index, asset in enumerate(assets if isinstance(assets, list) else []):
            at = ("assets", index)
            yield from _texts(asset, at, ("sources", "mask", "metallic_mask"))
            for part in ("controls", "references"):
                listed = asset.get(part) if isinstance(asset, dict) else None
                for number, item in enumerate(listed if isinstance(listed, list) else []):
                    yield from _texts(item, (*at, part, number), ("image", "condition"))


def read_manifest(data: bytes, name: str, limits: Limits, *, beside: Callable[[str], bytes] | None = None) -> Manifest:
    """Raises ManifestError and nothing else. `beside` gives the bytes of a file that the manifest names."""
    return examine(data, name, limits, beside=beside).sound()


def examine(data: bytes, name: str, limits: Limits, *, beside: Callable[[str], bytes] | None = None) -> Reading:
    """A Reading with its problems collected. Raises ManifestError at once for what is not even YAML, JSON or CSV."""
    # 1. Bytes to plain values
    ending = name.lower().rsplit(".", 1)[-1]
    if ending in ("csv", "xlsx"):
        allowed = f"a small YAML with project, model and `assets: {name.rsplit('/', 1)[-1]}`"
        table = _table(data, name, limits)
        alone = make_problem(table.values[()], (), "got the assets without the rest", allowed)
        raise ManifestError([alone, *table.problems])
    text = decode_text(data, name, limits)
    reading = Reading(name, data, (read_json if ending == "json" else read_yaml)(text, name, limits))
    if not isinstance(reading.tree.data, dict):
        reading.complain((), f"got {name_type(reading.tree.data)}", "a mapping that begins with `project:`")
        return reading
    reading.tree.data.pop("$schema", None)

    # 2. Assets from a CSV
    if isinstance(reading.tree.data.get("assets"), str) and not _add_rows(reading, limits, beside):
        reading.tree.data["assets"] = [{"name": "asset", "prompt": "x"}]  # the rest is looked at all the same
        reading.removed.add(("assets",))

    # 3. Field by field, then what must hold between fields, for whatever part is sound
    try:
        manifest = Manifest.model_validate(reading.tree.data)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        reading.judge_fields(error for error in errors if error["loc"][:1] not in reading.removed)
        _judge_the_rest(reading, errors, limits)
    else:
        reading.rest = manifest
        reading.manifest = None if reading.removed else manifest
        reading.judge(find_conflicts(manifest, limits))
    if reading.rest is not None:
        reading.judge(find_misread_prompts(reading.rest))
    return reading


def _add_rows(reading: Reading, limits: Limits, beside: Callable[[str], bytes] | None) -> bool:
    """Puts the rows of `assets: file.csv` in its place. False when there are none."""
    name = reading.tree.data["assets"]
    if not name.lower().endswith((".csv", ".xlsx")) or name.startswith("/") or ".." in name.split("/"):
        allowed = "a list of assets, or a .csv or .xlsx file under the manifest's folder"
        reading.complain(("assets",), f"got {name!r}", allowed)
        return False
    if beside is None:
        reading.complain(("assets",), f"got {name!r}, which did not come with it", "a list of assets")
        return False
    try:
        reading.beside[name] = data = beside(name)
        shown = posixpath.join(posixpath.dirname(reading.name), name)
        rows = _table(data, shown, limits)
    except ManifestError as wrong:
        reading.add(wrong.problems)
        reading.more += wrong.more
        return False
    except InputError as wrong:
        reading.complain(("assets",), f"got {name!r}: {wrong}", "a .csv or .xlsx file under the manifest's folder")
        return False
    reading.add(rows.problems)
    reading.tree.data["assets"] = rows.data
    reading.tree.values.update({("assets", *path): place for path, place in rows.values.items() if path})
    reading.tree.keys.update({("assets", *path): place for path, place in rows.keys.items()})
    return True


def _table(data: bytes, name: str, limits: Limits) -> Tree:
    if name.lower().endswith(".xlsx"):
        from schemas.reading.xlsx import read_xlsx

        return read_xlsx(data, name, limits)
    return read_csv(decode_text(data, name, limits), name, limits)


def _judge_the_rest(reading: Reading, errors: list[ErrorDetails], limits: Limits) -> None:
    """The rules between fields, for what is left without the fields that are wrong by themselves."""
    wrong = {show_value(error["loc"]) for error in errors}
    fields_of: dict[str | int, set[str]] = defaultdict(set)
    for path in wrong:
        if path[:1] == ("assets",) and len(path) > 2:
            fields_of[path[1]].add(str(path[2]))
    reading.removed |= {path[:1] for path in wrong if path[:1] != ("assets",)}
    data = {key: value for key, value in reading.tree.data.items() if (key,) not in reading.removed}
    data = {"project": "project", "model": "model"} | data
    if not isinstance(data.get("assets"), list):
        return
    assets: list[Any] = []
    hazy: set[int] = set()
    for index, asset in enumerate(data["assets"]):
        fields = fields_of[index]
        if ("assets", index) in wrong or "kind" in fields:
            continue
        if fields:
            stand_ins = {"name": f"asset {index}", "prompt": "x", "sources": "x.png"}
            left = {key: value for key, value in asset.items() if key not in {*fields, "zip", "exclude"}}
            asset = left | {key: value for key, value in stand_ins.items() if key in fields and key in _needed(asset)}
            reading.removed |= {("assets", index, name) for name in fields}
            if fields & {"prompt", "prompt_2", "negative_prompt", "negative_prompt_2", "style", "values", "name"}:
                hazy.add(len(assets))
        assets.append(asset)
        reading.kept.append(index)
    try:
        reading.rest = Manifest.model_validate(data | {"assets": assets})
    except ValidationError:
        return
    looks = not reading.removed & {("styles",), ("defaults",)}
    reading.judge(find_conflicts(reading.rest, limits, looks=looks, hazy=hazy))


def _needed(asset: dict[str, Any]) -> set[str]:
    return {"name", "prompt", "sources"} if asset.get("kind") in ("texture", "repair") else {"name", "prompt"}


def _itself(found: Problem) -> Problem:
    return found


def _texts(section: Any, at: Path, fields: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    for name in fields if isinstance(section, dict) else ():
        value = section.get(name)
        if isinstance(value, str):
            yield (*at, name), value
        for index, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, str):
                yield (*at, name, index), item
