"""Decisions that ask for another image -> specs in the queue: retakes, repairs of a region, promotions of drafts.

There is no second generation path: what is planned here is rendered like anything else. Planning a decision twice
plans one spec, because the child's digest follows from its parent and the decision alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from pydantic import ValidationError

from schemas.errors import ModelError
from schemas.fewstep import find_few_step
from schemas.manifest import Manifest
from schemas.records import Decision, Image
from schemas.retakes import cap_retakes
from schemas.review import Changes, Drawing, Verdict, apply_changes, spell_errors
from schemas.spec import ImageSpec, Tier
from storage.failpoint import failpoint
from storage.intake import draw_mask
from storage.ledger.submissions import Brief
from storage.objects import Store
from storage.pictures import decode_kept
from tasks.parts import Parts
from tasks.planning.lookup import look_up_models
from tasks.planning.plan import complete_repair, promote

log = logging.getLogger(__name__)


@dataclass
class Retakes:
    """What became of the standing decisions. `refused`: one sentence each, for the report."""

    planned: int = 0
    refused: list[str] = field(default_factory=list)


def plan_retakes(parts: Parts) -> Retakes:
    """Answers every standing decision that has no answer yet, with a spec or with a reason why not."""
    result = Retakes()
    asked = list_unanswered(parts)
    briefs = parts.ledger.briefs([spec.digest for _, spec, _ in asked]) if asked else {}
    for decision, spec, image in asked:
        brief = briefs[spec.digest]
        try:
            child, refused = _answer(parts, decision, spec, image, brief)
        except ValidationError as error:
            child, refused = None, spell_errors(error)
        except (ModelError, ValueError) as error:
            child, refused = None, str(error)
        failpoint("retake.before_plan")
        if parts.ledger.plan_retake(decision.id, parent=spec.digest, child=child, refused=refused):
            failpoint("retake.after_plan")
            if refused is None:
                result.planned += 1
            else:
                result.refused.append(f"{spec.asset} {spec.variant} (image {spec.digest[:12]}): {refused}")
    return result


def list_unanswered(parts: Parts) -> list[tuple[Decision, ImageSpec, Image]]:
    """Standing decisions that ask for another image and have no answer yet."""
    return [*parts.ledger.awaiting_retake(), *_always_promoted(parts)]


def _answer(
    parts: Parts, decision: Decision, spec: ImageSpec, image: Image, brief: Brief
) -> tuple[ImageSpec | None, str | None]:
    changes = Changes.model_validate(decision.changes or {})
    manifest = Manifest.model_validate(brief.manifest_body)
    # 1. A promotion is no retake: it is what approving a draft was for.
    if spec.tier is Tier.DRAFT and (changes.tier is Tier.FINAL or decision.verdict == Verdict.APPROVE.value):
        if manifest.promotion.when == "never":
            return None, "the manifest says that its drafts are not promoted"
        models = look_up_models(manifest, parts.catalogue, parts.ledger.pins()).models
        return promote(spec, changes, manifest, models, picture=image.sha256), None
    # 2. The cap. A promotion in the line is counted too; `take` is what a reviewer sees.
    cap = cap_retakes(parts.settings.max_retakes, manifest.review.max_retakes)
    if spec.take > cap:
        return None, f"got retake {spec.take}; expected at most {cap}"
    # 3. What few-step weights cannot do.
    if wrong := _against_few_steps(parts, manifest, spec, changes):
        return None, wrong
    # 4. Another take, of the whole picture or of one place in it.
    mask = put_mask(parts.store, changes.region, spec) if changes.region is not None else None
    child = apply_changes(spec, changes, picture=image.sha256, mask=mask)
    if not spec.is_imported:
        return child, None
    if _has_alpha(parts, image):
        return None, "the picture has transparent places, which a repair would lose"
    models = look_up_models(manifest, parts.catalogue, parts.ledger.pins()).models
    return complete_repair(child, manifest, models, changes=changes), None


def _has_alpha(parts: Parts, image: Image) -> bool:
    limits = parts.settings.limits.model_copy(update={"source_bytes": image.bytes})
    pixels = decode_kept(parts.store.get(image.object_key), limits=limits)
    return pixels.shape[2] == 4 and bool((pixels[..., 3] < 255).any())


def _against_few_steps(parts: Parts, manifest: Manifest, spec: ImageSpec, changes: Changes) -> str:
    """Empty where the changed steps and guidance suit the weights; else one sentence."""
    asked = {name: getattr(changes, name) for name in ("num_inference_steps", "guidance_scale")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if not asked:
        return ""
    known = look_up_models(manifest, parts.catalogue, parts.ledger.pins()).models.few
    few = find_few_step([spec.model.alias, *(lora.alias for lora in spec.loras)], known)
    wrong = ((name, value, few.allowed(name, value)) for name, value in asked.items()) if few is not None else ()
    return "; ".join(f"{name}: got {value:g}; expected {allowed}" for name, value, allowed in wrong if allowed)


def _always_promoted(parts: Parts) -> list[tuple[Decision, ImageSpec, Image]]:
    """Approved drafts whose manifest promotes every one of them, and that have no final planned yet."""
    drafts = [(d, spec, image) for image, spec, d in parts.ledger.deliverable() if spec.tier is Tier.DRAFT]
    briefs = parts.ledger.briefs([spec.digest for _, spec, _ in drafts]) if drafts else {}
    return [
        (decision, spec, image)
        for decision, spec, image in drafts
        if (briefs[spec.digest].manifest_body.get("promotion") or {}).get("when") == "always"
        and not parts.ledger.picture(spec.digest).retakes
    ]


def put_mask(store: Store, region: Drawing, spec: ImageSpec) -> str:
    """Keeps the mask picture (white = repaint) of a drawing; returns its SHA-256. The same drawing, the same bytes."""
    mask = draw_mask(region, width=spec.width, height=spec.height)
    key = store.put_content("masks", mask, extension="png", media_type="image/png")
    return key.rsplit("/", 1)[-1].removesuffix(".png")
