"""YAML text -> Tree. Read from the parser's events, so that nothing is built before it is known to be harmless:
aliases, anchors, tags, repeated keys, depth and the number of values are refused with their places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from schemas.errors import ManifestError, Problem
from schemas.reading.tree import Path, SourcePosition, Tree, find_unstorable, make_problem, parse_scalar, refuse
from schemas.reading.yaml_errors import explain_yaml_error
from schemas.settings import Limits

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str, name: str, limits: Limits) -> Tree:
    """Raises ManifestError and nothing else."""
    return _Reader(text, name, limits).read()


class _Reader:
    def __init__(self, text: str, name: str, limits: Limits) -> None:
        self.text, self.name, self.limits, self.nodes = text, name, limits, 0
        self.tree = Tree(text=text)
        self.problems: list[Problem] = []
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def read(self) -> Tree:
        try:
            self._expect(yaml.StreamStartEvent)
            event = next(self.events)
            if isinstance(event, yaml.StreamEndEvent):
                refuse(
                    SourcePosition(self.name, 1, 1), (), "got an empty file", "a manifest, beginning with `project:`"
                )
            self.tree.data = self._node(next(self.events), ())
            self._expect(yaml.DocumentEndEvent)
            event = next(self.events)
            if not isinstance(event, yaml.StreamEndEvent):
                refuse(self._place(event), (), "got a second document", "one document a file")
        except yaml.YAMLError as wrong:
            raise ManifestError([*self.problems, self._broken(wrong)]) from None
        if self.problems:
            raise ManifestError(self.problems)
        return self.tree

    def _expect(self, kind: type) -> None:
        event = next(self.events)
        assert isinstance(event, kind), event

    def _place(self, event: Any) -> SourcePosition:
        return SourcePosition(self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, path: Path) -> Any:
        """One value; goes on after an alias, anchor, tag or repeated key, so that all of them are told."""
        place = self._place(event)
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            refuse(place, path, f"got more than {self.limits.nodes} values", f"at most {self.limits.nodes}")
        if len(path) > self.limits.depth:
            refuse(place, path[:4], f"got more than {self.limits.depth} levels", f"at most {self.limits.depth}")
        self.tree.values[path] = place
        if isinstance(event, yaml.AliasEvent):
            self._problem(place, path, f"got the alias *{event.anchor}", "the value itself, written out")
            return None
        if event.anchor is not None:
            self._problem(place, path, f"got the anchor &{event.anchor}", "values without anchors")
        if event.tag is not None and not (isinstance(event, yaml.ScalarEvent) and event.tag == "!"):
            self._problem(place, path, f"got the tag {event.tag}", "values without tags")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                items.append(self._node(event, (*path, len(items))))
            return items
        return self._mapping(path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            place = self._place(event)
            if isinstance(event, yaml.ScalarEvent):
                key = event.value
                if (*path, key) in self.tree.keys:
                    first = self.tree.keys[*path, key]
                    self._problem(
                        place, (*path, key), f"got {key!r} again (first in line {first.line})", "each key once"
                    )
                self.tree.keys[*path, key] = place
                self._node(event, (*path, key))  # counts it, and complains of anchors and tags
            else:
                key = str(self._node(event, (*path, "key")))
                self._problem(place, path, "got a list or a mapping as a key", "a name as a key")
            items[key] = self._node(next(self.events), (*path, key))
        return items

    def _scalar(self, event: Any, place: SourcePosition, path: Path) -> Any:
        if came := find_unstorable(event.value):
            self._problem(place, path, f"got {came}", "text that can be kept")
        return parse_scalar(event.value) if event.implicit[0] else event.value

    def _problem(self, place: SourcePosition, path: Path, came: str, allowed: str) -> None:
        if len(self.problems) < 100:
            self.problems.append(make_problem(place, path, came, allowed))

    def _broken(self, wrong: yaml.YAMLError) -> Problem:
        mark = getattr(wrong, "problem_mark", None)
        reason = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or "something else"
        at = {"line": mark.line + 1, "column": mark.column + 1} if mark else {"line": 1, "column": 1}
        line, column, came, allowed = explain_yaml_error(self.text, **at, problem=reason)
        return make_problem(SourcePosition(self.name, line, column), (), came, allowed)
