"""Specs, submissions and images for tests, with nothing in them that a test does not say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.records import Image, Submission
from schemas.review import Choice, Criterion, Finding, Result, Verdict
from schemas.spec import ImageSpec, ModelRef
from storage.ledger import Ledger, NewImage
from storage.objects import FolderStore, Store

MODEL = ModelRef(alias="studio-tiny", digest="0" * 64)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def a_spec(seed: int = 0, **fields: Any) -> ImageSpec:
    known: dict[str, Any] = {
        "project": "potions",
        "asset": "red potion",
        "variant": f"s{seed}",
        "prompt": "a red potion",
        "seed": seed,
        "width": 64,
        "height": 64,
        "num_inference_steps": 4,
        "guidance_scale": 5.0,
        "model": MODEL,
    }
    return ImageSpec.model_validate(known | fields)


def a_submission(name: str = "potions.yaml", **fields: Any) -> Submission:
    known: dict[str, Any] = {
        "digest": sha(name),
        "name": name,
        "project": "potions",
        "object_key": f"manifests/{sha(name)[:2]}/{sha(name)}.yaml",
        "body": {"project": "potions", "brand": {"palette": ["#d62828"]}, "review": {"max_retakes": 2}},
        "files": {},
        "priority": 0,
        "due": None,
        "submitted_by": "mara",
        "submitted_at": datetime.now(UTC),
    }
    return Submission(**known | fields)


def an_image(spec: ImageSpec, **fields: Any) -> Image:
    known: dict[str, Any] = {
        "digest": spec.digest,
        "project": spec.project,
        "asset": spec.asset,
        "sha256": sha(spec.digest),
        "object_key": f"images/{spec.digest[:2]}/{sha(spec.digest)}.png",
        "preview_key": f"previews/{spec.digest[:2]}/{sha(spec.digest)}.webp",
        "thumb_key": f"thumbs/{spec.digest[:2]}/{sha(spec.digest)}.webp",
        "media_type": "image/png",
        "bytes": 1000,
        "width": spec.width,
        "height": spec.height,
        "conditions": [],
        "models": {spec.model.alias: spec.model.digest},
        "versions": {"diffusers": "0.42.1"},
        "device": "cpu",
        "dtype": "float32",
        "batch": {"size": 1, "row": 0},
        "timings": {"denoise": 1.0},
        "gpu_seconds": 1.0,
        "phash": None,
        "night": None,
        "flow_run": None,
        "worker": "here:1",
        "made_at": datetime.now(UTC),
    }
    return Image(**known | fields)


def a_finding(check: Criterion = Criterion.HANDS, result: Result = Result.PASS, **fields: Any) -> Finding:
    return Finding.model_validate({"check": check, "result": result, "sentence": "looked", **fields})


def a_keeping(spec: ImageSpec, findings: Sequence[Finding] = (), **fields: Any) -> NewImage:
    known: dict[str, Any] = {
        "image": an_image(spec),
        "findings": list(findings),
        "criteria": [Criterion.HANDS, Criterion.TEXT, Criterion.BRAND],
        "reviews_wanted": 1,
        "rank": 0,
    }
    return NewImage(**known | fields)


def planned(
    ledger: Ledger, specs: Sequence[ImageSpec], *, submission: Submission | None = None, priority: int = 0
) -> None:
    """Submits and plans."""
    submission = submission or a_submission()
    submission.priority = priority or submission.priority
    ledger.submit(submission)
    ledger.plan(submission.digest, specs, priority=priority, due=submission.due, submitted_by=submission.submitted_by)


def kept(ledger: Ledger, specs: Sequence[ImageSpec], findings: Sequence[Finding] = (), **fields: Any) -> None:
    """Submits, plans and keeps, as if a night had passed."""
    planned(ledger, specs)
    ledger.keep_many([a_keeping(spec, findings, **fields) for spec in specs])


def a_choice(spec: ImageSpec, verdict: Verdict = Verdict.APPROVE, *, revision: int = 0, **fields: Any) -> Choice:
    if verdict in (Verdict.REJECT, Verdict.RETAKE):
        fields.setdefault("note", "not what was asked")
    return Choice(image=spec.digest, revision=revision, verdict=verdict, **fields)


def overwrite(store: Store, key: str, data: bytes | None) -> None:
    """Behind the store's back, as a broken disk or a careless person would; None deletes."""
    if isinstance(store, FolderStore):
        path = store.path(key)
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        return
    name = store._name(key)
    store._client.delete_object(Bucket=store.bucket, Key=name)
    if data is not None:
        store._client.put_object(Bucket=store.bucket, Key=name, Body=data)


def picture_of(spec: ImageSpec) -> NDArray[np.uint8]:
    """[height, width, 3], of one colour that its seed chooses."""
    return np.full((spec.height, spec.width, 3), (spec.seed * 37 % 256, spec.seed % 256, 128), np.uint8)
