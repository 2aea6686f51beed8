"""What the next night makes of a retake, computed by the rule that plans it (schemas.review.retaken)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from schemas.review import Changes, Drawing, Shape, apply_changes
from schemas.spec import ImageSpec
from storage.intake import draw_mask
from storage.ledger.images import ImageDetails


def preview_retake(picture: ImageDetails, changes: dict[str, Any], *, retakes_left: int) -> dict[str, Any]:
    """The child's difference from its parent in short (`will`), and every field of it (`whole`: name, value, changed).

    `wrong` holds a sentence where these changes make no valid spec; then the other two are empty.
    """
    spec = picture.spec
    try:
        wanted = Changes.model_validate(changes)
        mask = hash_mask(wanted.region, spec) if wanted.region is not None else None
        child = apply_changes(spec, wanted, picture=picture.image.sha256, mask=mask)
    except ValidationError as wrong:
        said = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ") for one in wrong.errors())
        return {"will": [], "whole": [], "wrong": "; ".join(said)}
    except ValueError as wrong:
        return {"will": [], "whole": [], "wrong": str(wrong)}
    return {"will": _in_short(spec, child, wanted, retakes_left), "whole": _every_field(spec, child), "wrong": ""}


def hash_mask(region: Drawing, spec: ImageSpec) -> str:
    """SHA-256 of the mask picture that the night draws for this region."""
    return hashlib.sha256(draw_mask(region, width=spec.width, height=spec.height)).hexdigest()


def _in_short(spec: ImageSpec, child: ImageSpec, changes: Changes, left: int) -> list[tuple[str, str]]:
    rows = [("seed", f"{spec.seed} → {child.seed}")]
    for name, value in changes.model_dump(mode="json", exclude_none=True, exclude={"seed", "keep_seed"}).items():
        if name == "region":
            width, height, x, y = (f"{value[side]:.0%}" for side in ("width", "height", "x", "y"))
            where = "what the brush covers, " if value["shape"] == Shape.BRUSH else ""
            rows.append(("paints only", f"{where}{width} × {height} at {x}, {y}"))
        else:
            rows.append((name.replace("_", " "), f"{_before(spec, name)} → {_text(value)}"))
    rows += [(name, f"{_text(value)} → none") for name, value in _dropped(spec, child)]
    return [*rows, ("take", f"{spec.take} → {child.take}, {left} left")]


def _before(spec: ImageSpec, name: str) -> str:
    lists = {"controlnet_conditioning_scale": (spec.controls, name), "reference_scale": (spec.references, "scale")}
    if name in lists:
        several, field = lists[name]
        return _text(getattr(several[0], field)) if several else "–"
    value = getattr(spec, name)
    return "–" if value is None else _text(value)


def _dropped(spec: ImageSpec, child: ImageSpec) -> list[tuple[str, Any]]:
    """What the parent has and the child does not, such as the second pass of a repair."""
    was, now = spec.model_dump(mode="json", exclude_defaults=True), child.model_dump(mode="json")
    return [(name, was[name]) for name in ("hires", "refiner") if was.get(name) and not now[name]]


def _every_field(spec: ImageSpec, child: ImageSpec) -> list[tuple[str, str, bool]]:
    """Every field that either of the two has set, in alphabetical order."""
    was, now = spec.model_dump(mode="json"), child.model_dump(mode="json")
    named = {*spec.model_dump(exclude_defaults=True), *child.model_dump(exclude_defaults=True)}
    return [(name, _text(now[name]), now[name] != was[name]) for name in sorted(named)]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)
