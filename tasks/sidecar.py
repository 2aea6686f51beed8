"""The JSON beside a delivered image: what it is, who said yes, and under which licence."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

from storage.maps import METHOD
from tasks.parcel import Parcel


def sidecar(parcel: Parcel) -> bytes:
    """What is known of the image, as JSON. No time of delivery in it, so that writing it again writes the same."""
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
        **({"formerly": parcel.formerly} if parcel.formerly else {}),
        "manifest": {"digest": parcel.brief.submission, "name": parcel.brief.name, "by": parcel.brief.submitted_by},
        "made": {
            "at": image.made_at.astimezone(UTC).isoformat(),
            "device": image.device,
            "dtype": image.dtype,
            "versions": image.versions,
        },
        "maps": [
            {"name": name, "kind": kind, "derived": True, "method": METHOD[kind]}
            for kind, name in parcel.map_names.items()
        ],
        "digital_source_type": "trainedAlgorithmicMedia",
        "spec": spec.model_dump(mode="json", exclude_defaults=True) | {"engine_version": spec.engine_version},
    }
    return (json.dumps(body, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def is_own_sidecar(data: bytes, parcel: Parcel) -> bool:
    """Whether these bytes are a sidecar of this image, perhaps with an approval that was taken back since."""
    try:
        body = json.loads(data)
    except ValueError:
        return False
    image = parcel.image
    return isinstance(body, dict) and (body.get("digest"), body.get("sha256")) == (image.digest, image.sha256)
