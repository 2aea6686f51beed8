"""One image as the reviewing screen is told of it: a plain JSON object, with links instead of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from review_app.appearance import format_age
from review_app.evidence import read_palette, show_evidence
from schemas.records import Decision, Image
from schemas.review import REPAIR_STRENGTH, Criterion, Verdict
from schemas.rules.repairs import BACKGROUND
from schemas.spec import AssetKind, ImageSpec, Tier
from storage.ledger import Brief, InboxItem
from storage.ledger.images import ImageDetails

Link = Callable[[str], str]


def make_item(
    picture: ImageDetails,
    *,
    link: Link,
    sources: Mapping[str, str],
    parent: ImageDetails | None,
    approved: Mapping[str, InboxItem],
    promotes: bool,
    proposals: Mapping[str, dict[str, Any]],
    backgrounds: Mapping[str, str],
    lit: str,
    blind_to: str | None,
) -> dict[str, Any]:
    """`sources`: digest of a picture that the spec reads -> its key. `link`: key -> URL. `approved`: by digest, images
    among which are those that the brand check found nearest.

    `proposals`: reason -> what the retake panel proposes (schemas/retakes.py). `promotes`: whether a reviewer may ask
    for the final of a draft. `backgrounds`: name of a picture that stands behind cut-outs -> its key. `lit`: of a
    texture, the link to the maps that delivery would derive. `blind_to`: reviewer who must not see what others decided
    while the image waits for a second review.
    """
    image, spec = picture.image, picture.spec
    standing, is_removed = picture.standing, picture.entry.removed_at is not None
    decisions = picture.shown_to(blind_to)
    return {
        "id": image.digest,
        "revision": picture.revision,
        "project": spec.project,
        "asset": spec.asset,
        "variant": spec.variant,
        "tier": spec.tier.value,
        "take": spec.take,
        "width": image.width,
        "height": image.height,
        "preview": link(image.preview_key),
        "imported": spec.is_imported,
        "cut": spec.background is not None or spec.is_imported,
        "lit": lit,
        "backgrounds": [{"name": name, "url": link(key)} for name, key in backgrounds.items()],
        "original": link(image.preview_key if is_removed or image.media_type == "image/jxl" else image.object_key),
        "thumb": link(image.thumb_key),
        "beside": [
            *_beside(image, spec, link=link, sources=sources, parent=parent),
            *(
                {"label": f"approved: {one.asset}", "url": link(one.preview_key), "thumb": link(one.thumb_key)}
                for digest in list_nearest(picture)
                if (one := approved.get(digest)) is not None
            ),
        ],
        "findings": [
            finding.model_dump(mode="json", exclude={"data"}) | {"evidence": show_evidence(finding)}
            for finding in picture.findings
        ],
        "palette": read_palette(picture.brand),
        "criteria": [str(criterion) for criterion in picture.entry.criteria],
        "prompt": spec.prompt,
        "negative": spec.negative_prompt,
        "params": list_parameters(spec, image),
        "promotes": promotes and spec.tier is Tier.DRAFT and picture.entry.step in (None, *picture.entry.steps[-1:]),
        "step": picture.entry.step or "",
        "steps": list(picture.entry.steps),
        "standing": standing.verdict if standing else "",
        "standing_by": standing.reviewer if standing else "",
        "decisions": [
            *(_past(one, of="the image before") for one in (parent.decisions if parent else [])),
            *(_past(one) for one in decisions),
        ],
        "retake": {
            "prompt": spec.prompt,
            "negative_prompt": spec.negative_prompt,
            "strength": spec.strength,
            "controlnet_conditioning_scale": spec.controls[0].controlnet_conditioning_scale if spec.controls else None,
            "guidance_scale": spec.guidance_scale,
            "reference_scale": spec.references[0].scale if spec.references else None,
            "seamless": spec.seamless if spec.seamless or spec.kind is AssetKind.TEXTURE else None,
            "keep_colour": spec.keep_colour if spec.source else None,
            "proposals": proposals,
            "repair": {"strength": REPAIR_STRENGTH},
        },
    }


def name_backgrounds(brief: Brief | None) -> dict[str, str]:
    """Of a manifest's `review.backgrounds`: the file's name without its ending (the path where two have the same) ->
    the picture's key."""
    if brief is None:
        return {}
    paths: list[str] = (brief.manifest_body.get("review") or {}).get("backgrounds") or []
    stems = [PurePosixPath(path).stem for path in paths]
    names = [stem if stems.count(stem) == 1 else path for path, stem in zip(paths, stems, strict=True)]
    files = [brief.files.get(BACKGROUND + path) or brief.files[path] for path in paths]
    return {name: file["key"] for name, file in zip(names, files, strict=True)}


def is_texture(spec: ImageSpec, brief: Brief | None) -> bool:
    """Whether delivery derives maps of it: its asset is a texture. What is repaired in one stays one."""
    if spec.kind not in (AssetKind.TEXTURE, AssetKind.REPAIR):
        return False
    assets = brief.manifest_body.get("assets", []) if brief else []
    return next((asset["kind"] for asset in assets if asset["name"] == spec.asset), spec.kind) == AssetKind.TEXTURE


def list_nearest(picture: ImageDetails) -> list[str]:
    """Digests of the approved images that the brand check found nearest, where it says how near they are."""
    data = next((finding.data for finding in picture.findings if finding.check is Criterion.BRAND), {})
    named = data.get("nearest_approved")
    return [str(digest) for digest in named] if isinstance(named, list) else []


def list_parameters(spec: ImageSpec, image: Image) -> list[tuple[str, str]]:
    """What made the image, for people, most asked-for first."""
    if spec.is_imported:
        made = ("imported", format_age(image.made_at))
        return [("made as", spec.digital_source or ""), made, ("digest", spec.digest[:12])]
    rows = [
        ("seed", str(spec.seed)),
        ("model", spec.model.alias),
        *(("LoRA", f"{lora.alias} × {lora.weight:g}") for lora in spec.loras),
        *(("control", f"{one.type} × {one.controlnet_conditioning_scale:g}") for one in spec.controls),
        ("sampler", spec.scheduler.removesuffix("Scheduler")),
        ("steps", str(spec.num_inference_steps)),
        ("guidance", f"{spec.guidance_scale:g}"),
    ]
    if spec.strength is not None:
        rows.append(("strength", f"{spec.strength:g}"))
    if spec.seamless:
        rows.append(("seamless", spec.seamless))
    return [
        *rows,
        ("made", f"{format_age(image.made_at)}, {image.gpu_seconds:.1f} GPU s"),
        ("digest", spec.digest[:12]),
    ]


def _beside(
    image: Image, spec: ImageSpec, *, link: Link, sources: Mapping[str, str], parent: ImageDetails | None
) -> list[dict[str, str]]:
    """What the image was made from, the nearest first: its parent, conditions, source, the controls' pictures."""
    found: list[tuple[str, str, str]] = []
    if parent is not None:
        found.append((f"take {parent.spec.take}", parent.image.preview_key, parent.image.thumb_key))
    kinds = [control.type for control in spec.controls]
    found += [(f"{kind} condition", key, key) for kind, key in zip(kinds, image.conditions, strict=False)]
    for digest, label in [(spec.source, "source"), *((one.image, f"{one.type} picture") for one in spec.controls)]:
        key = sources.get(digest or "")
        if key and key not in {known for _, known, _ in found}:
            found.append((label, key, key))
    return [{"label": label, "url": link(key), "thumb": link(thumb)} for label, key, thumb in found]


def _past(decision: Decision, *, of: str = "") -> dict[str, Any]:
    return {
        "verdict": str(Verdict(decision.verdict)),
        "reviewer": decision.reviewer,
        "when": format_age(decision.decided_at),
        "reasons": list(decision.reasons),
        "regions": list(decision.regions),
        "note": decision.note,
        "of": of,
        "step": decision.step or "",
    }
