"""A studio as small as a real one can be: a manifest of seven 64-px images, nights in this process, a real engine."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from engine.model_files import ModelFiles
from flows.embedded import hide_server_output
from schemas.settings import Settings
from storage.ledger import Ledger
from storage.objects import Store
from tasks.parts import Parts, use_parts
from tasks.planning.submit import submit_manifest
from tests.studio import catalogue_path

MANIFEST = """
project: Test Shop
asked_by: ana
model: studio-tiny
defaults: {size: 64}
tiers:
  final: {scheduler: Euler, num_inference_steps: 2, guidance_scale: 2.0}
  draft: {scheduler: LCM, num_inference_steps: 1, guidance_scale: 1.0}
review: {criteria: [hands, text, brand], max_retakes: 2}
delivery: {licence: test}
assets:
  - name: Potion
    prompt: a $colour potion
    values: {colour: [red, blue]}
    seeds: 2
  - name: Sketch
    prompt: a gem
    tier: draft
  - name: Shield
    prompt: a shield
    controls: [{type: canny, image: pictures/shape.png}]
  - name: Wall
    kind: texture
    prompt: red brick
    sources: pictures/shape.png
    strength: 0.6
    seamless: both
"""
IMAGES = 7

PLAIN = """
project: Test Shop
asked_by: ana
model: studio-tiny
defaults: {size: 64}
tiers:
  final: {scheduler: Euler, num_inference_steps: 1, guidance_scale: 1.0}
delivery: {name: "{Asset}_{digest}.png"}
assets:
  - {name: Potion, prompt: a potion, seeds: 4}
"""


@cache
def engine() -> Any:
    """Loaded once a session: engines are the caller's to share, one thread at a time."""
    from engine.diffuse import Engine

    return Engine(ModelFiles.read(catalogue_path()), device="cpu")


def parts_of(settings: Settings, ledger: Ledger, store: Store, **changes: Any) -> Parts:
    changed = settings.model_copy(update={"device": "cpu", "batch_size": 4, "checks": False} | changes)
    changed.home.mkdir(parents=True, exist_ok=True)
    parts = Parts(changed, ledger, store, ModelFiles.read(catalogue_path()))
    parts.__dict__["engine"] = engine()
    return parts


def write_manifest(folder: Path, text: str = MANIFEST) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (96, 96), "#f5f5f0")
    ImageDraw.Draw(picture).ellipse((20, 16, 76, 80), fill="#823abe", outline="black", width=4)
    picture.save(pictures / "shape.png")
    path = folder / "manifest.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def submit_to(parts: Parts, manifest: Path, *, by: str = "") -> str:
    submission, _ = submit_manifest(
        manifest,
        settings=parts.settings,
        catalogue=parts.catalogue,
        ledger=parts.ledger,
        store=parts.store,
        submitted_by=by,
    )
    return submission.digest


def night(parts: Parts, *, windowed: bool = False, number: int | None = None) -> dict[str, Any]:
    """One night in this process."""
    from flows.nightly import nightly

    with use_parts(parts), hide_server_output():
        return nightly(by="test", windowed=windowed, night=number)
