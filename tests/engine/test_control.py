"""Conditions: exact sizes, the same every time, and errors that name what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.control import make_condition
from engine.detectors import DETECTORS, find_missing_files
from schemas.errors import ConditionError
from schemas.spec import ControlSpec, ModelRef

NET = ModelRef(alias="net", digest="0" * 64)


def control(kind: str, **fields: Any) -> ControlSpec:
    return ControlSpec(type=kind, image="1" * 64, model=NET, **fields)


def drawing(width: int = 150, height: int = 110) -> np.ndarray:
    picture = np.full((height, width, 3), 230, np.uint8)
    picture[30:80, 40:100] = (180, 40, 30)
    picture[50:60, 10:140] = (20, 30, 160)
    return picture


@pytest.mark.parametrize("kind", ["canny", "lineart_standard", "shuffle"])
@pytest.mark.parametrize(("width", "height"), [(128, 128), (72, 136), (200, 104)])
def test_conditions_without_weights_have_the_asked_size_and_repeat(kind: str, width: int, height: int) -> None:
    first = make_condition(drawing(), control(kind), width=width, height=height, models_folder=None, asker="hero")
    again = make_condition(drawing(), control(kind), width=width, height=height, models_folder=None, asker="hero")
    assert first.shape == (height, width, 3) and first.dtype == np.uint8
    assert first.std() > 1
    np.testing.assert_array_equal(first, again)


def test_canny_is_opencvs_on_the_picture_itself() -> None:
    import cv2

    image = drawing(120, 88)
    found = make_condition(image, control("canny"), width=120, height=88, models_folder=None, asker="hero")
    np.testing.assert_array_equal(found[2:-2, 2:-2, 0], cv2.Canny(image, 100, 200)[2:-2, 2:-2])


def test_parameters_reach_the_detector_and_unknown_ones_are_refused() -> None:
    rng = np.random.default_rng(0)
    noisy = (drawing() * 0.7 + rng.integers(0, 60, (110, 150, 1))).astype(np.uint8)
    size: dict[str, Any] = {"width": 128, "height": 96, "models_folder": None, "asker": "hero"}
    low = make_condition(noisy, control("canny", params=(("high_threshold", 60.0), ("low_threshold", 20.0))), **size)
    high = make_condition(noisy, control("canny", params=(("high_threshold", 900.0), ("low_threshold", 600.0))), **size)
    assert low.mean() > high.mean()
    with pytest.raises(ConditionError, match="hero: control 'canny' has no parameter 'sigma'; it has low_threshold"):
        make_condition(noisy, control("canny", params=(("sigma", 1.0),)), **size)


def test_shuffle_leaves_the_callers_random_state_alone() -> None:
    np.random.seed(7)
    expected = np.random.RandomState(7).rand(3)
    make_condition(drawing(), control("shuffle"), width=64, height=64, models_folder=None, asker="hero")
    np.testing.assert_array_equal(np.random.rand(3), expected)


def test_a_precomputed_condition_is_passed_as_it_is() -> None:
    image = drawing(96, 64)
    given = make_condition(
        image, control("pose", precomputed=True), width=96, height=64, models_folder=None, asker="hero"
    )
    np.testing.assert_array_equal(given, image)


@pytest.mark.parametrize("kind", sorted([name for name, entry in DETECTORS.items() if entry.files] + ["depth"]))
def test_what_is_missing_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConditionError, match=rf"wall/red: control '{kind}' needs .*condition_models names no folder"):
        make_condition(drawing(), control(kind), width=64, height=64, models_folder=None, asker="wall/red")
    file = DETECTORS[kind].files[0] if kind in DETECTORS else "depth_anything/config.json"
    said = find_missing_files(kind, tmp_path, asker="wall/red")
    assert said is not None and said.startswith(f"wall/red: control '{kind}' needs {tmp_path / file}")


def test_an_unknown_type_is_told_what_there_is() -> None:
    with pytest.raises(ConditionError, match=r"control 'dwpose' has no detector; there is .*canny"):
        make_condition(drawing(), control("dwpose"), width=64, height=64, models_folder=None, asker="hero")


def test_hed_from_a_folder(tmp_path: Path) -> None:
    from controlnet_aux.hed import ControlNetHED_Apache2

    torch.manual_seed(0)
    torch.save(ControlNetHED_Apache2().state_dict(), tmp_path / "ControlNetHED.pth")
    found = make_condition(drawing(), control("hed"), width=72, height=104, models_folder=tmp_path, asker="hero")
    assert found.shape == (104, 72, 3)


def test_depth_from_a_folder(tmp_path: Path) -> None:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2,
        out_features=["stage1", "stage2", "stage3", "stage4"], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8, patch_size=14, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path / "depth_anything")
    DPTImageProcessor(size={"height": 56, "width": 56}, ensure_multiple_of=14).save_pretrained(
        tmp_path / "depth_anything"
    )
    assert find_missing_files("depth", tmp_path, asker="hero") is None
    found = make_condition(drawing(), control("depth"), width=72, height=104, models_folder=tmp_path, asker="hero")
    assert found.shape == (104, 72, 3) and found.min() == 0 and found.max() == 255


def test_a_pickle_in_the_folder_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    (tmp_path / "ControlNetHED.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ConditionError, match="cannot be read"):
        make_condition(drawing(), control("scribble"), width=64, height=64, models_folder=tmp_path, asker="hero")
    assert not (tmp_path / "harm").exists()
