"""The small studio checkpoint for tests: the trained one of models/, or, until it is there, one with random weights.

The random one is made once into .cache/ and has ControlNets and LoRAs that really act (nothing in them is zero).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engine.catalogue import Catalogue
from schemas.settings import ROOT

RANDOM = ROOT / ".cache" / "studio-random"


@cache
def catalogue_path() -> Path:
    """A catalogue in which `studio-tiny`, `studio-tiny/canny`, `/depth` and `/style` can be loaded."""
    shipped = ROOT / "models" / "catalogue.yaml"
    entries = Catalogue.read(shipped)
    if not entries.missing(list(entries.entries)):
        return shipped
    made = RANDOM / "catalogue.yaml"
    if not made.is_file():
        _make(RANDOM)
        made.write_text(
            shipped.read_text(encoding="utf-8")
            .replace("path: studio-tiny/", "path: ./")
            .replace("path: studio-tiny\n", "path: .\n")
        )
    return made


def _make(folder: Path) -> None:
    import torch
    from diffusers import ControlNetModel, StableDiffusionXLPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    from models.studio_tiny.architecture import main

    main(str(folder))
    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    for name, parameter in unet.named_parameters():
        if "attn2" in name and parameter.ndim == 2:
            parameter.data *= 5  # so that words matter as much as in a trained one
    unet.save_pretrained(folder / "unet")
    for name, cls in (("text_encoder", CLIPTextModel), ("text_encoder_2", CLIPTextModelWithProjection)):
        encoder = cls.from_pretrained(folder / name)
        encoder.get_input_embeddings().weight.data *= 8
        encoder.save_pretrained(folder / name)
    for kind in ("canny", "depth"):
        net = ControlNetModel.from_pretrained(folder / f"controlnet-{kind}")
        for parameter in net.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.2)
        net.save_pretrained(folder / f"controlnet-{kind}")
    for name in ("lcm-lora", "lora-blueprint"):
        pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
        lora = LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_v", "conv1"])
        pipe.unet.add_adapter(lora)
        StableDiffusionXLPipeline.save_lora_weights(
            folder / name,
            unet_lora_layers=get_peft_model_state_dict(pipe.unet),
            safe_serialization=True,
        )
