"""What each kind of condition needs: a class of controlnet_aux, files, parameters. Imports nothing heavy.

engine/control.py computes with it; the preflight asks it what is missing before the night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConditionError


@dataclass(frozen=True)
class Detector:
    """A class of controlnet_aux, the files it wants in the folder, and its own parameters that a manifest may set."""

    class_name: str
    files: tuple[str, ...] = ()
    load: Mapping[str, str] | None = None
    call: Mapping[str, Any] | None = None
    params: tuple[str, ...] = ()


DETECTORS: dict[str, Detector] = {
    "canny": Detector("CannyDetector", params=("low_threshold", "high_threshold")),
    "lineart_standard": Detector("LineartStandardDetector", params=("gaussian_sigma", "intensity_threshold")),
    "shuffle": Detector("ContentShuffleDetector", params=("f", "seed")),
    "hed": Detector("HEDdetector", ("ControlNetHED.pth",), params=("safe",)),
    "softedge": Detector("HEDdetector", ("ControlNetHED.pth",), call={"safe": True}),
    "scribble": Detector("HEDdetector", ("ControlNetHED.pth",), call={"scribble": True}, params=("safe",)),
    "pidinet": Detector("PidiNetDetector", ("table5_pidinet.pth",), params=("safe", "apply_filter")),
    "lineart": Detector("LineartDetector", ("sk_model.pth", "sk_model2.pth"), params=("coarse",)),
    "lineart_anime": Detector("LineartAnimeDetector", ("netG.pth",)),
    "mlsd": Detector("MLSDdetector", ("mlsd_large_512_fp32.pth",), params=("thr_v", "thr_d")),
    "normal": Detector("NormalBaeDetector", ("scannet.pt",)),
    "depth_midas": Detector("MidasDetector", ("dpt_hybrid-midas-501f0c75.pt",), params=("a", "bg_th")),
    "depth_zoe": Detector("ZoeDetector", ("ZoeD_M12_N.pt",)),
    "pose": Detector(
        "OpenposeDetector",
        ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
        params=("include_body", "include_hand", "include_face"),
    ),
    "teed": Detector("TEEDdetector", ("7_model.pth",), load={"filename": "7_model.pth"}, params=("safe_steps",)),
    "anyline": Detector("AnylineDetector", ("MTEED.pth",), load={"filename": "MTEED.pth"}, params=("gaussian_sigma",)),
}
"""`type` of a control -> how its condition is made. `depth` is made by transformers, from DEPTH_FOLDER."""

DEPTH_FOLDER = "depth_anything"
TYPES = tuple(sorted([*DETECTORS, "depth"]))


def find_missing_files(control: str, models_folder: Path | None, *, asker: str) -> str | None:
    """What stands in the way of computing conditions of this type; None when nothing does. Reads no weights."""
    said = f"{asker}: control {control!r}"
    try:
        if control == "depth":
            find_folder((f"{DEPTH_FOLDER}/config.json", f"{DEPTH_FOLDER}/model.safetensors"), models_folder, said)
        elif control in DETECTORS:
            find_folder(DETECTORS[control].files, models_folder, said)
        else:
            return f"{said} has no detector; there is {', '.join(TYPES)}"
    except ConditionError as reason:
        return str(reason)
    return None


def find_folder(files: tuple[str, ...], folder: Path | None, said: str) -> Path | None:
    if not files:
        return None
    if folder is None:
        raise ConditionError(f"{said} needs {', '.join(files)}, and the setting condition_models names no folder")
    for name in files:
        if not (folder / name).is_file():
            raise ConditionError(f"{said} needs {folder / name}, which is not there")
    return folder
