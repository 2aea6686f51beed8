"""Component configurations: those of SDXL, its refiner and SD 1.5, which ship, or a diffusers folder's own.

A `Components` maps a component's name, as model_index.json has it, to its configuration. `pipeline` is that index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from schemas.errors import UnfitWeights
from schemas.settings import ROOT
from schemas.weights.adapters import list_t2i_shapes
from schemas.weights.shapes import Shapes, list_clip_shapes, list_controlnet_shapes, list_unet_shapes, list_vae_shapes

Components = Mapping[str, Mapping[str, Any]]

SHIPPED = ROOT / "models" / "components"
VOCABULARY = SHIPPED / "bpe_simple_vocab_16e6.txt.gz"
"""CLIP's byte-pair encoding, from which both of SDXL's tokenizers are built."""

MOST_LAYERS = 100
"""In one place. SDXL has 10 transformer blocks in a row, its larger text encoder 32 layers."""

_FILES = {
    "pipeline": "model_index.json",
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "text_encoder": "text_encoder/config.json",
    "text_encoder_2": "text_encoder_2/config.json",
    "scheduler": "scheduler/scheduler_config.json",
    "tokenizer": "tokenizer/tokenizer_config.json",
    "tokenizer_2": "tokenizer_2/tokenizer_config.json",
}


def shipped_file(architecture: str) -> Path:
    """Raises UnfitWeights for an architecture whose configurations do not ship."""
    path = SHIPPED / f"{architecture}.json"
    if not path.is_file():
        names = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.json")))
        raise UnfitWeights(
            f"no component configurations of {architecture} ship with the project; {names} do: give `config:`, a "
            "diffusers folder of this architecture"
        )
    return path


@lru_cache(maxsize=16)
def load_shipped(architecture: str) -> Components:
    components: Components = json.loads(shipped_file(architecture).read_text(encoding="utf-8"))
    return components


def read_folder_configs(folder: Path) -> Components:
    """The configurations of a diffusers folder. Raises UnfitWeights for one that has none, or no JSON."""
    components = {}
    for name, place in _FILES.items():
        path = folder / place
        if path.is_file():
            components[name] = read_json(path)
    if not components:
        raise UnfitWeights(f"{folder}: no configuration is there; expected a diffusers folder with unet/config.json")
    return components


def read_json(path: Path) -> dict[str, Any]:
    """Raises UnfitWeights, which names the file, for anything but an object."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise UnfitWeights(f"{path}: not JSON ({wrong})") from None
    except RecursionError:
        raise UnfitWeights(f"{path}: got JSON nested without end; expected an object") from None
    if not isinstance(body, dict):
        raise UnfitWeights(f"{path}: got a {type(body).__name__}; expected an object")
    return body


def list_component_shapes(components: Components) -> dict[str, Shapes]:
    """The name and shape of every weight, by component. Raises UnfitWeights where a configuration is not understood."""
    made: dict[str, Shapes] = {}
    try:
        for name, config in components.items():
            if name in ("unet", "vae", "controlnet", "t2i_adapter") or name.startswith("text_encoder"):
                _check_counts(name, config)
            if name == "unet":
                made[name] = list_unet_shapes(config)
            elif name == "vae":
                made[name] = list_vae_shapes(config)
            elif name == "controlnet":
                made[name] = list_controlnet_shapes(config)
            elif name == "t2i_adapter":
                made[name] = list_t2i_shapes(config)
            elif name.startswith("text_encoder"):
                made[name] = list_clip_shapes(config, projection=_projects(name, config))
    except (KeyError, IndexError, TypeError) as wrong:
        raise UnfitWeights(f"the configuration of {name} is not complete: {wrong!r}") from None
    return made


def _check_counts(name: str, config: Mapping[str, Any]) -> None:
    """Raises UnfitWeights for more blocks or layers than any model has, before anything is made of so many."""
    for field in (field for field in config if "layer" in field or field in ("block_out_channels", "num_res_blocks")):
        flat = [count for row in _as_list(config[field]) for count in _as_list(row)]
        sides = [] if field == "block_out_channels" else [count for count in flat if isinstance(count, int)]
        if max(len(flat), *sides, 0) > MOST_LAYERS:
            shown = str(config[field])[:40]
            raise UnfitWeights(f"the configuration of {name}: {field}: got {shown}; expected at most {MOST_LAYERS}")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _projects(name: str, config: Mapping[str, Any]) -> bool:
    kinds = config.get("architectures") or ()
    return any("WithProjection" in kind for kind in kinds) if kinds else name == "text_encoder_2"
