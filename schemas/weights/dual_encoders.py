"""Whether a folder is a CLIP or SigLIP model that pictures and words can be encoded with. Opens headers only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.weights.components import read_json
from schemas.weights.files import list_weight_files, read_files

MODEL_TYPES = ("clip", "siglip")
"""`model_type` of the configurations that transformers' CLIPModel and SiglipModel have."""
PICKLED = {".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"}
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files of which one set must be there."""


def find_dual_encoder_fault(path: Path) -> str:
    """One sentence; "" where nothing is wrong. Raises UnfitWeights for a damaged file."""
    if not path.is_dir():
        return "it is a file; expected the folder of a CLIP or SigLIP model, as transformers saves it"
    files = list_weight_files(path)
    if not files:
        pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLED)
        held = f"only pickles, which can run code ({', '.join(pickles[:3])})" if pickles else "no weights"
        return f"the folder holds {held}; safetensors are read"
    for name in ("config.json", "preprocessor_config.json"):
        if not (path / name).is_file():
            return f"{name} is missing, without which pictures cannot be prepared for it"
    if not any(all((path / name).is_file() for name in names) for names in TOKENIZERS):
        return "it has no tokenizer: expected tokenizer.json, or vocab.json and merges.txt"
    config = read_json(path / "config.json")
    if config.get("model_type") not in MODEL_TYPES:
        return f"got a model of type {config.get('model_type')!r}; expected {' or '.join(MODEL_TYPES)}"
    return _compare_shapes(config, read_files(files).shapes)


def _compare_shapes(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> str:
    """The two towers are there, and as wide as the configuration says."""
    towers = {
        "vision_config": "vision_model.embeddings.patch_embedding.weight",
        "text_config": "text_model.embeddings.token_embedding.weight",
    }
    for part, key in towers.items():
        tower = key.partition(".")[0]
        if key not in shapes:
            return f"it has no {tower}: a CLIP or SigLIP model has one for pictures and one for words"
        said = (config.get(part) or {}).get("hidden_size")
        came = shapes[key][0 if part == "vision_config" else 1]
        if isinstance(said, int) and said != came:
            return f"its {tower} is {came} wide; its configuration says {said}"
    return ""
