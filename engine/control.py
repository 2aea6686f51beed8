"""Source picture -> condition: what a ControlNet is shown. Edges, lines, depth, normals, poses.

canny, lineart_standard and shuffle need nothing. The rest read their weights from the setting `condition_models`, a
folder with the file names under which lllyasviel/Annotators publishes them, and a transformers folder for `depth`.

The source is first fitted to the asked size (`engine.pixels.fit_picture`: covering, the centre kept). controlnet_aux
rounds sizes to multiples of 64 by resampling; here the picture is padded to them instead and the answer cut back, so
that a condition has the asked size and no pixel was resampled. A precomputed condition is only fitted, never detected.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.detectors import DEPTH_FOLDER, DETECTORS, TYPES, find_folder
from engine.pixels import Picture, fit_picture
from schemas.errors import ConditionError
from schemas.spec import ControlSpec

_SPELT = {"gaussian_sigma": "guassian_sigma"}  # controlnet_aux's own spelling


def make_condition(
    image: Picture, control: ControlSpec, *, width: int, height: int, models_folder: Path | None, asker: str
) -> Picture:
    """uint8 [height, width, 3], the same for the same image, control and size.

    Raises ConditionError that names the asset (`asker`), the control, and the file or parameter that is wrong.
    """
    said = f"{asker}: control {control.type!r}"
    fitted = fit_picture(image, width=width, height=height)
    if control.precomputed:
        return fitted
    params = dict(control.params)
    if control.type == "depth":
        _check_params(params, (), said)
        return _depth(fitted, models_folder, said)
    detector = DETECTORS.get(control.type)
    if detector is None:
        raise ConditionError(f"{said} has no detector; there is {', '.join(TYPES)}; or give a precomputed condition")
    _check_params(params, detector.params, said)
    detect = _load_detector(control.type, find_folder(detector.files, models_folder, said))
    padded = _pad(fitted)
    call = dict(detector.call or {}) | {_SPELT.get(name, name): value for name, value in params.items()}
    call["detect_resolution"] = min(padded.shape[:2])
    if control.type not in ("lineart_standard", "teed", "anyline"):
        call["image_resolution"] = call["detect_resolution"]
    seed = int(call.pop("seed", 0))
    if control.type == "shuffle":
        call["f"] = int(call.get("f", max(8, min(256, min(padded.shape[:2]) // 2))))
    try:
        with warnings.catch_warnings(), _SeededNoise(fitted, seed):
            warnings.simplefilter("ignore")
            found = np.asarray(detect(padded, output_type="np", **call))
    except Exception as error:
        raise ConditionError(f"{said} could not be computed: {type(error).__name__}: {error}") from error
    return _three(found[:height, :width])


def _check_params(params: Mapping[str, float], allowed: tuple[str, ...], said: str) -> None:
    for name in params:
        if name not in allowed:
            raise ConditionError(f"{said} has no parameter {name!r}; it has {', '.join(allowed) or 'none'}")


@lru_cache(maxsize=4)
def _load_detector(control: str, folder: Path | None) -> Callable[..., Any]:
    """A detector; the four used last are kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import controlnet_aux

        detector = DETECTORS[control]
        cls = getattr(controlnet_aux, detector.class_name)
        if folder is None:
            return cls()
        try:
            return cls.from_pretrained(str(folder), **(detector.load or {}))
        except Exception as error:
            raise ConditionError(f"control {control!r}: {folder} cannot be read: {error}") from error


@lru_cache(maxsize=1)
def _depth_model(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    model = AutoModelForDepthEstimation.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval()
    return AutoImageProcessor.from_pretrained(folder, local_files_only=True), model


def _depth(image: Picture, models_folder: Path | None, said: str) -> Picture:
    """Inverse depth, near is bright, stretched over 0..255 as ControlNets for depth were trained."""
    import torch

    wanted = (f"{DEPTH_FOLDER}/config.json", f"{DEPTH_FOLDER}/model.safetensors")
    folder = find_folder(wanted, models_folder, said)
    assert folder is not None
    try:
        processor, model = _depth_model(folder / DEPTH_FOLDER)
        with torch.inference_mode():
            depth = model(**processor(images=image, return_tensors="pt")).predicted_depth[0].float().numpy()
    except Exception as error:
        raise ConditionError(f"{said} could not be computed: {type(error).__name__}: {error}") from error
    depth = cv2.resize(depth, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC)
    low, high = float(depth.min()), float(depth.max())
    return _three(np.rint((depth - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8))


def _pad(image: Picture) -> Picture:
    """To multiples of 64 on the right and below, by mirroring; controlnet_aux then has nothing to resample."""
    height, width = image.shape[:2]
    return cv2.copyMakeBorder(image, 0, -height % 64, 0, -width % 64, cv2.BORDER_REFLECT_101)


def _three(found: np.ndarray) -> Picture:
    found = found if found.ndim == 3 else found[..., None]
    return np.ascontiguousarray(np.broadcast_to(found, (*found.shape[:2], 3)), dtype=np.uint8)


class _SeededNoise:
    """shuffle draws from numpy's global generator: give it a seed of its own, and the caller's state back."""

    def __init__(self, image: Picture, seed: int) -> None:
        self.seed = int.from_bytes(hashlib.sha256(image.tobytes() + seed.to_bytes(8)).digest()[:4])

    def __enter__(self) -> None:
        self.state = np.random.get_state()
        np.random.seed(self.seed)

    def __exit__(self, *raised: object) -> None:
        np.random.set_state(self.state)
