"""The autoencoder: pictures of 128 pixels to 32x32 latents of 4 channels, and back.

L1, L1 of 4x averages (flat colours), L1 of differences between neighbours (crisp edges), a small KL. No adversary.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch.nn import functional as F

from models.studio_tiny.architecture import build_vae
from models.studio_tiny.dataset import encode_all, pictures, to_images, to_tensor
from models.studio_tiny.draw import sheet
from models.studio_tiny.loop import Run, device, half_precision

CROP = 64  # pixels: the autoencoder is convolutional, so crops teach it as well as whole pictures
BATCH = 16
KL = 2e-6


def crops(images: np.ndarray, rng: np.random.Generator, batch: int) -> torch.Tensor:
    rows = np.sort(rng.integers(len(images), size=batch))
    tops = rng.integers(0, (images.shape[1] - CROP) // 4 + 1, (batch, 2)) * 4  # keeps pixel art on the latent grid
    return to_tensor(np.stack([images[r, y : y + CROP, x : x + CROP] for r, (y, x) in zip(rows, tops, strict=True)]))


def reconstruction_loss(made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    error = made - true
    slopes = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + F.avg_pool2d(error, 4).abs().mean() + 0.5 * slopes


def train(folder: Path, *, minutes: float, decoder_only: bool = False) -> None:
    """Trains into folder/vae.pt (decoder_only: folder/decoder.pt, from the EMA of vae.pt, latents left as they are)."""
    where = device()
    vae = build_vae().to(where)
    trained = list(vae.parameters())
    if decoder_only:
        vae.load_state_dict(torch.load(folder / "vae.pt", map_location=where, weights_only=True)["ema"])
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
        trained = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    name = "decoder" if decoder_only else "vae"
    run = Run(folder, name, vae, [{"params": trained, "lr": 1.5e-3 if not decoder_only else 7e-4}], minutes=minutes)
    images, _ = pictures(folder)
    rng = np.random.default_rng(run.step)
    for step in run.steps():
        true = crops(images, rng, BATCH).to(where)
        with half_precision(where):
            posterior = vae.encode(true).latent_dist
            made = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(made.float(), true)
        if not decoder_only:
            loss = loss + KL * posterior.kl().float().mean()
        run.learn(loss)
        if step % 1000 == 0:
            reconstruct(vae, images, folder / f"{name}-{step:06d}.png")


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, images: np.ndarray, path: Path) -> None:
    """A sheet of pictures over their reconstructions."""
    true = images[:16]
    x = to_tensor(true).to(next(vae.parameters()).device)
    made = to_images(vae.decode(vae.encode(x).latent_dist.mean).sample)
    rows = [*true[:8], *made[:8], *true[8:], *made[8:]]
    page = sheet(rows, 8)
    page.resize((page.width, page.height), Image.Resampling.NEAREST).save(path)


@torch.no_grad()
def trained_vae(folder: Path) -> AutoencoderKL:
    """The averaged weights, with the scaling factor that gives the training latents unit variance."""
    where = device()
    vae = build_vae().to(where)
    refined = folder / "decoder.pt"
    vae.load_state_dict(torch.load(folder / "vae.pt", map_location=where, weights_only=True)["ema"])
    if refined.exists():
        vae.load_state_dict(torch.load(refined, map_location=where, weights_only=True)["ema"])
    path = folder / "scaling.txt"
    if not path.exists():
        latents = vae.encode(to_tensor(pictures(folder)[0][:512]).to(where)).latent_dist.mean
        path.write_text(f"{float(1 / latents.std()):.5f}\n")
    vae.register_to_config(scaling_factor=float(path.read_text()))
    return vae.eval()


def encode(folder: Path, *, size: int) -> np.ndarray:
    return encode_all(folder, trained_vae(folder), size=size, device=device())
