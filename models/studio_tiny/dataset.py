"""The training pictures, drawn once and kept as arrays in the run folder, and their latents.

images.npy [n, 128, 128, 3] uint8    depth.npy [n, 128, 128] uint8    captions.txt, one a line
latents-<size>.npy [n, 4, size/4, size/4] float16, of unit variance
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from models.studio_tiny.draw import draw
from models.studio_tiny.loop import half_precision


def _drawn(seed: int, size: int, style: str | None, practice: bool) -> tuple[np.ndarray, np.ndarray, str, dict]:
    picture = draw(seed, size=size, style=style, practice=practice)
    return picture.image, picture.depth, picture.caption, asdict(picture.about)


def draw_all(folder: Path, count: int, *, size: int, first_seed: int = 0, style: str | None = None,
             practice: bool = False) -> None:  # fmt: skip
    """Draws seeds first_seed .. first_seed + count on all cores, unless that was done before."""
    if (folder / "captions.txt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, size, size, 3))
    depths = np.lib.format.open_memmap(folder / "depth.npy", "w+", np.uint8, (count, size, size))
    captions, abouts = [], []
    with ProcessPoolExecutor() as pool:
        one = partial(_drawn, size=size, style=style, practice=practice)
        job = pool.map(one, range(first_seed, first_seed + count), chunksize=64)
        for i, (image, depth, caption, about) in enumerate(tqdm(job, total=count, desc="draw", mininterval=5)):
            images[i], depths[i] = image, depth
            captions.append(caption)
            abouts.append(json.dumps(about))
    (folder / "attributes.jsonl").write_text("\n".join(abouts) + "\n")
    (folder / "captions.txt").write_text("\n".join(captions) + "\n")  # last: it says that the rest is complete


def pictures(folder: Path) -> tuple[np.ndarray, list[str]]:
    """[n, size, size, 3] uint8 (memory-mapped) and n captions."""
    return np.load(folder / "images.npy", mmap_mode="r"), (folder / "captions.txt").read_text().splitlines()


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """[b, h, w, 3] uint8 -> [b, 3, h, w] float in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """The way back, clipped."""
    pixels = ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def encode_all(folder: Path, vae: AutoencoderKL, *, size: int, device: torch.device, limit: int = 15_000) -> np.ndarray:
    """Latents of the first `limit` pictures at `size`, made once: the posterior's mean, scaled to unit variance."""
    path = folder / f"latents-{size}.npy"
    if path.exists():
        return np.load(path)
    images = pictures(folder)[0][:limit]
    out = np.empty((len(images), vae.config.latent_channels, size // 4, size // 4), np.float16)
    for i in tqdm(range(0, len(images), 64), desc=f"encode {size}", mininterval=5):
        batch = images[i : i + 64]
        if size != batch.shape[1]:
            batch = np.stack([cv2.resize(b, (size, size), interpolation=cv2.INTER_AREA) for b in batch])
        with half_precision(device):
            mean = vae.encode(to_tensor(batch).to(device)).latent_dist.mean
        out[i : i + len(batch)] = (mean.float() * vae.config.scaling_factor).cpu().numpy()
    np.save(path, out)
    return out
