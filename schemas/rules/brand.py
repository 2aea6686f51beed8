"""What a brand guide says twice, and differently."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from string import Template

from schemas.fields import find_placeholders
from schemas.manifest import Asset, Defaults, Manifest
from schemas.reading.tree import Path

LOOKED_AT = 1_000
"""Fillings of one `must_read` that are compared with the forbidden words."""


def find_contradictions(manifest: Manifest) -> Iterator[tuple[Path, str, str]]:
    """Words and colours that are allowed (or must be read) and forbidden."""
    guide = manifest.brand
    for field, twin in (("forbidden_words", "allowed_words"), ("forbidden_colours", "palette")):
        allowed = {value.casefold() for value in getattr(guide, twin)}
        for index, value in enumerate(getattr(guide, field)):
            if value.casefold() in allowed:
                yield ("brand", field, index), f"got {value!r}, which {twin} has as well", "it in one of them"
    owners: list[tuple[Path, Asset | Defaults]] = [(("defaults",), manifest.defaults)]
    owners += [(("assets", index), asset) for index, asset in enumerate(manifest.assets)]
    for path, owner in owners:
        values = {"project": (manifest.project,), **manifest.defaults.values, **owner.values}
        values |= {"asset": (owner.name,)} if isinstance(owner, Asset) else {}
        for words in fillings(owner.text.must_read, values) if owner.text else ():
            for word in guide.forbidden_words:
                if f" {word.casefold()} " in f" {words.casefold()} ":
                    came = f"got {words!r}, and forbidden_words has {word!r}"
                    yield (*path, "text", "must_read"), came, "words that may be seen"


def fillings(text: str, values: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """A template with every value of its placeholders; those that have none stay as they are written."""
    names = [name for name in find_placeholders(text) if name in values]
    for chosen in itertools.islice(itertools.product(*(values[name] for name in names)), LOOKED_AT):
        yield Template(text).safe_substitute(dict(zip(names, chosen, strict=True)))
