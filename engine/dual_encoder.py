"""A CLIP or SigLIP model (transformers), which encodes pictures and words into one space, for searching.

Only local folders with safetensors; no code of a folder is run. Pictures and words are prepared by the folder's own
image processor and tokenizer, as the model was trained. Nothing that makes an image reads what is encoded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, SiglipModel
from transformers.utils import logging

from engine.model_files import ModelFiles
from engine.pixels import Picture
from engine.vectors import Vector
from schemas.errors import UnfitWeights
from schemas.weights.components import read_json
from schemas.weights.files import variant
from schemas.weights.fit import find_own_fault

CLASSES = {"clip": CLIPModel, "siglip": SiglipModel}
ASKER = "search_model"


class DualEncoder:
    """One model on one device, in float32: it is small beside a checkpoint. Not to be shared between threads."""

    def __init__(self, path: Path, *, device: torch.device, digest: str = "") -> None:
        """Raises UnfitWeights for a folder that is no such model, or some of whose weights are missing."""
        kind = str(read_json(path / "config.json").get("model_type"))
        if kind not in CLASSES:
            raise UnfitWeights(f"{path}: got a model of type {kind!r}; expected {' or '.join(CLASSES)}")
        logging.disable_progress_bar()
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            model, report = CLASSES[kind].from_pretrained(
                path, dtype=torch.float32, use_safetensors=True, variant=variant(path), local_files_only=True,
                output_loading_info=True,
            )  # fmt: skip
            self._processor = AutoImageProcessor.from_pretrained(path, **local)
            self._tokenizer = AutoTokenizer.from_pretrained(path, **local)
        except Exception as wrong:  # transformers, tokenizers and safetensors raise a dozen kinds
            raise UnfitWeights(f"{path}: it cannot be loaded: {type(wrong).__name__}: {wrong}"[:500]) from None
        if missing := sorted(report["missing_keys"]):
            raise UnfitWeights(f"{path}: {len(missing)} weights are missing: {', '.join(missing[:3])}")
        self._model: Any = model.eval().to(device)
        self._length = int(model.config.text_config.max_position_embeddings)
        self._padding = "max_length" if kind == "siglip" else True  # as each was trained
        self.device, self.digest = device, digest

    @classmethod
    def open(cls, files: ModelFiles, alias: str, *, device: str) -> DualEncoder:
        """The catalogue's. Raises ModelError."""
        entry = files.entry(alias, asker=ASKER, kind="dual_encoder")
        files.files(alias, asker=ASKER)
        if fault := find_own_fault(files, entry.alias):
            raise UnfitWeights(f"{ASKER} asks for {alias}: {fault}")
        path = files.where(alias, asker=ASKER)
        return cls(path, device=torch.device(device), digest=files.digest(alias, asker=ASKER))

    @torch.inference_mode()
    def encode_pictures(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """[number of pictures, width]. pictures: uint8 [height, width, 3], of any sizes."""
        given = self._processor(images=[Image.fromarray(one) for one in pictures], return_tensors="pt")
        return _read(self._model.get_image_features(pixel_values=given["pixel_values"].to(self.device)))

    @torch.inference_mode()
    def encode_words(self, text: str) -> Vector:
        """[width]. What is longer than the model reads is cut off."""
        given = self._tokenizer(
            [text], padding=self._padding, truncation=True, max_length=self._length, return_tensors="pt"
        )
        named = {name: given[name].to(self.device) for name in ("input_ids", "attention_mask") if name in given}
        return np.asarray(_read(self._model.get_text_features(**named))[0])


def _read(features: Any) -> NDArray[np.float32]:
    """transformers 5 gives an output whose `pooler_output` they are; before, the tensor itself."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return np.asarray(tensor.float().cpu().numpy(), np.float32)
