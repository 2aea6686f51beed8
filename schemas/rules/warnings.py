"""What is allowed and often not meant: warnings, each as (path, what came, what is usual).

They are shown by `dailies check`, kept with the submission, shown on the Submit page, and are errors under
`dailies check --strict`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from string import Template

from schemas.catalogue import Catalogue, Entry, is_non_commercial
from schemas.fewstep import find_few_step
from schemas.fields import count_pixels
from schemas.manifest import AnyAsset, FromPictures, Import, Manifest, RenderAsset, Repair
from schemas.matrix import list_styles
from schemas.names import OneOf
from schemas.reading.tree import Broken, Path
from schemas.resolved import Resolved, list_tiers, resolve_tiers
from schemas.rules.model_names import list_models
from schemas.rules.prompt_syntax import compose_prompt, list_prompts
from schemas.settings import CLIENT
from schemas.spec import Tier

USUAL_GUIDANCE = {"sdxl": 15.0, "sd15": 18.0, "sdxl-refiner": 15.0}
"""By architecture: above it colours burn out (the models' own cards say 5 to 9)."""
MOST_STEPS = 100
"""Above it a picture costs more and does not change (docs/diffusion.md)."""
STRONG, WEAK = 0.95, 0.1
"""Strengths of img2img from which on nothing of the source stays, and below which nothing changes."""
FAR = 2.0
"""Times more or fewer pixels than a model was trained on, from where it doubles things or blurs them."""


def find_warnings(manifest: Manifest, catalogue: Catalogue, *, groups: Collection[str] = ()) -> Iterator[Broken]:
    """Every warning about a manifest that holds together. `groups`: of dailies.toml; they take a review's steps."""
    for index, step in enumerate(manifest.review.steps):
        if step not in groups and step != CLIENT:
            came = f"got {step!r}, which is no group of dailies.toml, so that every reviewer may take it"
            yield ("review", "steps", index), came, OneOf(step, groups) if groups else "a group with the step's name"
    for path, text in list_prompts(manifest):
        if compose_prompt(text):
            yield path, "got AND, with which other tools compose prompts", "only the word and here; \\AND says so"
    yield from _size_pairs(manifest)
    yield from _licences(manifest, catalogue)
    for index, asset in enumerate(manifest.assets):
        at: Path = ("assets", index)
        yield from _empty(manifest, asset, at)
        yield from _sizes(manifest, asset, at, catalogue)
        yield from _extremes(manifest, asset, at, catalogue)
        yield from _clip_skip(manifest, asset, catalogue)
        yield from _draft_names(manifest, asset, at)


def _licences(manifest: Manifest, catalogue: Catalogue) -> Iterator[Broken]:
    """What must not be sold, unless the manifest says that it is not: an error when it is to be delivered."""
    if manifest.delivery.non_commercial:
        return
    allowed = "`delivery: {non_commercial: true}` where nothing is sold; else `dailies deliver` refuses its images"
    named = [(path, alias) for path, alias, _ in list_models(manifest)]
    for index, asset in enumerate(manifest.assets):
        for resolved in resolve_tiers(manifest, asset):
            for number, model in enumerate(asset.model or (manifest.model,)):
                path: Path = ("assets", index, "model", number) if asset.model else ("model",)
                named += [(path, alias) for alias in resolved.tier_loras(model, catalogue.facts)]
    for path, alias in dict.fromkeys(named):
        entry = catalogue.entries.get(alias)
        if entry is not None and entry.is_non_commercial:
            yield path, f"got {alias!r}, whose licence is {entry.licence or 'non-commercial'}", allowed
    for name, text in {"": manifest.pictures.licence, **manifest.pictures.licences}.items():
        if is_non_commercial(text):
            at: Path = ("pictures", "licences", name) if name else ("pictures", "licence")
            yield at, f"got the licence {text!r}", allowed


def _size_pairs(manifest: Manifest) -> Iterator[Broken]:
    """`size: [512, 768]` is two squares."""
    sections: list[tuple[Path, tuple[str, ...] | None]] = [(("defaults",), manifest.defaults.size)]
    sections += [(("assets", index), asset.size) for index, asset in enumerate(manifest.assets)]
    for at, sizes in sections:
        sides = [count_pixels(size) for size in sizes or ()]
        if len(sides) == 2 and all(width == height for width, height in sides):
            both, pair = " and of ".join(sizes or ()), f"{sides[0][0]}x{sides[1][0]}"
            yield (*at, "size"), f"got two sizes: images of {both} are made", f"{pair} for one size"


def _empty(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    values = Resolved(manifest, asset, Tier.FINAL).values
    shortest = {name: min(texts, key=lambda text: len(text.strip())) for name, texts in values.items()}
    words = {"asset": asset.name, "project": manifest.project, **shortest}
    templates = [style.template for style in list_styles(manifest, asset)] or ["$prompt"]
    if isinstance(asset, Import) or (isinstance(asset, Repair) and asset.recipe != "replace"):
        return
    for index, text in enumerate(asset.prompt):
        filled = Template(text).safe_substitute(words)
        for template in templates:
            whole = Template(template).safe_substitute({**words, "prompt": filled})
            if not filled.strip(" ,"):
                left = ", so that only the style's words are left" if whole.strip(" ,") else ""
                yield (*at, "prompt", index), f"got a prompt that comes out empty{left}", "words that say what to make"
                break


def _sizes(manifest: Manifest, asset: AnyAsset, at: Path, catalogue: Catalogue) -> Iterator[Broken]:
    """Far more or fewer pixels than the model was trained on; the first pass counts where there are two."""
    if isinstance(asset, Repair | Import):
        return
    resolved, tiers = Resolved(manifest, asset, Tier.FINAL), list_tiers(manifest, asset)
    hires, said = resolved.get("hires"), resolved.find("size")
    if said is None:
        return
    for number, size in enumerate(said.value):
        composed_at = hires.first_size if hires is not None and Tier.DRAFT not in tiers else size
        width, height = count_pixels(composed_at)
        for model in asset.model or (manifest.model,):
            side = find_trained_side(catalogue, model)
            if side is None:
                continue
            times = width * height / side**2
            if times >= FAR or times <= 1 / FAR:
                came = f"got {composed_at}, {times:.2g} times the pixels that {model} was trained on"
                usual = f"about {side}x{side}, in any proportion up to 1:2"
                more = "; `hires` makes larger ones in two passes" if times >= FAR else ""
                yield said.place(number), came, usual + more


def _clip_skip(manifest: Manifest, asset: AnyAsset, catalogue: Catalogue) -> Iterator[Broken]:
    """A1111 counts from the last layer, and 2 is there what SDXL (Pony, Illustrious) reads anyway."""
    names = [name for name in asset.model or (manifest.model,) if name in catalogue.entries]
    sdxl = any(catalogue.entries[name].architecture == "sdxl" for name in names)
    said = Resolved(manifest, asset, Tier.FINAL).find("clip_skip")
    for number, value in enumerate(said.value if said is not None and sdxl else ()):
        if said is not None and value >= 2:
            came = f"got clip_skip {value}, which A1111 and ComfyUI call {value + 2}: it leaves {value} more out"
            yield (
                said.place(number),
                came,
                "none for SDXL, Pony and Illustrious: their `Clip skip: 2` is the model's own",
            )


def find_trained_side(catalogue: Catalogue, model: str) -> int | None:
    entry = catalogue.entries.get(model)
    return entry.size if entry is not None and entry.kind == "checkpoint" else None


def _extremes(manifest: Manifest, asset: AnyAsset, at: Path, catalogue: Catalogue) -> Iterator[Broken]:
    entries = [catalogue.entries[name] for name in asset.model or (manifest.model,) if name in catalogue.entries]
    usual = min((USUAL_GUIDANCE.get(entry.architecture, 15.0) for entry in entries), default=15.0)
    for resolved in resolve_tiers(manifest, asset):
        avoids = resolved.get("negative_prompt")
        for guidance in resolved.get("guidance_scale") or ():
            if guidance > usual:
                came = f"got a guidance_scale of {guidance:g}, at which colours burn out"
                yield _said_at(asset, at, "guidance_scale"), came, f"3 to 9, at most {usual:g}"
            elif guidance <= 1 and avoids and not _fast(entries, resolved, catalogue):
                came = f"got a guidance_scale of {guidance:g} beside a negative prompt, which is then not read"
                yield _said_at(asset, at, "guidance_scale"), came, "more than 1, or no negative prompt"
        for steps in resolved.get("num_inference_steps") or ():
            if steps > MOST_STEPS:
                came = f"got {steps} steps"
                yield _said_at(asset, at, "num_inference_steps"), came, "20 to 50; more cost time and change nothing"
    said = Resolved(manifest, asset, Tier.FINAL).find("strength")
    if said is not None and isinstance(asset, FromPictures) and not isinstance(asset, Repair):
        for number, strength in enumerate(said.value):
            if strength >= STRONG:
                came = f"got a strength of {strength:g}, at which nothing of the source stays"
                yield said.place(number), came, "0.3 to 0.7, or kind: render"
            elif strength <= WEAK:
                came = f"got a strength of {strength:g}, at which almost nothing changes"
                yield said.place(number), came, "0.3 to 0.7"


def _said_at(asset: AnyAsset, at: Path, field: str) -> Path:
    return (*at, field) if getattr(asset, field) is not None else at


def _fast(entries: list[Entry], resolved: Resolved, catalogue: Catalogue) -> bool:
    """Whether few-step weights are worn, which know no guidance."""
    facts = catalogue.facts
    worn = [*(entry.alias for entry in entries), *resolved.get("loras")]
    worn += [alias for entry in entries for alias in resolved.tier_loras(entry.alias, facts)]
    return find_few_step(worn, facts.few) is not None


def _draft_names(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[Broken]:
    """An approved draft that is not promoted leaves; its name should say that it is one."""
    tiers = list_tiers(manifest, asset)
    template = manifest.delivery_name_of(asset).lower()
    tells = "{tier}" in template or "{digest}" in template or (len(tiers) > 1 and "{variant}" in template)
    if Tier.DRAFT not in tiers or manifest.promotion.when == "always" or tells or not isinstance(asset, RenderAsset):
        return
    where: Path = (*at, "tier") if asset.tier else ("defaults", "tier")
    came = "got drafts whose delivery name does not tell them from finals"
    yield where, came, "{Tier} in the delivery name, or promotion: {when: always}"
