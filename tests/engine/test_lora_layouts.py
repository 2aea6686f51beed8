"""LoRAs of every layout with random factors: each proved on its layers, and taken off to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from engine.single_file import read_scheduler
from engine.tokens import tokenizer
from schemas.catalogue import Entry
from schemas.errors import UnfitWeights
from schemas.spec import LoraRef
from schemas.weights.components import load_shipped
from schemas.weights.examine import list_file_components
from schemas.weights.header import remember_header
from tests import shelf
from tests.engine.conftest import Studio

LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"  # 96 x 96
WIDE = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"  # 96 x 192
CONVOLUTION = "down_blocks.1.resnets.0.conv2"  # 96 x 96 x 3 x 3
NORM = "down_blocks.1.resnets.0.norm1"  # 48
K = {m: "lora_unet_" + m.replace(".", "_") for m in (LINEAR, WIDE, CONVOLUTION, NORM)}

Factors = dict[str, Any]
Layout = tuple[Factors, dict[str, Callable[[np.ndarray], np.ndarray]]]
"""A file's factors, and by the place of each changed weight what it becomes."""
Wear = Callable[..., LoraRef]

rng = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32) * 0.3


def pair(name: str, out: int, inner: int, r: int = 4, kernel: tuple[int, ...] = ()) -> Factors:
    return {
        f"{name}.lora_down.weight": draw(r, inner, *kernel),
        f"{name}.lora_up.weight": draw(out, r, *(1 for _ in kernel)),
    }


def product(f: Factors, name: str) -> np.ndarray:
    up, down = f[f"{name}.lora_up.weight"], f[f"{name}.lora_down.weight"]
    return up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1)


def plain() -> Layout:
    f = pair(K[WIDE], 96, 192) | {f"{K[WIDE]}.alpha": np.float32(2)}
    return f, {WIDE: lambda w: w + 0.5 * product(f, K[WIDE])}


def convolution() -> Layout:
    f = pair(K[CONVOLUTION], 96, 96, kernel=(3, 3))
    return f, {CONVOLUTION: lambda w: w + product(f, K[CONVOLUTION]).reshape(w.shape)}


def cp() -> Layout:
    n = K[CONVOLUTION]
    f = {
        f"{n}.lora_down.weight": draw(4, 96, 1, 1),
        f"{n}.lora_mid.weight": draw(4, 4, 3, 3),
        f"{n}.lora_up.weight": draw(96, 4, 1, 1),
    }
    down, mid, up = (f[f"{n}.lora_{part}.weight"] for part in ("down", "mid", "up"))
    inner = np.tensordot(mid, down[:, :, 0, 0], axes=(1, 0))  # [r, k, l, in]
    whole = np.tensordot(up[:, :, 0, 0], inner, axes=(1, 0)).transpose(0, 3, 1, 2)
    return f, {CONVOLUTION: lambda w: w + whole}


def loha() -> Layout:
    n = K[WIDE]
    f: Factors = {f"{n}.hada_w{i}_a": draw(96, 4) for i in (1, 2)} | {f"{n}.hada_w{i}_b": draw(4, 192) for i in (1, 2)}
    f[f"{n}.alpha"] = np.float32(1)
    halves = [f[f"{n}.hada_w{i}_a"] @ f[f"{n}.hada_w{i}_b"] for i in (1, 2)]
    return f, {WIDE: lambda w: w + halves[0] * halves[1] / 4}


def lokr() -> Layout:
    n = K[WIDE]
    f: Factors = {
        f"{n}.lokr_w1": draw(4, 4),
        f"{n}.lokr_w2_a": draw(24, 3),
        f"{n}.lokr_w2_b": draw(3, 48),
        f"{n}.alpha": np.float32(3),
    }
    whole = np.kron(f[f"{n}.lokr_w1"], f[f"{n}.lokr_w2_a"] @ f[f"{n}.lokr_w2_b"])
    return f, {WIDE: lambda w: w + whole}


def lokr_of_a_convolution() -> Layout:
    n = K[CONVOLUTION]
    f = {f"{n}.lokr_w1": draw(4, 4), f"{n}.lokr_w2": draw(24, 24, 3, 3)}
    a, b = f[f"{n}.lokr_w1"], f[f"{n}.lokr_w2"]
    whole = np.einsum("ab,cdkl->acbdkl", a, b).reshape(96, 96, 3, 3)
    return f, {CONVOLUTION: lambda w: w + whole}


def differences() -> Layout:
    f = {f"{K[LINEAR]}.diff": draw(96, 96), f"{K[NORM]}.w_norm": draw(48), f"{K[NORM]}.b_norm": draw(48)}
    f[f"{K[CONVOLUTION]}.diff_b"] = draw(96)
    return f, {
        LINEAR: lambda w: w + f[f"{K[LINEAR]}.diff"],
        NORM: lambda w: w + f[f"{K[NORM]}.w_norm"],
        f"{NORM}.bias": lambda b: b + f[f"{K[NORM]}.b_norm"],
        f"{CONVOLUTION}.bias": lambda b: b + f[f"{K[CONVOLUTION]}.diff_b"],
    }


def dora(axis: int) -> Layout:
    f = pair(K[WIDE], 96, 192)
    f[f"{K[WIDE]}.dora_scale"] = np.abs(draw(96, 1) if axis == 1 else draw(1, 192)) + 0.5

    def after(w: np.ndarray) -> np.ndarray:
        v = w + product(f, K[WIDE])
        return f[f"{K[WIDE]}.dora_scale"] * v / np.sqrt((v**2).sum(axis=axis, keepdims=True))

    return f, {WIDE: after}


def renamed(spell: Callable[[str], str]) -> Callable[[], Layout]:
    def make() -> Layout:
        f, after = plain()
        return {spell(key): value for key, value in f.items()}, after

    return make


def peft_names(key: str) -> str:
    for ours, theirs in ((K[WIDE], f"base_model.model.{WIDE}"), ("lora_down", "lora_A"), ("lora_up", "lora_B")):
        key = key.replace(ours, theirs)
    return key


LAYOUTS = {
    "kohya": plain, "convolution": convolution, "cp": cp, "loha": loha, "lokr": lokr,
    "lokr of a convolution": lokr_of_a_convolution, "differences": differences,
    "dora by output": lambda: dora(1), "dora by input": lambda: dora(0),
    "omi": renamed(lambda key: key.replace(K[WIDE], f"unet.{WIDE}")), "peft": renamed(peft_names),
    "original names": renamed(lambda key: key.replace(
        "down_blocks_1_attentions_0", "input_blocks_3_1")),
}  # fmt: skip


@pytest.fixture
def wear(engine: Engine, studio: Studio, tmp_path: Path) -> Iterator[Wear]:
    """Writes factors as a file, and gives its reference in the engine's catalogue."""
    entries = engine.models.catalogue.entries

    def write(factors: Factors, weight: float = 1.0, metadata: dict[str, str] | None = None) -> LoraRef:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        save_file(
            {
                k: torch.from_numpy(np.ascontiguousarray(v)) if np.ndim(v) else torch.tensor(v)
                for k, v in factors.items()
            },
            path,
            metadata,
        )
        entries["odd"] = Entry(alias="odd", kind="lora", path=path)
        return LoraRef(alias="odd", digest=engine.models.catalogue.digest("odd"), weight=weight)

    yield write
    entries.pop("odd", None)


def whole(module: Any) -> torch.Tensor:
    """A module's weight with what peft adds to it."""
    if not hasattr(module, "base_layer"):
        return module.weight.detach().clone()
    added = sum(module.get_delta_weight(name) for name in module.active_adapters if name in module.lora_A)
    return (module.base_layer.weight + added).detach()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_changes_its_layers_as_its_paper_says(engine: Engine, studio: Studio, wear: Wear, name: str) -> None:
    models = engine.models
    models.pipeline(studio.spec(0), asker="test")
    unet = models._base.unet
    before = {n: p.detach().clone() for n, p in unet.named_parameters()}
    factors, expected = LAYOUTS[name]()
    loads = models.loads
    for weight in (1.0, 0.6):
        models.pipeline(studio.spec(0, loras=(wear(factors, weight),)), asker="test")
        for place, after in expected.items():
            module = unet.get_submodule(place.removesuffix(".bias"))
            bias = place.endswith(".bias")
            came = (getattr(module, "base_layer", module).bias.detach() if bias else whole(module)).numpy()
            w = before[place if bias else f"{place}.weight"].numpy()
            np.testing.assert_allclose(came, w + weight * (after(w) - w), rtol=2e-4, atol=2e-5)
    models.pipeline(studio.spec(0), asker="test")
    assert models.loads == loads
    after_all = dict(unet.named_parameters())
    assert after_all.keys() == before.keys()
    assert all(torch.equal(value, before[n]) for n, value in after_all.items())


FOREIGN = "lora_unet_down_blocks_9_attentions_0_proj_in"
REFUSED = {
    "modules that this UNet lacks": (lambda: plain()[0] | pair(FOREIGN, 96, 96), "2 of 5 keys would not apply"),
    "of another shape": (lambda: pair(K[WIDE], 96, 768), "of another shape"),
    "half a pair": (lambda: {f"{K[WIDE]}.lora_down.weight": draw(4, 192)}, "'up' is missing"),
    "oft": (lambda: {f"{K[LINEAR]}.oft_blocks": draw(4, 24, 24)}, "it is OFT"),
    "ia3": (lambda: {f"{K[LINEAR]}.on_input": draw(96)}, "it is IA3"),
    "glora": (lambda: {f"{K[LINEAR]}.{n}.weight": draw(4, 4) for n in ("a1", "a2", "b1", "b2")}, "it is GLoRA"),
    "a LoRA of Flux": (lambda: pair("lora_unet_double_blocks_0_img_attn_qkv", 96, 96), "2 of 2 keys would not apply"),
    "something else": (lambda: {"anything": draw(3)}, "1 of 1 keys would not apply: anything"),
    "nothing": (lambda: {}, "it holds no factors"),
    "a magnitude of another length": (
        lambda: pair(K[WIDE], 96, 192) | {f"{K[WIDE]}.dora_scale": draw(7, 1)}, "magnitude [7, 1]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_apply_is_counted_and_the_checkpoint_stays(
    engine: Engine, studio: Studio, wear: Wear, name: str
) -> None:
    models = engine.models
    worn = wear(plain()[0])
    models.pipeline(studio.spec(0), asker="test")
    base, loads = models._base, models.loads
    before = {n: p.detach().clone() for n, p in base.unet.named_parameters()}
    factors, said = REFUSED[name]
    for _ in range(2):  # the second try says the same
        row = studio.render(engine, [studio.spec(0, loras=(wear(factors()),))])[0]
        assert isinstance(row.error, UnfitWeights) and said in str(row.error), row.error
    assert models._base is base and models.loads == loads
    assert all(torch.equal(value, before[n]) for n, value in base.unet.named_parameters())
    assert worn.alias == "odd"


def test_a_lora_that_breaks_on_the_way_leaves_nothing(
    engine: Engine, studio: Studio, wear: Wear, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = engine.models
    models.pipeline(studio.spec(0), asker="test")
    base, loads = models._base, models.loads
    before = {n: p.detach().clone() for n, p in base.unet.named_parameters()}
    factors = plain()[0] | {f"{K[LINEAR]}.diff": draw(96, 96)}
    with monkeypatch.context() as patch:
        patch.setattr("engine.lora.list_changed_weights", lambda *_: (_ for _ in ()).throw(UnfitWeights("broken")))
        row = studio.render(engine, [studio.spec(0, loras=(wear(factors),))])[0]
        assert isinstance(row.error, UnfitWeights)
    after = dict(base.unet.named_parameters())
    assert models._base is base and models.loads == loads and after.keys() == before.keys()
    assert all(torch.equal(value, before[n]) for n, value in after.items())


def test_the_vocabulary_that_ships_is_clips() -> None:
    first = tokenizer(load_shipped("sdxl")["tokenizer"])
    assert first("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    second = tokenizer(load_shipped("sdxl")["tokenizer_2"])
    assert len(first) == 49408 and (first.pad_token_id, second.pad_token_id) == (49407, 0)


def test_a_marked_file_is_read_as_v_prediction(tmp_path: Path) -> None:
    whole = shelf.checkpoint("sdxl") | {"v_pred": (), "ztsnr": ()}
    header = remember_header(shelf.write(tmp_path / "v.safetensors", whole))
    entry = Entry(alias="v", kind="checkpoint", path=tmp_path / "v.safetensors")
    scheduler = read_scheduler(
        list_file_components(header, ModelFiles({"v": entry}, folder=tmp_path), entry)["scheduler"]
    )
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.rescale_betas_zero_snr and scheduler.config.timestep_spacing == "trailing"
    plain = shelf.write(tmp_path / "e.safetensors", shelf.checkpoint("sdxl"))
    scheduler = read_scheduler(
        list_file_components(remember_header(plain), ModelFiles({"v": entry}, folder=tmp_path), entry)["scheduler"]
    )
    assert scheduler.config.prediction_type == "epsilon" and not scheduler.config.rescale_betas_zero_snr


def test_the_config_of_a_single_file_is_in_its_digest(studio: Studio, tmp_path: Path) -> None:
    import shutil

    source = studio.catalogue.where("studio-tiny", asker="test")
    for name in ("one", "two"):
        for path in source.rglob("*.json"):
            (tmp_path / name / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / name / path.relative_to(source))
    scheduler = tmp_path / "two" / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "epsilon"}))
    shelf.write(tmp_path / "it.safetensors", {"a": (2,)})
    entry = Entry(alias="it", kind="checkpoint", path=tmp_path / "it.safetensors")
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"config": tmp_path / "one"},
        {"config": tmp_path / "two"},
        {"prediction_type": "epsilon"},
        {"zero_snr": True},
    )
    files = [ModelFiles({"it": entry.model_copy(update=change)}, folder=tmp_path) for change in changes]
    assert len({each.digest("it") for each in files}) == len(changes)
