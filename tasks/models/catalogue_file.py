"""The catalogue as a file that persons write in: comments, order and spelling stay, only what a scan says changes.

Beside it, `<name>.scan.json` keeps what the last scan wrote, so that the next one knows which fields a person has
edited since, and which entries a person has taken out.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from schemas.catalogue import Catalogue
from schemas.errors import SettingsError

_HEAD = """\
# What the manifests' model aliases mean. `dailies models scan FOLDER --write` adds to it and keeps what you edit.
# Keys: docs/models.md.
"""


class CatalogueFile:
    """`entries`: alias -> fields, to be changed and written with `write`. `scanned`: by a file's place, the alias, the
    fields and the fingerprint that the last scan wrote."""

    def __init__(self, path: Path, entries: CommentedMap, scanned: dict[str, dict[str, Any]]) -> None:
        self.path, self.entries, self.scanned = path, entries, scanned

    @classmethod
    def open(cls, path: Path, *, shipped: Path | None = None) -> CatalogueFile:
        """A new one where no file is there, with the entries of `shipped`. Raises SettingsError for no catalogue."""
        source, entries = path if path.is_file() else shipped, CommentedMap()
        if source is not None and source.is_file():
            catalogue = Catalogue.read(source)  # says what is wrong with it, by alias and field
            try:
                entries = _yaml().load(source.read_text(encoding="utf-8")) or CommentedMap()
            except YAMLError as wrong:
                raise SettingsError(f"{source}: not YAML: {wrong}") from None
            if source != path:
                for alias, entry in catalogue.entries.items():
                    for name in ("path", "config"):
                        if (place := getattr(entry, name)) is not None:
                            entries[alias][name] = str(catalogue.place(place))
        memory = _memory(path)
        scanned = {}
        if memory.is_file():
            try:
                scanned = json.loads(memory.read_text(encoding="utf-8"))["files"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise SettingsError(
                    f"{memory}: not what a scan wrote; delete it, then no field counts as edited"
                ) from None
        return cls(path, entries, scanned)

    def catalogue(self) -> Catalogue:
        """As it would be read. Raises SettingsError."""
        return Catalogue.parse(self._text(), name=str(self.path), folder=self.path.resolve().parent)

    def add(self, alias: str, fields: Mapping[str, Any]) -> None:
        self.entries[alias] = CommentedMap({name: _styled(value) for name, value in fields.items()})

    def change(self, alias: str, field: str, value: Any) -> None:
        """None takes the field out."""
        entry = self.entries[alias]
        if value is None:
            entry.pop(field, None)
        else:
            entry[field] = _styled(value)

    def spell(self, path: Path) -> str:
        """A path as the catalogue has it: relative to its folder where it is below it."""
        folder = Path(os.path.abspath(self.path)).parent
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)

    def write(self) -> None:
        """Whole, or not at all; read again before it takes the old one's place. Raises SettingsError."""
        text = self._text()
        Catalogue.parse(text, name=str(self.path), folder=self.path.resolve().parent)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _replace(self.path, text)
        memory = {"version": 1, "files": self.scanned}
        _replace(_memory(self.path), json.dumps(memory, ensure_ascii=False, indent=1, sort_keys=True) + "\n")

    def _text(self) -> str:
        out = io.StringIO()
        if not self.path.is_file():
            out.write(_HEAD)
        if self.entries:
            _yaml().dump(self.entries, out)
        return out.getvalue()


def _memory(path: Path) -> Path:
    return path.with_suffix(".scan.json")


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _yaml() -> YAML:
    yaml = YAML()  # keeps comments, order and quotes
    yaml.width = 118
    yaml.preserve_quotes = True
    return yaml


def _styled(value: Any) -> Any:
    """Lists and mappings on one line, as the shipped catalogue has them."""
    if isinstance(value, list | tuple):
        inline = CommentedSeq(value)
        inline.fa.set_flow_style()
        return inline
    if isinstance(value, Mapping):
        mapping = CommentedMap(value)
        mapping.fa.set_flow_style()
        return mapping
    return value
