"""What must hold between the fields of a manifest, beyond each field by itself.

Every rule yields (path, what came, what is allowed); schemas/reading/manifest_file.py adds the place in the file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from schemas.delivery_presets import find_preset
from schemas.fields import count_pixels, find_placeholders, to_pascal_case, to_snake_case
from schemas.manifest import (
    CONTROL_TYPES,
    AnyAsset,
    Background,
    Control,
    Import,
    Manifest,
    RenderAsset,
    Repair,
    TextureVariants,
)
from schemas.matrix import BUILT_IN, Matrix, list_spellings, list_styles, list_used_values
from schemas.names import OneOf
from schemas.reading.tree import Broken, Path
from schemas.resolved import NO_STYLE, Resolved, list_tiers, resolve_tiers
from schemas.rules.approximations import find_idle_approximations
from schemas.rules.brand import find_contradictions
from schemas.rules.imports import find_unfit_fields
from schemas.schedulers import SchedulerError, resolve_scheduler
from schemas.settings import Limits
from schemas.spec import LONGEST_PROMPT, Tier


def find_conflicts(
    manifest: Manifest, limits: Limits, *, looks: bool = True, hazy: Collection[int] = ()
) -> Iterator[Broken]:
    """Every broken rule. Styles and placeholders are left out when `looks` is False, and for the assets in `hazy`."""
    yield from find_contradictions(manifest)
    yield from _names(manifest)
    yield from _licences(manifest)
    yield from _packing(manifest)
    yield from _steps(manifest)
    yield from _backgrounds(manifest)
    styles = {**dict.fromkeys(manifest.styles), NO_STYLE: None}.keys()
    if looks:
        yield from _styles(styles, manifest.defaults.style, ("defaults", "style"))
    matrices = [Matrix(manifest, asset) for asset in manifest.assets]
    sound = True
    for index, matrix in enumerate(matrices):
        own: Collection[str] = styles if looks and index not in hazy else ()
        found = list(_asset(matrix, ("assets", index), limits, styles=own))
        sound = sound and not found
        yield from found
    if sound:
        yield from _counts(matrices, limits)


def _steps(manifest: Manifest) -> Iterator[Broken]:
    """The steps of the review are each one's turn once, and take the place of a second reviewer."""
    steps = manifest.review.steps
    for index, step in enumerate(steps):
        if step in steps[:index]:
            yield ("review", "steps", index), f"got {step!r} again", "each step once"
    if steps and manifest.review.double_share:
        came = f"got {manifest.review.double_share:g} beside `steps`"
        yield ("review", "double_share"), came, "one of the two: with steps each image is looked at once a step"


def _backgrounds(manifest: Manifest) -> Iterator[Broken]:
    paths = manifest.review.backgrounds
    for index, path in enumerate(paths):
        if path in paths[:index]:
            yield ("review", "backgrounds", index), f"got {path!r} again", "each picture once"


def _licences(manifest: Manifest) -> Iterator[Broken]:
    """Licences are of pictures that the manifest names."""
    named = {path for asset in manifest.assets for path in asset.pictures}
    named |= {*manifest.brand.references, *manifest.review.backgrounds}
    for path in manifest.pictures.licences:
        if path not in named:
            yield ("pictures", "licences", path), f"got {path!r}, which nothing names", OneOf(path, named)


def _packing(manifest: Manifest) -> Iterator[Broken]:
    """A packed file has a name of its own beside the maps; what tiles is not padded; the engine is named."""
    delivery = manifest.delivery
    if delivery.engine_files and delivery.preset is None:
        yield ("delivery", "engine_files"), "got engine_files without an engine", "`preset: unreal`, unity or godot too"
    preset = find_preset(delivery.preset)
    if delivery.engine_files and delivery.preset and delivery.format not in ("as_made", *preset.formats):
        came = f"got {delivery.format} with engine_files, which {delivery.preset} does not import"
        yield ("delivery", "format"), came, f"as_made, {', '.join(preset.formats)}"
    taken = {word.casefold(): word for word in (preset.base, *preset.suffixes.values())}
    for name in delivery.packing:
        if name.casefold() in taken:
            yield (
                ("delivery", "packing", name),
                f"got {name!r}, which ends the names of other files",
                f"another word than {', '.join(sorted(taken.values()))}",
            )
        taken[name.casefold()] = name
    if delivery.sides != "as_made" and delivery.fit == "pad":
        for asset in manifest.assets:
            if isinstance(asset, TextureVariants) and set(asset.seamless) != {"none"}:
                came = f"got sides {delivery.sides} by pad, and {asset.name!r} tiles"
                yield ("delivery", "sides"), came, "fit: resize, because padding would break the seams"
                break


def _names(manifest: Manifest) -> Iterator[Broken]:
    """Asset names, and the delivery names that can be known before a seed is."""
    taken: dict[str, str] = {}
    delivered: dict[str, str] = {}
    for index, asset in enumerate(manifest.assets):
        if asset.name.casefold() in taken:
            yield ("assets", index, "name"), f"got {asset.name!r} again", "each asset's name once"
            continue
        taken[asset.name.casefold()] = asset.name
        template = manifest.delivery_name_of(asset)
        if re.search(r"\{(digest|seed)\}", template):
            continue
        name = template.replace("{Asset}", to_pascal_case(asset.name)).replace("{asset}", to_snake_case(asset.name))
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        if name in delivered:
            field = "delivery_name" if asset.delivery_name else "name"
            came = f"got {template!r}, which names {asset.name!r} and {delivered[name]!r} alike"
            yield ("assets", index, field), came, "names that differ, with {Asset} in the delivery name"
        delivered.setdefault(name, asset.name)


def _styles(styles: Collection[str], names: Sequence[str] | None, path: Path) -> Iterator[Broken]:
    for index, name in enumerate(names or ()):
        if name not in styles:
            yield (*path, index), f"got the style {name!r}", OneOf(name, styles)


def _asset(matrix: Matrix, at: Path, limits: Limits, *, styles: Collection[str]) -> Iterator[Broken]:
    """`styles`: those that there are; none: neither styles nor placeholders are looked at."""
    manifest, asset = matrix.manifest, matrix.asset
    if styles:
        yield from _styles(styles, asset.style, (*at, "style"))
        yield from _placeholders(manifest, asset, at)
        yield from _lengths(manifest, asset, at)
    if isinstance(asset, Import):
        yield from find_unfit_fields(asset, at)
        yield from _scheduler_options(manifest, asset, at)
        yield from _matrix(matrix, at)
        return
    if isinstance(asset, RenderAsset) and asset.strength is not None:
        allowed = "strength for textures and repairs, which start from a picture"
        yield (*at, "strength"), "got a strength for a render", allowed
    for index, control in enumerate(asset.controls):
        yield from _control(control, (*at, "controls", index))
    if isinstance(asset, Repair):
        yield from _repair(asset, at)
    for index, size in enumerate(asset.size or ()):
        if max(count_pixels(size)) > limits.image_side:
            yield (*at, "size", index), f"got {size}", f"sides of at most {limits.image_side} px"
    for index, size in enumerate(manifest.defaults.size or ()):
        if at[1] == 0 and max(count_pixels(size)) > limits.image_side:
            yield ("defaults", "size", index), f"got {size}", f"sides of at most {limits.image_side} px"
    yield from _hires(manifest, asset, at)
    yield from _background(manifest, asset, at)
    yield from explain_too_few_steps(manifest, asset, at, {})
    yield from _scheduler_options(manifest, asset, at)
    yield from _perturbed(manifest, asset, at)
    yield from find_idle_approximations(manifest, asset)
    yield from _refined(manifest, asset, at)
    yield from _matrix(matrix, at)


def _hires(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    """A second pass enlarges, and keeps the proportions."""
    resolved = Resolved(manifest, asset, Tier.FINAL)
    said = resolved.find("hires")
    if said is None or isinstance(asset, Repair):
        return
    hires, where = said.value, (*said.path, "first_size")
    width, height = count_pixels(hires.first_size)
    for size in resolved.get("size") or ():
        large, tall = count_pixels(size)
        if large < width or tall < height or large * height != tall * width:
            yield where, f"got {hires.first_size} for an image of {size}", "a smaller size of the same proportions"


def _background(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    """A texture has no ground; only `by: model` needs a model, and it needs one."""
    own = asset.background
    if own is not None and own.by != "none" and isinstance(asset, TextureVariants):
        yield (*at, "background"), "got a background for a texture", "it for renders and repairs, which have a ground"
    where: list[tuple[Path, Background | None]] = [((*at, "background"), own)]
    if at[1] == 0:
        where.append((("defaults", "background"), manifest.defaults.background))
    for path, said in where:
        if said is not None and said.by == "model" and said.model is None:
            yield path, "got `by: model` without a model", "`model`, a matting model's alias in the catalogue"
        if said is not None and said.by != "model" and said.model is not None:
            yield (*path, "model"), f"got a model for `by: {said.by}`", "`by: model`"


def _repair(asset: Repair, at: Path) -> Iterator[Broken]:
    """One place, in a picture that keeps its size."""
    if asset.region is None and not asset.mask:
        yield at, "got a repair without a place", "`region`, or `mask` with white where to paint"
    if asset.region is not None and asset.mask:
        yield (*at, "mask"), "got both region and mask", "one of them"
    if asset.region is not None and max(asset.region.x, asset.region.y) >= 1:
        yield (*at, "region"), "got a region outside the picture", "x and y below 1"
    for field in ("size", "hires"):
        if getattr(asset, field) is not None:
            yield (*at, field), f"got a {field} for a repair", "none: a repair keeps its picture's size"


def _placeholders(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    values = Resolved(manifest, asset, Tier.FINAL).values
    known = {*BUILT_IN, *values}
    for name in asset.values:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in (*BUILT_IN, "prompt"):
            yield (
                (*at, "values", name),
                f"got the name {name!r}",
                "letters, digits and '_', but not asset, project, prompt",
            )
        elif name not in list_used_values(manifest, asset):
            yield (*at, "values", name), f"got {name!r}, which no prompt uses", f"${name} in a prompt of this asset"
    for field in ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2"):
        for index, text in enumerate(getattr(asset, field) or ()):
            for name in find_placeholders(text):
                if name not in known:
                    yield (*at, field, index), f"got ${name}", OneOf(name, known, "a name under `values`: ")
    resolved = Resolved(manifest, asset, Tier.FINAL)
    for text in resolved.get("negative_prompt") or () if asset.negative_prompt is None else ():
        for name in find_placeholders(text):
            if name not in known:
                came = f"got ${name}, to which {asset.name!r} gives no value"
                yield ("defaults", "negative_prompt"), came, OneOf(name, known, "a name under `values`: ")
    yield from _must_read(manifest, asset, at, values, known)
    for style in resolved.get("style") or ():
        for field in ("prompt", "negative_prompt"):
            text = getattr(manifest.styles.get(style), field, "")
            for name in find_placeholders(text):
                if name not in known and not (name == "prompt" and field == "prompt"):
                    came = f"got ${name}, to which {asset.name!r} gives no value"
                    yield ("styles", style, field), came, OneOf(name, {*known, "prompt"}, "a name under `values`: ")


def _must_read(
    manifest: Manifest, asset: AnyAsset, at: Path, values: Mapping[str, Sequence[str]], known: set[str]
) -> Iterator[Broken]:
    """Words that must be read do not multiply images: of several values, the prompt says which one an image has."""
    request = manifest.text_request(asset)
    path = (*at, "text", "must_read") if asset.text else ("defaults", "text", "must_read")
    for name in find_placeholders(request.must_read) if request else ():
        if name not in known:
            yield path, f"got ${name}", OneOf(name, known, "a name under `values`: ")
        elif len(values.get(name, ())) > 1 and name not in list_used_values(manifest, asset):
            yield (
                path,
                f"got ${name}, which has several values and is in no prompt of {asset.name!r}",
                (f"${name} in the prompt as well"),
            )


def _lengths(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    """The longest prompt that filling in can give; a few placeholders could otherwise make megabytes of each image."""
    values = Resolved(manifest, asset, Tier.FINAL).values
    longest = {name: max(map(len, texts)) for name, texts in values.items()} | {"asset": 80, "project": 80}
    for field in ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2"):
        for index, text in enumerate(getattr(asset, field) or ()):
            length = filled(text, longest)
            for style in list_styles(manifest, asset) if field == "prompt" else ():
                length = max(length, filled(style.template, {**longest, "prompt": length}))
            if length > LONGEST_PROMPT:
                yield (*at, field, index), f"got text of {length} letters when filled in", f"at most {LONGEST_PROMPT}"


def filled(text: str, longest: dict[str, int]) -> int:
    """Letters of a template with its placeholders filled in, at most."""
    names = re.findall(r"\$\{?(\w+)", text)
    return len(text) + sum(longest.get(name, 0) for name in names)


def _control(control: Control, at: Path) -> Iterator[Broken]:
    if not control.image and not control.condition:
        yield at, f"got {control.type!r} without a picture", "`image`, or `condition` for a finished one"
    if control.image and control.condition:
        yield (*at, "condition"), "got both image and condition", "one of them"
    if control.image and control.type not in CONTROL_TYPES:
        yield (*at, "type"), f"got {control.type!r}", OneOf(control.type, CONTROL_TYPES)
    start, end = min(control.control_guidance_start), max(control.control_guidance_end)
    if max(control.control_guidance_start) >= min(control.control_guidance_end):
        yield (*at, "control_guidance_end"), f"got {end:g} with a start of {start:g}", "an end after the start"


def explain_too_few_steps(manifest: Manifest, asset: AnyAsset, at: Path, usual: Mapping[Tier, int]) -> Iterator[Broken]:
    """img2img makes strength x steps, rounded down: of textures, and of the second pass of `hires`. T-GATE needs a step
    before it.

    `usual`: a model's steps by tier, for where the manifest names none.
    """
    for resolved in resolve_tiers(manifest, asset):
        said = resolved.get("num_inference_steps")
        steps = min(said) if said else usual.get(resolved.tier)
        asked: list[tuple[Path, float, int | None]] = []
        if isinstance(asset, TextureVariants) and asset.seam_repair is not None:
            asked.append(((*at, "seam_repair", "strength"), asset.seam_repair.strength, steps))
        if strengths := resolved.find("strength") if resolved.applies("strength") else None:
            asked += [((*strengths.path, number), part, steps) for number, part in enumerate(strengths.value)]
        if hires := resolved.find("hires") if resolved.applies("hires") else None:
            path = (*hires.path, "strength")
            asked.append((path, hires.value.strength, hires.value.num_inference_steps or steps))
        if (gate := resolved.find("approximation")) and gate.value.tgate_after < 1:
            runs = [steps, *(int(many * strength) for _, strength, many in asked if many)]
            asked.append(((*gate.path, "tgate_after"), gate.value.tgate_after, min(filter(None, runs), default=None)))
        for path, strength, many in asked:
            if many and int(many * strength) < 1:
                yield (
                    path,
                    f"got {strength:g} of {many} steps, which is none",
                    f"{1 / many:.3g} or more, or more steps",
                )


def _refined(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    """The refiner goes on where the base stopped: over a whole picture, once, with the base's guidance."""
    resolved = Resolved(manifest, asset, Tier.FINAL)
    refiner = resolved.find("refiner")
    if refiner is None or Tier.FINAL not in list_tiers(manifest, asset):
        return
    where = refiner.path
    if asset.refiner and isinstance(asset, TextureVariants):
        yield where, "got a refiner for a texture", "a refiner for renders, which are made from text"
    if isinstance(asset, TextureVariants):
        return
    if resolved.find("hires"):
        yield where, "got a refiner beside hires", "one of them: hires draws over the finished picture"
    for field, none in (("pag_scale", 0.0), ("guidance_start", 0.0), ("guidance_end", 1.0)):
        for value in resolved.get(field) or ():
            if value != none:
                came = f"got a refiner beside {field} {value:g}, which counts steps that the two models share"
                yield where, came, f"a refiner or {field}, not both"


def _perturbed(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    """Layers without a scale would do nothing."""
    for resolved in resolve_tiers(manifest, asset):
        if asset.pag_applied_layers and not any(resolved.get("pag_scale") or ()):
            came = "got layers for PAG without a pag_scale"
            yield (*at, "pag_applied_layers"), came, "a pag_scale above 0, such as 3.0"


def _scheduler_options(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    for resolved in resolve_tiers(manifest, asset):
        options = resolved.find("scheduler_options")
        if options is None or not options.value:
            continue
        for name in resolved.get("scheduler") or ():
            try:
                resolve_scheduler(name, options.value)
            except SchedulerError as wrong:
                yield options.path, f"{wrong.came} for {name!r}", wrong.allowed


def _matrix(matrix: Matrix, at: Path) -> Iterator[Broken]:
    """`zip` and `exclude` name fields that are there, lists of one length, values that occur."""
    asset, block = matrix.asset, matrix.blocks[matrix.tiers[0]]
    seen: set[str] = set()
    for index, group in enumerate(asset.zip):
        known = [path for path in group if path in block]
        for position, path in enumerate(group):
            if path not in block:
                yield (*at, "zip", index, position), f"got {path!r}", OneOf(path, block)
            elif path in seen:
                yield (*at, "zip", index, position), f"got {path!r} again", "each field in one group"
            seen.add(path)
        lengths = {path: len(block[path]) for path in known}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{path} has {length}" for path, length in lengths.items())
            yield (*at, "zip", index), f"got lists of unequal length ({said})", "lists of one length"
        if len(group) == 1:
            yield (*at, "zip", index), f"got {group[0]!r} alone", "two fields or more"
    there: dict[str, frozenset[Any]] = {}
    for index, rule in enumerate(asset.exclude):
        if not rule:
            yield (*at, "exclude", index), "got an empty rule", "fields with values, such as {style: pixel}"
        for path, values in rule.items():
            if path not in block:
                yield (*at, "exclude", index, path), f"got {path!r}", OneOf(path, block)
            elif len(block[path]) < 10_000:
                if path not in there:
                    there[path] = list_spellings(block[path])
                for value in values:
                    if not list_spellings((value,)) & there[path]:
                        some = ", ".join(str(item) for item in block[path][:10])
                        yield (*at, "exclude", index, path), f"got {value!r}", f"a value of the field: {some}"


def _counts(matrices: Sequence[Matrix], limits: Limits) -> Iterator[Broken]:
    """Multiplied, not enumerated, so that 10^9 images are refused at once."""
    total = 0
    for index, matrix in enumerate(matrices):
        many = matrix.product()
        total += many
        if many > limits.images:
            yield ("assets", index), f"got {many} images", f"at most {limits.images} in a manifest"
        elif matrix.count() == 0:
            yield ("assets", index, "exclude"), "got rules that exclude every image", "at least one image"
        if many <= limits.images < total:
            yield ("assets",), f"got {total} images or more", f"at most {limits.images} in a manifest"
            return
