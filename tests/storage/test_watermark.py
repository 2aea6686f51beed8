"""The invisible mark is read back after what happens to pictures, hardly changes them, and is in no other picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.watermark import CHANGES, list_photographs, measure_psnr
from storage.watermark import BITS, NEAR, STEP, read_mark, write_mark

PHOTOGRAPHS = list(list_photographs())


def message_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def open_rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def paint(seed: int, width: int = 128, height: int = 128, ground: int = 255) -> np.ndarray:
    """An icon's like: soft blobs on one flat ground."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    pixels = np.full((height, width, 3), float(ground))
    for _ in range(6):
        y, x = height * chance.uniform(0.3, 0.7), width * chance.uniform(0.3, 0.7)
        near = np.exp(-(((rows - y) / height) ** 2 + ((columns - x) / width) ** 2) * chance.uniform(30, 90))
        pixels += near[..., None] * (chance.uniform(0, 255, 3) - pixels)
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_a_photographs_mark_survives_jpeg_and_half_the_size(path: Path) -> None:
    pixels, message = open_rgb(path), message_of(path.name)
    marked = write_mark(pixels, message)
    assert measure_psnr(marked, pixels) > 42
    for name, change in CHANGES.items():
        assert read_mark(change(marked)).differs_by(message) <= (0 if name == "untouched" else 1), name
    assert read_mark(pixels).likeness_to(message) < NEAR


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("size", [(128, 128), (200, 131), (512, 256)])
def test_flat_grounds_hold_it_too(ground: int, size: tuple[int, int]) -> None:
    wrong: dict[str, list[int]] = {name: [] for name in CHANGES}
    for seed in range(8):
        pixels, message = paint(seed, *size, ground), message_of(f"{seed}")
        marked = write_mark(pixels, message)
        assert measure_psnr(marked, pixels) > 39  # black can only get brighter
        for name, change in CHANGES.items():
            wrong[name].append(read_mark(change(marked)).differs_by(message))
    assert max(wrong["untouched"]) == 0
    assert max(wrong["JPEG q75"]) <= 2 and max(wrong["half the size"]) <= 4
    assert sum(wrong["half, then JPEG q75"]) / (8 * BITS) < 0.05


def test_other_proportions_and_sizes_give_the_same_bits() -> None:
    pixels = open_rgb(PHOTOGRAPHS[0])
    marked = Image.fromarray(write_mark(pixels, "a1b2c3d4e5f6"))
    for size in ((400, 512), (512, 300), (777, 777), (128, 128)):
        squeezed = np.asarray(marked.resize(size, Image.Resampling.LANCZOS))
        assert read_mark(squeezed).differs_by("a1b2c3d4e5f6") <= 1, size


def test_a_crop_loses_it() -> None:
    """As documented. Were it to hold, the documents would be wrong."""
    marked = write_mark(open_rgb(PHOTOGRAPHS[0]), "a1b2c3d4e5f6")
    assert read_mark(marked[60:, 60:]).likeness_to("a1b2c3d4e5f6") < NEAR


def test_the_same_picture_and_message_give_the_same_pixels_and_no_more_than_a_few_levels_change() -> None:
    pixels = open_rgb(PHOTOGRAPHS[3])
    before = pixels.copy()
    one, other = write_mark(pixels, "0" * 12), write_mark(pixels, "0" * 12)
    assert np.array_equal(one, other) and np.array_equal(pixels, before)
    assert np.abs(one.astype(int) - pixels).max() <= 2 * STEP
    assert not np.array_equal(one, write_mark(pixels, "f" * 12))


def test_of_a_cut_out_what_is_clear_is_not_touched_and_any_ground_under_it_is_no_matter() -> None:
    colours = paint(3, 256, 256, 90)
    alpha = np.zeros((256, 256), np.uint8)
    alpha[32:224, 32:224] = 255
    pixels = np.dstack([colours, alpha])
    marked = write_mark(pixels, "a1b2c3d4e5f6")
    clear = alpha == 0
    assert np.array_equal(marked[clear], pixels[clear]) and np.array_equal(marked[..., 3], alpha)
    assert read_mark(marked).message == "a1b2c3d4e5f6"
    on_white = np.where(alpha[..., None] > 0, marked[..., :3], 255).astype(np.uint8)
    assert read_mark(on_white).likeness_to("a1b2c3d4e5f6") >= NEAR


def test_pictures_without_a_mark_are_near_no_record() -> None:
    """400 pictures against 400 messages: chance has it that none comes near."""
    reads = [read_mark(paint(seed)) for seed in range(400)]
    messages = [message_of(f"record {number}") for number in range(400)]
    assert max(read.likeness_to(message) for read in reads for message in messages) < NEAR
    assert np.mean([read.strength for read in reads]) < 0.5
