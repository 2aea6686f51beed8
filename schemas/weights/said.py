"""What metadata and sidecar files say of weights: trigger words, licence, title, and the model that they were made for.

Metadata: the model specification (`modelspec.*`) and kohya's scripts (`ss_*`). Sidecars: `.civitai.info`, A1111's
`.json`, and the LoRA manager's `.metadata.json`. All of it is text that others wrote; anything of another type is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Said = Mapping[str, Any]

_BASES = (
    ("refiner", "sdxl-refiner"), ("flux", "flux"), ("playground", "playground-2.5"), ("sd 3", "sd3"), ("sd3", "sd3"),
    ("stable-diffusion-v3", "sd3"), ("stable-diffusion-xl", "sdxl"), ("sdxl", "sdxl"), ("pony", "sdxl"),
    ("illustrious", "sdxl"), ("noobai", "sdxl"), ("stable-diffusion-v2", "sd2"), ("sd 2", "sd2"), ("sd_v2", "sd2"),
    ("sd2", "sd2"), ("stable-diffusion-v1", "sd15"), ("sd 1", "sd15"), ("sd_v1", "sd15"), ("sd1", "sd15"),
)  # fmt: skip


def read_base_model(metadata: Mapping[str, str], sidecar: Said) -> str:
    """The architecture in words that these files use for it; "" where they say nothing that is known."""
    spoken = [
        metadata.get("modelspec.architecture"),
        metadata.get("ss_base_model_version"),
        sidecar.get("baseModel"),
        sidecar.get("base_model"),
        sidecar.get("sd version"),
        _inner(sidecar, "civitai").get("baseModel"),
    ]
    for text in spoken:
        if isinstance(text, str):
            for part, architecture in _BASES:
                if part in text.lower():
                    return architecture
    return ""


def read_trigger_words(metadata: Mapping[str, str], sidecar: Said) -> tuple[str, ...]:
    words: list[str] = []
    for listed in (sidecar.get("trainedWords"), _inner(sidecar, "civitai").get("trainedWords")):
        words += [word for word in listed if isinstance(word, str)] if isinstance(listed, list) else []
    for text in (sidecar.get("activation text"), metadata.get("modelspec.trigger_phrase")):
        words += [text] if isinstance(text, str) else []
    return tuple(dict.fromkeys(word.strip().strip(",") for word in words if word.strip()))


def read_licence(metadata: Mapping[str, str], sidecar: Said) -> str:
    if text := metadata.get("modelspec.license"):
        return text
    model = _inner(sidecar, "model") or _inner(_inner(sidecar, "civitai"), "model")
    for source in (sidecar, model):
        if isinstance(source.get("license"), str):
            return str(source["license"])
    allowed = model.get("allowCommercialUse")
    if isinstance(allowed, list):
        allowed = ", ".join(str(use) for use in allowed)
    return f"commercial use: {allowed}" if isinstance(allowed, str) else ""


def read_title(metadata: Mapping[str, str], sidecar: Said) -> str:
    title = metadata.get("modelspec.title") or metadata.get("ss_output_name")
    for text in (title, _inner(sidecar, "model").get("name"), sidecar.get("model_name")):
        if isinstance(text, str) and text:
            return text
    return ""


def side_in(metadata: Mapping[str, str]) -> int:
    """The shorter side in px of `modelspec.resolution`, such as "1024x1024"; 0 where it is not said."""
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", metadata.get("modelspec.resolution", ""))
    return min(int(match[1]), int(match[2])) if match else 0


def _inner(body: Said, name: str) -> Said:
    inner = body.get(name)
    return inner if isinstance(inner, Mapping) else {}
