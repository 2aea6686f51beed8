"""How many images a manifest asks for, and which combination each of them is.

An asset's matrix is the product of every field that is a list, seeds fastest; `zip` makes one axis of several fields
and `exclude` takes combinations out. Sizes are multiplied, never enumerated, until the product is known to be allowed.
Which sampling settings apply depends on the tier (schemas/manifest.py), so each tier of an asset is a block of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from schemas.fields import find_placeholders, to_pascal_case
from schemas.manifest import (
    AnyAsset,
    FromPictures,
    Import,
    Manifest,
    Repair,
    Style,
    TextureVariants,
)
from schemas.resolved import NO_STYLE, SAMPLING, Resolved, list_tiers
from schemas.spec import Tier

WHOLE = ("scheduler_options", "pag_applied_layers", "approximation")
"""Sampling fields that are one value, never an axis."""
BUILT_IN = ("asset", "project")
"""Placeholders that every prompt has; a style's prompt has `prompt` as well."""

Axes = dict[str, Sequence[Any]]
Groups = list[tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]]
"""Fields that vary together, with their rows of values; a field by itself is a group of one."""


@dataclass(frozen=True)
class Combination:
    """One image of an asset: `at` maps a field's path to its value, `variant` is its name within the asset."""

    at: Mapping[str, Any]
    variant: str


class Matrix:
    """Every combination of one asset, in a fixed order that does not depend on the order of keys in the file."""

    def __init__(self, manifest: Manifest, asset: AnyAsset) -> None:
        self.manifest = manifest
        self.asset = asset
        self.tiers = list_tiers(manifest, asset)
        self.blocks = {tier: list_axes(manifest, asset, tier) for tier in dict.fromkeys(self.tiers)}

    def product(self) -> int:
        """Images before `exclude`, by multiplication alone."""
        return sum(math.prod(len(rows) for _, rows in self._groups(tier)) for tier in self.blocks)

    def count(self) -> int:
        """Images. Enumerates only the axes that `exclude` names, so ask for `product` first."""
        if not self.asset.exclude:
            return self.product()
        total = 0
        for tier in self.blocks:
            groups = self._groups(tier)
            named = {path for rule in self.asset.exclude for path in rule}
            touched = [(paths, rows) for paths, rows in groups if named.intersection(paths)]
            rest = math.prod(len(rows) for paths, rows in groups if not named.intersection(paths))
            total += rest * sum(not self._excluded(at) for at in _choices(touched))
        return total

    def __iter__(self) -> Iterator[Combination]:
        for tier in self.blocks:
            groups = self._groups(tier)
            yield from self._combined(groups, itertools.product(*(range(len(rows)) for _, rows in groups)))

    def sample(self, most: int) -> Iterator[Combination]:
        """At most about `most` combinations, spread evenly over the matrix, without walking through the rest."""
        whole = self.product()
        for tier in self.blocks:
            groups = self._groups(tier)
            sides = [len(rows) for _, rows in groups]
            total = math.prod(sides)
            wanted = min(total, max(1, most * total // whole))
            step = next((n for n in range(max(1, round(total * 0.618)), total + 2) if math.gcd(n, total) == 1), 1)
            numbers = range(total) if wanted == total else (n * step % total for n in range(wanted))
            yield from self._combined(groups, (_digits(number, sides) for number in numbers))

    def choices(self, tier: Tier, fields: Collection[str], start: str) -> Iterator[dict[str, Any]]:
        """What these fields (and those whose path begins with `start`) are together in this tier's images; each once.

        Enumerates only them. An `exclude` that names other fields too takes nothing out.
        """
        groups: Groups = []
        for paths, rows in self._groups(tier):
            kept = [n for n, path in enumerate(paths) if path in fields or path.startswith(start)]
            if kept:
                some = list(dict.fromkeys(tuple(row[n] for n in kept) for row in rows))
                groups.append((tuple(paths[n] for n in kept), some))
        yield from (at for at in _choices(groups) if not self._excluded(at))

    def _combined(self, groups: Groups, choices: Iterable[Sequence[int]]) -> Iterator[Combination]:
        """`choices`: for every group the index of its row."""
        names = [self._names(paths, rows) for paths, rows in groups]
        for indexes in choices:
            at: dict[str, Any] = {}
            for (paths, rows), index in zip(groups, indexes, strict=True):
                at.update(zip(paths, rows[index], strict=True))
            if not (self.asset.exclude and self._excluded(at)):
                parts = [labels[index] for labels, index in zip(names, indexes, strict=True) if labels]
                yield Combination(at, "_".join(parts))

    def _names(self, paths: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> list[str]:
        """What each row adds to the variant's name: nothing for an axis of one value, unless it is the seeds or the
        files of an import."""
        labels = self._labels[paths]
        is_named = len(labels) > 1 or "seeds" in paths or (isinstance(self.asset, Import) and "sources" in paths)
        return [labels[repr(row)] for row in rows] if is_named else []

    def _groups(self, tier: Tier) -> Groups:
        """The axes of a tier's block; zipped ones together, at the place of their first."""
        block = self.blocks[tier]
        done: set[str] = set()
        groups: Groups = []
        for path, values in block.items():
            if path in done:
                continue
            paths = next((group for group in self.asset.zip if path in group), (path,))
            done.update(paths)
            if len(paths) == 1:
                groups.append((paths, [(tier,)] if path == "tier" else _Singles(values)))
                continue
            rows = list(zip(*(block[name] for name in paths), strict=True))
            if "tier" in paths:
                rows = [row for row in rows if row[paths.index("tier")] == tier]
            groups.append((paths, rows))
        return groups

    def _excluded(self, at: Mapping[str, Any]) -> bool:
        near = (
            rule
            for path, rules in self._rules.items()
            if path in at
            for value in {at[path], str(at[path])}
            for rule in rules.get(value, ())
        )
        return any(
            all(path in at and (at[path] in values or str(at[path]) in values) for path, values in rule.items())
            for rule in near
        )

    @cached_property
    def _rules(self) -> dict[str, dict[Any, list[dict[str, frozenset[Any]]]]]:
        """path -> value -> rules, each under the rarest of what it names: 9,000 images do not ask 8,000 rules each."""
        rules = [{path: list_spellings(values) for path, values in rule.items()} for rule in self.asset.exclude if rule]
        many = Counter((path, value) for rule in rules for path, values in rule.items() for value in values)
        index: dict[str, dict[Any, list[dict[str, frozenset[Any]]]]] = {}
        for rule in rules:
            rarest = min(rule, key=lambda path: sum(many[path, value] for value in rule[path]))
            for value in rule[rarest]:
                index.setdefault(rarest, {}).setdefault(value, []).append(rule)
        return index

    @cached_property
    def _labels(self) -> dict[tuple[str, ...], dict[str, str]]:
        """group of paths -> row's repr -> its part of the variant's name. Enumerates the axes, not their product."""
        rows_of: dict[tuple[str, ...], dict[str, tuple[Any, ...]]] = {}
        for tier in self.blocks:
            for paths, rows in self._groups(tier):
                rows_of.setdefault(paths, {}).update({repr(row): row for row in rows})
        if isinstance(self.asset, Import):
            named = zip(map(repr, _Singles(self.asset.sources)), _label_files(self.asset.sources), strict=True)
            return {paths: dict.fromkeys(rows, "") for paths, rows in rows_of.items()} | {("sources",): dict(named)}
        spoken = {paths: _label(paths, list(rows.values())) for paths, rows in rows_of.items()}
        if sum(max(map(len, labels), default=0) + 1 for labels in spoken.values() if len(labels) > 1) > 100:
            spoken = {paths: [f"{index + 1:02}" for index in range(len(rows))] for paths, rows in rows_of.items()}
        return {paths: dict(zip(rows, spoken[paths], strict=True)) for paths, rows in rows_of.items()}


class _Singles(Sequence[tuple[Any, ...]]):
    """A sequence of values as rows of one; a range of 10^9 seeds stays a range."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return (self._values[index],)


def multiply_axes(manifest: Manifest) -> int:
    """Images before `exclude`, over all assets, by multiplication alone."""
    return sum(Matrix(manifest, asset).product() for asset in manifest.assets)


def list_axes(manifest: Manifest, asset: AnyAsset, tier: Tier) -> Axes:
    """path -> values for every field that varies or could, slowest first. Fields that nobody set are absent."""
    resolved = Resolved(manifest, asset, tier)
    found: Axes = {"tier": list_tiers(manifest, asset), "model": resolved.get("model")}
    if isinstance(asset, Import):
        return found | {"style": (NO_STYLE,), "sources": asset.sources, "prompt": asset.prompt}
    if vae := resolved.get("vae"):
        found["vae"] = vae
    for alias, weights in sorted(resolved.get("loras").items()):
        found[f"loras.{alias}"] = weights
    found["style"] = resolved.get("style") or (NO_STYLE,)
    for field in ("size", *SAMPLING):
        if field not in WHOLE and (values := resolved.get(field)):
            found[field] = values
    if isinstance(asset, FromPictures):
        found["sources"] = asset.sources
        if isinstance(asset, Repair) and asset.mask:
            found["mask"] = asset.mask
        if strength := resolved.get("strength"):
            found["strength"] = strength
    if isinstance(asset, TextureVariants):
        found["seamless"] = asset.seamless
    for index, control in enumerate(asset.controls):
        start = f"controls.{index}."
        found[start + ("image" if control.image else "condition")] = control.image or control.condition or ()
        for field in ("controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end"):
            found[start + field] = getattr(control, field)
    for index, reference in enumerate(asset.references):
        found[f"references.{index}.image"] = reference.image
        found[f"references.{index}.scale"] = reference.scale
    texts = resolved.values
    for name in sorted(list_used_values(manifest, asset) & texts.keys()):
        found[f"values.{name}"] = texts[name]
    found["prompt"] = asset.prompt
    for field in ("prompt_2", "negative_prompt", "negative_prompt_2"):
        if values := resolved.get(field):
            found[field] = values
    seeds = resolved.get("seeds")
    found["seeds"] = seeds if isinstance(seeds, tuple) else list_seeds(manifest.project, asset.name, seeds or 1)
    return found


def list_styles(manifest: Manifest, asset: AnyAsset) -> list[Style]:
    names = Resolved(manifest, asset, Tier.FINAL).get("style") or ()
    return [manifest.styles[name] for name in names if name in manifest.styles]


def list_used_values(manifest: Manifest, asset: AnyAsset) -> set[str]:
    """Every placeholder that the asset's prompts and styles ask for."""
    texts = [*asset.prompt, *(asset.prompt_2 or ()), *(asset.negative_prompt_2 or ())]
    texts += Resolved(manifest, asset, Tier.FINAL).get("negative_prompt") or ()
    for style in list_styles(manifest, asset):
        texts += [style.prompt, style.negative_prompt]
    return {name for text in texts for name in find_placeholders(text)}


def list_seeds(project: str, asset: str, count: int) -> range:
    """`seeds: count` of an asset. The first n are the same whatever the count, so that more can be asked for later."""
    first = int.from_bytes(hashlib.sha256(f"{project}/{asset}".encode()).digest()[:4]) >> 1
    return range(first, first + count)


def list_spellings(values: Sequence[Any]) -> frozenset[Any]:
    """How values are written, so that two that mean the same have one in common: 1024 and "1024x1024" are one size."""
    texts = {str(value) for value in values} | {f"{value}x{value}" for value in values if type(value) is int}
    return frozenset(texts | {value for value in values if isinstance(value, float | int | str)})


def _choices(groups: Groups) -> Iterator[dict[str, Any]]:
    for rows in itertools.product(*(rows for _, rows in groups)):
        yield {
            path: value
            for (paths, _), row in zip(groups, rows, strict=True)
            for path, value in zip(paths, row, strict=True)
        }


def _digits(number: int, sides: Sequence[int]) -> list[int]:
    """`number` as indexes into axes of these lengths, the last one fastest."""
    found = []
    for side in reversed(sides):
        number, digit = divmod(number, side)
        found.append(digit)
    return found[::-1]


def _label(paths: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """One short name a row, told apart even in capitals without punctuation; numbers from 01 where that fails."""
    numbers = [f"{index + 1:02}" for index in range(len(rows))]
    if paths == ("seeds",):
        return numbers
    for column, path in enumerate(paths):
        if path != "seeds":
            labels = [_spoken(path, row[column]) for row in rows]
            plain = {to_pascal_case(label).casefold() for label in labels}
            if len(plain) == len(rows) and all(label and len(label) <= 24 for label in labels):
                return labels
    word = re.sub(r"\W", "", paths[0].rsplit(".", 1)[-1])
    return [word + number for number in numbers]


def _label_files(paths: Sequence[str]) -> list[str]:
    """By each file's own name, so that more files rename none; with a part of its path's SHA-256 where another has the
    same name, or it is long."""
    words = [_spoken("sources", path) for path in paths]
    many = Counter(to_pascal_case(word).casefold() for word in words)
    return [
        word
        if word and len(word) <= 40 and many[to_pascal_case(word).casefold()] == 1
        else f"{word[:32]}-{hashlib.sha256(path.encode()).hexdigest()[:6]}".lstrip("-")
        for word, path in zip(words, paths, strict=True)
    ]


def _spoken(path: str, value: Any) -> str:
    if isinstance(value, bool | int | float):
        return f"{re.split(r'[._/]', path)[-1]}{value:g}"
    if path in ("sources", "mask") or path.endswith((".image", ".condition")):
        value = PurePosixPath(value).stem
    return "-".join(re.findall(r"\w+", str(value)))
