"""The true SDXL classes of diffusers and transformers, at a size for a laptop, and the folder they are kept in.

    python -m models.studio_tiny.architecture OUT      a complete folder with random weights

The 1:1 parts are the interfaces: two CLIP encoders whose penultimate states are joined for cross-attention, the second
with a projection; `text_time` conditioning on sizes and crops; four latent channels. Smaller: widths, depths, and an
autoencoder that shrinks by 4 and not by 8, because a 128-pixel picture has no pixels to spare.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from models.studio_tiny.tokens import LENGTH, write_tokenizer

SIZE = 128  # pixels, native
FACTOR = 4  # pixels to a latent
LATENT_CHANNELS = 4
TEXT_1, TEXT_2 = 64, 128  # widths of the two text encoders
TIME_IDS = 16  # width of each of the six size and crop embeddings

# beta_end is above SDXL's 0.012: at the last step only 1.6% of the signal is left (SDXL: 6.8%), so that a plain white
# background starts from noise as often in training as it does in sampling.
SCHEDULE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.02, "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction", "timestep_spacing": "trailing"}  # fmt: skip


@dataclass
class Parts:
    """One complete SDXL, in the names that StableDiffusionXLPipeline uses."""

    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    text_encoder_2: CLIPTextModelWithProjection
    unet: UNet2DConditionModel


def build_vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=LATENT_CHANNELS, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(16, 48, 64), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, sample_size=SIZE, mid_block_add_attention=False, force_upcast=False,
        scaling_factor=1.0,
    )  # fmt: skip


def build_text_encoders(vocabulary: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    def config(width: int, layers: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=width * 4,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
            max_position_embeddings=LENGTH,
            projection_dim=TEXT_2,
            hidden_act="quick_gelu",
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )

    return CLIPTextModel(config(TEXT_1, 3)), CLIPTextModelWithProjection(config(TEXT_2, 3))


def build_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // FACTOR,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        layers_per_block=1,
        block_out_channels=(48, 96, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 1),
        attention_head_dim=(2, 3, 6),
        norm_num_groups=8,
        cross_attention_dim=TEXT_1 + TEXT_2,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_IDS,
        projection_class_embeddings_input_dim=TIME_IDS * 6 + TEXT_2,
    )


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that starts as a copy of the UNet's encoder; its condition is shrunk by FACTOR, like the picture."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64), conditioning_channels=3)


def build_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**SCHEDULE)


def load_tokenizers(folder: Path) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    return (CLIPTokenizer.from_pretrained(folder / "tokenizer"), CLIPTokenizer.from_pretrained(folder / "tokenizer_2"))


def time_ids(size: int, *, batch: int, crop: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """[batch, 6]: original height and width, crop top and left, target height and width; SDXL paper, section 2.2."""
    return torch.tensor([[size, size, *crop, size, size]], dtype=torch.float32).repeat(batch, 1)


def encode_text(parts: Parts, ids_1: torch.Tensor, ids_2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [batch, 77] twice -> states [batch, 77, 192] and pooled [batch, 128], joined as in SDXL."""
    first = parts.text_encoder(ids_1, output_hidden_states=True)
    second = parts.text_encoder_2(ids_2, output_hidden_states=True)
    return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds


def write_tokenizers(folder: Path) -> int:
    """Both, unless they are there; returns the size of their vocabulary."""
    if (folder / "tokenizer_2" / "vocab.json").exists():
        return len(json.loads((folder / "tokenizer_2" / "vocab.json").read_text()))
    write_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    return write_tokenizer(folder / "tokenizer_2", pad="!")


def build(folder: Path, *, seed: int = 0) -> Parts:
    """Tokenizers into the folder, and untrained parts that fit them."""
    vocabulary = write_tokenizers(folder)
    torch.manual_seed(seed)
    return Parts(build_vae(), *build_text_encoders(vocabulary), build_unet())


def save(parts: Parts, folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
    """The diffusers folder, weights as safetensors in half precision; tokenizers must be there already."""
    for name in ("vae", "text_encoder", "text_encoder_2", "unet"):
        part = getattr(parts, name)
        kept = {k: v.clone() for k, v in part.state_dict().items()}
        part.to(dtype).save_pretrained(folder / name, safe_serialization=True)
        part.float().load_state_dict(kept)
    build_scheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": False,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def save_controlnet(controlnet: ControlNetModel, folder: Path) -> None:
    kept = {k: v.clone() for k, v in controlnet.state_dict().items()}
    controlnet.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    controlnet.float().load_state_dict(kept)


def load(folder: Path, *, dtype: torch.dtype = torch.float32) -> Parts:
    """The parts of a saved folder, computing in `dtype`."""
    return Parts(
        AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype, use_safetensors=True),
        CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype, use_safetensors=True),
        CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2", dtype=dtype, use_safetensors=True),
        UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype, use_safetensors=True),
    )


def main(out: str) -> None:
    folder = Path(out)
    parts = build(folder)
    save(parts, folder)
    for kind in ("canny", "depth"):
        save_controlnet(build_controlnet(parts.unet), folder / f"controlnet-{kind}")
    for name in ("vae", "text_encoder", "text_encoder_2", "unet"):
        print(f"{name:16}{sum(p.numel() for p in getattr(parts, name).parameters()) / 1e6:8.2f} M parameters")
    megabytes = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    print(f"{folder}: {megabytes:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1])
