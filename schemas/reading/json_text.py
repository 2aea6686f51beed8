"""JSON text -> Tree. Strict: no NaN, no comments, no repeated keys, nothing after the end.

The standard library's `json` gives the place of a syntax error and of nothing else. Here a wrong value must be named
with its line and column, so each value's place is kept, and the limits on depth and number of values hold while
reading. PyYAML reads JSON with places too, as quickly, but not strictly: comments, repeated keys, `.nan` and a second
document pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from schemas.reading.tree import Path, SourcePosition, Tree, find_unstorable, refuse
from schemas.settings import Limits


def read_json(text: str, name: str, limits: Limits) -> Tree:
    """Raises ManifestError and nothing else."""
    return _Reader(text, name, limits).read()


class _Reader:
    """Strict JSON with places. Recursion ends at `limits.depth`."""

    _space = re.compile(r"[ \t\n\r]*")
    _number = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")

    def __init__(self, text: str, name: str, limits: Limits) -> None:
        self.text, self.name, self.limits, self.nodes, self.at = text, name, limits, 0, 0
        self.line, self.line_start, self.seen = 1, 0, 0
        self.tree = Tree()

    def read(self) -> Tree:
        self.tree.data = self._value(())
        self._skip()
        if self.at < len(self.text):
            self._no((), "the end of the file")
        return self.tree

    def _place(self) -> SourcePosition:
        """Of self.at, which only grows."""
        self.line += self.text.count("\n", self.seen, self.at)
        newline = self.text.rfind("\n", self.seen, self.at)
        self.line_start = newline + 1 if newline >= 0 else self.line_start
        self.seen = self.at
        return SourcePosition(self.name, self.line, self.at - self.line_start + 1)

    def _skip(self) -> None:
        found = self._space.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _no(self, path: Path, allowed: str) -> NoReturn:
        word = re.match(r"\w+", self.text[self.at : self.at + 20])
        letter = self.text[self.at : self.at + 1]
        came = repr(word[0] if word else letter) if letter else "the end of the file"
        refuse(self._place(), path, f"got {came}", f"JSON: {allowed}")

    def _value(self, path: Path) -> Any:
        self._skip()
        place = self.tree.values[path] = self._place()
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            refuse(place, path, f"got more than {self.limits.nodes} values", f"at most {self.limits.nodes}")
        if len(path) > self.limits.depth:
            refuse(place, path[:4], f"got more than {self.limits.depth} levels", f"at most {self.limits.depth}")
        letter = self.text[self.at : self.at + 1]
        if letter == "{":
            return self._object(path)
        if letter == "[":
            return self._array(path)
        if letter == '"':
            return self._string(path)
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        found = self._number.match(self.text, self.at)
        if not found:
            self._no(path, "an object, a list, text in double quotes, a number, true, false or null")
        if len(found[0]) > 40:
            refuse(place, path, f"got a number of {len(found[0])} digits", "numbers of at most 40")
        self.at = found.end()
        return float(found[0]) if found[1] or found[2] else int(found[0])

    def _string(self, path: Path) -> str:
        if not self.text.startswith('"', self.at):
            self._no(path, "a name in double quotes")
        place = self._place()
        try:
            text, self.at = json.decoder.scanstring(self.text, self.at + 1, True)  # type: ignore[attr-defined]
        except json.JSONDecodeError as wrong:
            self.at = wrong.pos
            self._no(path, f"text in double quotes ({wrong.msg})")
        if came := find_unstorable(text):
            refuse(place, path, f"got {came}", "text that can be kept")
        return text

    def _object(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for _ in self._items(path, "}"):
            place = self._place()
            key = self._string(path)
            if key in items:
                first = self.tree.keys[*path, key]
                refuse(place, (*path, key), f"got {key!r} again (first in line {first.line})", "each key once")
            self.tree.keys[*path, key] = place
            self._skip()
            if not self.text.startswith(":", self.at):
                self._no((*path, key), "':'")
            self.at += 1
            items[key] = self._value((*path, key))
        return items

    def _array(self, path: Path) -> list[Any]:
        items: list[Any] = []
        for _ in self._items(path, "]"):
            items.append(self._value((*path, len(items))))
        return items

    def _items(self, path: Path, end: str) -> Iterator[None]:
        """Yields at the start of each item, from the opening bracket on to behind the closing one."""
        self.at += 1
        self._skip()
        if self.text.startswith(end, self.at):
            self.at += 1
            return
        while True:
            yield
            self._skip()
            if self.text.startswith(end, self.at):
                self.at += 1
                return
            if not self.text.startswith(",", self.at):
                self._no(path, f"',' or '{end}'")
            self.at += 1
            self._skip()
