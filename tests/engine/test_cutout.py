"""Subjects cut from their grounds: how far the matte is off on drawings that know theirs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.cutouts import GREEN, WHITE, draw_icon, run, soften
from engine.cutout import CutOuts
from engine.keying import Ground, find_ground, key_out
from engine.model_files import ModelFiles
from schemas.errors import ModelMissing
from schemas.review import Criterion, Result
from schemas.spec import CutOut, ImageSpec, ModelRef
from tests.checks.onnx_file import write_matting
from tests.making import a_spec


def disc(
    size: int = 96, *, ground: tuple[int, int, int] = WHITE, ink: tuple[int, int, int] = (200, 30, 60)
) -> tuple[np.ndarray, np.ndarray]:
    """(picture, true alpha) of a disc with a hole, drawn large and shrunk."""
    large = np.zeros((size * 8, size * 8), np.float32)
    cv2.circle(large, (size * 4, size * 4), size * 3, 1.0, -1)
    cv2.circle(large, (size * 4, size * 4), size, 0.0, -1)
    alpha = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)
    mixed = alpha[..., None] * np.array(ink) + (1 - alpha[..., None]) * np.array(ground)
    return np.rint(mixed).astype(np.uint8), alpha


def keyed(**fields: object) -> ImageSpec:
    return a_spec(background=CutOut(**fields))


@pytest.fixture
def cut_outs(tmp_path: Path) -> CutOuts:
    write_matting(tmp_path / "bright.onnx")
    text = (
        "bright: {kind: matting, path: bright.onnx, mean: [0, 0, 0], std: [1, 1, 1]}\nfolder: {kind: matting, path: .}"
    )
    (tmp_path / "catalogue.yaml").write_text(text + "\nweights: {kind: matting, path: x.safetensors}")
    (tmp_path / "x.safetensors").write_bytes(b"")
    return CutOuts(ModelFiles.read(tmp_path / "catalogue.yaml"))


@pytest.mark.parametrize(
    ("options", "mae", "edge"), [({}, 0.001, 0.2), ({"ground": GREEN}, 0.001, 0.2), ({"spoil": soften}, 0.004, 0.4)]
)
def test_drawn_icons_come_out_clean(options: dict, mae: float, edge: float) -> None:
    """22 icons, one of each kind; `python -m bench.cutouts` measures a hundred of them, larger."""
    found_mae, found_edge, _ = run(128, 22, **options)
    assert found_mae < mae and found_edge < edge


def test_colours_hold_no_ground_and_reach_beyond_the_matte() -> None:
    pixels, truth = disc(ground=GREEN)
    ground = find_ground(pixels)
    assert isinstance(ground, Ground) and tuple(ground.colour) == GREEN
    cut = key_out(pixels, ground, holes=True)
    assert isinstance(cut, np.ndarray) and cut.shape == (96, 96, 4)
    assert np.abs(cut[..., 3] / 255 - truth).max() < 0.06
    assert np.abs(cut[..., :3].astype(int) - (200, 30, 60)).max() <= 12, "everywhere, under the transparent places too"
    back = cut[..., :3] * (cut[..., 3:] / 255) + np.array(GREEN) * (1 - cut[..., 3:] / 255)
    assert np.abs(back - pixels).max() <= 3, "laid on its ground it is the picture that was made"


def test_a_hole_stays_where_it_is_part_of_the_subject(cut_outs: CutOuts) -> None:
    pixels, _ = disc()
    assert cut_outs.cut(pixels, keyed()).pixels[48, 48, 3] == 0
    assert cut_outs.cut(pixels, keyed(holes=False)).pixels[48, 48, 3] == 255
    assert cut_outs.cut(pixels, a_spec()).pixels is pixels


def gradient() -> np.ndarray:
    return np.broadcast_to(np.linspace(120, 255, 96).astype(np.uint8)[:, None, None], (96, 96, 3)).copy()


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (gradient(), "not flat"),
        (np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8), "not flat"),
        (np.random.default_rng(1).integers(225, 256, (96, 96, 3), dtype=np.uint8), "varies by"),
        (np.full((96, 96, 3), 250, np.uint8), "nothing but the ground"),
    ],
)
def test_what_cannot_be_keyed_stays_opaque_and_says_why(cut_outs: CutOuts, pixels: np.ndarray, said: str) -> None:
    cut = cut_outs.cut(pixels, keyed())
    assert cut.pixels is pixels and cut.finding is not None and said in cut.finding.sentence
    assert (cut.finding.check, cut.finding.result) == (Criterion.TECHNICAL, Result.FLAG)


def test_a_subject_may_touch_an_edge() -> None:
    pixels, _ = draw_icon(1, size=96)
    ground = find_ground(np.ascontiguousarray(pixels[:86]))
    assert isinstance(ground, Ground)


def test_a_matting_model_cuts_on_any_ground(cut_outs: CutOuts) -> None:
    ground = gradient() // 4
    alpha = disc()[1]
    pixels = np.rint(alpha[..., None] * np.array((250, 230, 40)) + (1 - alpha[..., None]) * ground).astype(np.uint8)
    digest = cut_outs._files.digest("bright")
    cut = cut_outs.cut(pixels, keyed(model=ModelRef(alias="bright", digest=digest)))
    assert cut.finding is None and cut.pixels.shape == (96, 96, 4)
    matte = cut.pixels[..., 3] / 255
    inside, outside = cv2.erode(alpha, np.ones((9, 9))) > 0.99, cv2.dilate(alpha, np.ones((9, 9))) < 0.01
    assert matte[inside].min() > 0.95 and matte[outside].max() < 0.05
    soft = (matte > 0.2) & (matte < 0.9)
    brightness = cut.pixels[..., :3].astype(int).sum(-1)
    assert soft.any() and np.median(brightness[soft]) > np.median(pixels.astype(int).sum(-1)[soft]) + 20


def test_only_onnx_files_are_matting_models(cut_outs: CutOuts) -> None:
    assert "not onnx" in cut_outs._files.missing(["weights"])[0]
    before = cut_outs._files.digest("bright")
    entry = cut_outs._files.entries["bright"]
    cut_outs._files.entries["bright"] = entry.model_copy(update={"size": 64})
    assert cut_outs._files.digest("bright") != before, "how a picture is shown to it changes what it says"
    with pytest.raises(ModelMissing, match="cannot be read"):
        cut_outs._files.where("folder", asker="x").joinpath("bright.onnx").write_bytes(b"no")
        cut_outs.cut(gradient(), keyed(model=ModelRef(alias="bright", digest="1" * 64)))
