"""Training that goes on from the published folder begins with exactly its weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from models.studio_tiny import architecture
from models.studio_tiny.architecture import load
from models.studio_tiny.loop import FURTHER, Run
from models.studio_tiny.start import start_run
from models.studio_tiny.train_unet import FIRST_SHARES, LAST_SHARES, TRAINED, Rows, fresh, time_steps
from models.studio_tiny.train_vae import trained_vae
from models.studio_tiny.world import PRACTICE, imagine

FOLDER = Path(__file__).parents[2] / "models" / "studio-tiny"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("run")
    start_run(FOLDER, folder)
    return folder


def test_a_run_begins_with_the_published_weights(run: Path) -> None:
    modules, published = fresh(run), load(FOLDER)
    groups = [{"params": list(modules.parameters()), "lr": 1e-3}]
    started = Run(run, "unet-128", modules, groups, minutes=0.0)
    assert started.peaks == [1e-3 * FURTHER]
    for name in TRAINED:
        for key, value in getattr(published, name).state_dict().items():
            assert torch.equal(modules[name].state_dict()[key], value), (name, key)
            assert torch.equal(started.ema.shadow[f"{name}.{key}"], value), (name, key)


def test_the_autoencoder_is_the_published_one(run: Path) -> None:
    vae, published = trained_vae(run), load(FOLDER).vae
    assert vae.config.scaling_factor == pytest.approx(published.config.scaling_factor, abs=1e-5)
    assert all(torch.equal(vae.state_dict()[k], v) for k, v in published.state_dict().items())


def test_adapters_begin_with_the_published_ones(run: Path) -> None:
    for name in ("canny", "depth"):
        published = ControlNetModel.from_pretrained(FOLDER / f"controlnet-{name}", use_safetensors=True).float()
        kept = torch.load(run / "start" / f"controlnet-{name}.pt", weights_only=True)
        assert all(torch.equal(kept[k], v) for k, v in published.state_dict().items())
    for name in ("lora", "draft"):  # what a LoRA begins with adds nothing: B is zero
        kept = torch.load(run / "start" / f"{name}.pt", weights_only=True)
        assert all(v.abs().max() > 0 for k, v in kept.items() if "lora_B" in k)


def test_a_run_with_weights_is_not_overwritten(run: Path) -> None:
    with pytest.raises(FileExistsError, match=r"has a vae\.pt"):
        start_run(FOLDER, run)


def test_tokenizers_are_those_of_the_weights(run: Path) -> None:
    assert architecture.write_tokenizers(run) == len(json.loads((FOLDER / "tokenizer_2/vocab.json").read_text()))


def test_what_is_difficult_is_dealt_more_often_first(tmp_path: Path) -> None:
    kinds = ["hand", "object", "sign", "material", "object"] * 20
    (tmp_path / "attributes.jsonl").write_text("\n".join(json.dumps({"kind": kind}) for kind in kinds))
    rng = np.random.default_rng(1)
    for further, spent, shares in (
        (True, 0.0, FIRST_SHARES),
        (True, 0.9, LAST_SHARES),
        (False, 0.0, {"hand": 0.2, "sign": 0.2, "object": 0.4}),
    ):
        rows = Rows(tmp_path, len(kinds), further=further)(rng, 4000, spent=spent)
        for kind, share in shares.items():
            assert np.mean([kinds[row] == kind for row in rows]) == pytest.approx(share, abs=0.03), (spent, kind)


def test_time_steps_reach_everywhere_and_gather_in_the_middle() -> None:
    torch.manual_seed(1)
    steps = torch.stack([time_steps(16) for _ in range(200)])
    assert steps.min() < 10
    assert steps.max() == 999
    assert all(row.min() < 200 and row.max() > 800 for row in steps)  # every batch sees all noise levels
    middle = (steps >= 250) & (steps < 750)
    assert middle.float().mean() == pytest.approx((0.5 + 0.728) / 2, abs=0.01)  # ln 3 of a normal distribution: 0.728


def test_practice_leaves_nothing_out() -> None:
    drawn = [imagine(np.random.default_rng(seed), practice=True)[0].kind for seed in range(2000)]
    for kind, share in PRACTICE.items():
        assert drawn.count(kind) / len(drawn) == pytest.approx(share, abs=0.04)
