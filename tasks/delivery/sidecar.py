"""The JSON beside a delivered image: what it is, who said yes, and under which licence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from storage.derived_maps import METHOD
from tasks.delivery.marks import describe_mark
from tasks.delivery.out_files import OutFile
from tasks.delivery.parcel import Parcel

PROMPTS = {"prompt", "negative_prompt", "spec", "seed"}
LEAST = {"name", "digest", "sha256", "licence", "maps", "digital_source_type", "delivered", "files", "watermark"}
"""Fields that `metadata: label` leaves out, and that `none` keeps."""


def make_sidecar(parcel: Parcel, files: Sequence[OutFile]) -> bytes:
    """What is known of the image, as JSON; less, where the manifest says so (`metadata`). `files`: what leaves, the
    picture first. No time of delivery in it, so that writing it again writes the same."""
    image, spec, decision = parcel.image, parcel.spec, parcel.decision
    body: dict[str, Any] = {
        "name": parcel.name,
        "digest": image.digest,
        "sha256": image.sha256,
        "project": spec.project,
        "asset": spec.asset,
        "variant": spec.variant,
        "tier": spec.tier.value,
        "seed": spec.seed,
        "width": image.width,
        "height": image.height,
        "prompt": spec.prompt,
        "negative_prompt": spec.negative_prompt,
        "models": image.models,
        "parent": spec.parent,
        "take": spec.take,
        "decision": {
            "verdict": decision.verdict,
            "reviewer": decision.reviewer,
            "decided_at": decision.decided_at.astimezone(UTC).isoformat(),
            "marks": decision.marks,
            "note": decision.note,
            "revision": decision.revision,
        },
        "licence": parcel.manifest.delivery.licence,
        "licences": [licence.dump() for licence in parcel.licences],
        **({"imported_from": _name_original(parcel)} if spec.is_imported else {}),
        **({"formerly": parcel.formerly} if parcel.formerly else {}),
        "manifest": {"digest": parcel.brief.submission, "name": parcel.brief.name, "by": parcel.brief.submitted_by},
        "made": {
            "at": image.made_at.astimezone(UTC).isoformat(),
            "device": image.device,
            "dtype": image.dtype,
            "versions": image.versions,
        },
        "maps": [
            {"name": name, "kind": kind, "derived": True, **_describe_map(kind, parcel)}
            for kind, name in parcel.map_names.items()
        ],
        "digital_source_type": parcel.digital_source,
        "delivered": {"sha256": files[0].dump()["sha256"], "signed": files[0].is_signed},
        "files": [file.dump() for file in files],
        **({"watermark": describe_mark(files[0].watermark)} if parcel.watermark else {}),
        "spec": spec.body(),
    }
    if spec.is_imported:  # nothing was made
        body = {
            name: value for name, value in body.items() if name not in ("seed", "negative_prompt", "models", "made")
        }
    kept = {"full": set(body), "label": set(body) - PROMPTS, "none": LEAST}[parcel.manifest.delivery.metadata]
    body = {name: value for name, value in body.items() if name in kept}
    return (json.dumps(body, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _name_original(parcel: Parcel) -> dict[str, Any]:
    """The file as it was sent: its SHA-256 and media type."""
    original = parcel.original
    return {"sha256": original.digest, "file": original.key.rpartition("/")[2]} if original is not None else {}


def _describe_map(kind: str, parcel: Parcel) -> dict[str, Any]:
    if kind in parcel.packing:
        return {"channels": list(parcel.packing[kind])}
    return {"method": next(text for name, text in METHOD.items() if name == kind)}


def is_own_sidecar(data: bytes, parcel: Parcel) -> bool:
    """Whether these bytes are a sidecar of this image, perhaps with an approval that was taken back since."""
    try:
        body = json.loads(data)
    except ValueError:
        return False
    image = parcel.image
    return isinstance(body, dict) and (body.get("digest"), body.get("sha256")) == (image.digest, image.sha256)
