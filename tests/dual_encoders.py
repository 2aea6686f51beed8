"""Tiny CLIP and SigLIP folders with random weights: transformers' own classes, saved as it saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from schemas.settings import ROOT

SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
}  # fmt: skip
SEES: dict[str, Any] = SMALL | {"image_size": 32, "patch_size": 8}


def write_clip(folder: Path, *, seed: int = 0, **saving: Any) -> Path:
    """24 numbers a vector; 77 tokens."""
    torch.manual_seed(seed)
    tokenizer = CLIPTokenizer.from_pretrained(ROOT / "models" / "studio-tiny" / "tokenizer")
    reads = SMALL | {
        "vocab_size": len(tokenizer), "max_position_embeddings": 77, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    model = CLIPModel(CLIPConfig(text_config=reads, vision_config=SEES, projection_dim=24))
    return _save(folder, _spread(model), tokenizer, CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ), **saving)  # fmt: skip


def write_siglip(folder: Path, *, seed: int = 0, **saving: Any) -> Path:
    """32 numbers a vector; 64 tokens, always."""
    torch.manual_seed(seed)
    tokenizer = CLIPTokenizer.from_pretrained(ROOT / "models" / "studio-tiny" / "tokenizer")
    tokenizer.model_input_names = ["input_ids"]
    reads = SMALL | {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "projection_size": 32}
    model = SiglipModel(SiglipConfig(text_config=reads, vision_config=SEES))
    return _save(folder, _spread(model), tokenizer, SiglipImageProcessor(size={"height": 32, "width": 32}), **saving)


def _spread(model: Any) -> Any:
    """Random weights as they are drawn say nearly the same of everything; larger ones tell pictures apart."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) * (0.5 if "embedding" in name else 0.3))
    return model


def _save(folder: Path, model: Any, tokenizer: Any, processor: Any, **saving: Any) -> Path:
    model.save_pretrained(folder, **saving)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
