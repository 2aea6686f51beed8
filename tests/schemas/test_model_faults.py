"""Faults planted in a catalogue of sound entries: `models check` says each, and nothing of the sound ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.model_files import ModelFiles
from schemas.catalogue import Entry
from schemas.spec import Tier
from schemas.weights.components import load_shipped
from tasks.models.checking import check_models
from tests import shelf

Shapes = dict[str, Any]
World = tuple[Path, dict[str, Entry]]

XL = shelf.modules("sdxl")
FEW = dict(list(XL.items())[:6])
LORA = shelf.lora(FEW, shelf.kohya)
FOREIGN = {f"lora_unet_down_blocks_9_attentions_{n}_proj_in.lora_down.weight": (8, 640) for n in range(3)}
PAIRED = {
    "lora_unet_down_blocks_9_proj_in.lora_down.weight": (8, 640),
    "lora_unet_down_blocks_9_proj_in.lora_up.weight": (640, 8),
}
KEY = next(iter(FEW))
NAME = shelf.kohya(*KEY)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """(folder, entries): a sound one of every kind."""
    folder = tmp_path_factory.mktemp("faults")
    whole = shelf.checkpoint("sdxl")
    files: Shapes = {
        "base": whole, "old": shelf.checkpoint("sd15"), "v": {**whole, "v_pred": ()}, "lora": LORA,
        "net": shelf.controlnet("sdxl"), "union": shelf.controlnet("sdxl", union=8), "t2i": shelf.t2i_adapter(),
        "control-lora": shelf.control_lora(), "ip": shelf.ip_adapter(), "bigg": shelf.vision(1664, 1280),
        "vith": shelf.vision(), "vae": shelf.vae("sdxl", ""), "word": {"clip_l": (3, 768), "clip_g": (3, 1280)},
        "unet": shelf.unet("sdxl", ""), "esrgan": shelf.ESRGAN,
    }  # fmt: skip
    for name, shapes in files.items():
        shelf.write(folder / f"{name}.safetensors", shapes)
    for place, config in {
        "config/unet/config.json": load_shipped("sdxl")["unet"],
        "config/scheduler/scheduler_config.json": {**load_shipped("sdxl")["scheduler"], "prediction_type": "epsilon"},
    }.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(json.dumps(config))

    def entry(alias: str, kind: Any, **fields: Any) -> Entry:
        return Entry(alias=alias, kind=kind, **{"path": Path(f"{alias}.safetensors")} | fields)

    entries = [
        entry("base", "checkpoint", size=1024), entry("old", "checkpoint", architecture="sd15"),
        entry("v", "checkpoint"),
        entry("lora", "lora"), entry("net", "controlnet", controls=("canny",)),
        entry("union", "controlnet", modes={"canny": 3}), entry("t2i", "t2i_adapter", controls=("sketch",)),
        entry("control-lora", "controlnet", controls=("depth",)), entry("ip", "ip_adapter", image_encoder="bigg"),
        entry("bigg", "image_encoder"), entry("vith", "image_encoder"), entry("vae", "vae", architecture="sdxl"),
        entry("word", "embedding"), entry("unet", "checkpoint", base="base"), entry("esrgan", "upscaler"),
    ]  # fmt: skip
    return folder, {each.alias: each for each in entries}


def test_the_sound_ones_raise_nothing(world: World) -> None:
    folder, entries = world
    checked = list(check_models(ModelFiles(entries, folder=folder), {}))
    assert len(checked) == len(entries)
    assert not [(each.alias, each.problems) for each in checked if each.problems]


def without(shapes: Shapes, part: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if part not in name}


FIELDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a checkpoint that is not there": ("lora", {"checkpoints": ("nobody",)}, "names 'nobody', which is not in"),
    "a checkpoint that is a LoRA": ("net", {"checkpoints": ("lora",)}, "which is a lora; expected a checkpoint"),
    "a checkpoint of another architecture": ("lora", {"checkpoints": ("old",)}, "names 'old', which is SD 1.5"),
    "a base that is not there": ("unet", {"base": "nobody"}, "`base` names 'nobody'"),
    "a base that is itself": ("unet", {"base": "unet"}, "leads back to unet"),
    "a base of another architecture": ("unet", {"base": "old"}, "`base` names 'old', which is SD 1.5"),
    "no base": ("unet", {"base": None}, "it holds no text encoders and no VAE; give `base:`"),
    "a config that is no folder": ("base", {"config": Path("nowhere")}, "`config` nowhere is not a folder"),
    "a config of another prediction": ("v", {"config": Path("config")}, "its `config` epsilon"),
    "another prediction type": (
        "v", {"prediction_type": "epsilon"}, "the file says v_prediction, the catalogue epsilon"),
    "no image encoder": ("ip", {"image_encoder": None}, "it has no `image_encoder`"),
    "an image encoder that is not there": ("ip", {"image_encoder": "eye"}, "names 'eye', which is not in"),
    "an image encoder of another kind": ("ip", {"image_encoder": "vae"}, "which is a vae"),
    "an image encoder of another width": ("ip", {"image_encoder": "vith"}, "makes them 1024 wide"),
    "a size that no latent has": ("base", {"size": 1001}, "got size 1001"),
    "a size of nothing": ("base", {"size": 8}, "got size 8"),
    "no modes": ("union", {"modes": {}}, "it is a union of 8 conditions; give `modes`"),
    "a mode too far": ("union", {"modes": {"canny": 8}}, "got mode 8 for canny; this union has 8"),
    "a mode below 0": ("union", {"modes": {"canny": -1}}, "got the mode -1"),
    "modes of no union": ("net", {"modes": {"canny": 1}}, "that is no union"),
    "a trigger of a LoRA": ("lora", {"trigger": "hero"}, "got `trigger` for a lora"),
    "controls of a LoRA": ("lora", {"controls": ("canny",)}, "got `controls` for a lora"),
    "a prediction type of a VAE": ("vae", {"prediction_type": "epsilon"}, "got `prediction_type` for a vae"),
    "tiers with a LoRA that is not there": (
        "base", {"tiers": {Tier.DRAFT: {"loras": {"fast": 1.0}}}}, "tiers.draft.loras` names 'fast'"),
    "tiers with a scheduler that is none": (
        "base", {"tiers": {Tier.DRAFT: {"scheduler": "Eular"}}}, "got the scheduler 'Eular'"),
    "the wrong kind": ("lora", {"kind": "vae"}, "it is a lora; the catalogue says vae"),
    "the wrong architecture": ("net", {"architecture": "sd15"}, "made for SDXL; the catalogue says SD 1.5"),
    "a file that is not there": ("lora", {"path": Path("lost.safetensors")}, "nothing is at"),
}  # fmt: skip
FILES = {
    "a pickle": ("lora", b"\x80\x02}q", "`dailies models convert` makes safetensors of it", ".ckpt"),
    "a truncated file": ("lora", None, "the file is truncated", ".safetensors"),
    "no safetensors at all": ("lora", b"hello there, this is text", "it is not safetensors", ".safetensors"),
}
SHAPES: dict[str, tuple[str, Any, str]] = {
    "a key dropped": ("base", lambda s: without(s, "out.2.bias"), "1 keys are missing"),
    "a key too many": (
        "base", lambda s: s | {"model.diffusion_model.input_blocks.99.weight": (4,)}, "1 keys would not apply"),
    "a key of another shape": (
        "base", lambda s: s | {"model.diffusion_model.time_embed.0.weight": (1280, 321)}, "1 keys have another shape"),
    "no VAE": ("base", lambda s: without(s, "first_stage"), "it holds no VAE; give `base:`"),
    "one text encoder": ("base", lambda s: without(s, "embedders.0."), "it holds no text_encoder"),
    "scaled fp8": ("base", lambda s: s | {"scaled_fp8": (2,)}, "scaled fp8"),
    "instruct-pix2pix": (
        "base", lambda s: s | {"model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)}, "8 channels"),
    "EDM noise": ("base", lambda s: s | {"edm_mean": (4,)}, "trained with EDM noise"),
    "foreign modules": ("lora", lambda s: s | PAIRED, "2 of 20 keys would not apply"),
    "half a pair": ("lora", lambda s: without(s, f"{NAME}.lora_up"), "'up' is missing"),
    "ranks that do not meet": ("lora", lambda s: s | {f"{NAME}.lora_up.weight": (640, 4)}, "ranks 8 and 4 do not meet"),
    "a LoRA of Flux": ("lora", lambda s: shelf.FLUX_LORA, "it is made for Flux"),
    "a LoRA of SD 1.5": ("lora", lambda s: shelf.lora(shelf.modules("sd15"), shelf.kohya), "made for SD 1.5"),
    "a whole checkpoint for a LoRA": (
        "lora", lambda s: shelf.unet("sdxl", ""), "it is a unet; the catalogue says lora"),
    "OFT": ("lora", lambda s: {f"{NAME}.oft_blocks": (4, 4, 4)}, "it is OFT"),
    "nothing": ("lora", lambda s: {}, "the file holds no tensors"),
    "a ControlNet without its middle": ("net", lambda s: without(s, "controlnet_mid_block"), "2 keys are missing"),
    "a control-LoRA without its hint": ("control-lora", lambda s: without(s, "input_hint_block"), "keys are missing"),
    "a control-LoRA of another width": (
        "control-lora", lambda s: s | {"middle_block.0.in_layers.2.up": (1279, 128, 1, 1)}, "have another shape"),
    "a ControlLLLite": ("net", lambda s: shelf.LLLITE, "ControlLLLite"),
    "a T2I-Adapter without a block": ("t2i", lambda s: without(s, "body.7.block1"), "2 keys are missing"),
    "a T2I-Adapter of another width": (
        "t2i", lambda s: s | {"body.2.in_conv.weight": (64, 320, 1, 1)}, "another shape"),
    "an IP-Adapter of fewer layers": ("ip", lambda s: without(s, "ip_adapter.139."), "for 69 cross-attentions"),
    "an IP-Adapter FaceID": ("ip", lambda s: s | {"ip_adapter.1.to_q_lora.down.weight": (4, 4)}, "FaceID"),
    "an embedding of another width": ("word", lambda s: {"clip_l": (3, 768), "clip_g": (3, 1024)}, "1024 wide"),
    "a VAE of Flux": ("vae", lambda s: s | {"decoder.conv_in.weight": (512, 16, 3, 3)}, "16 channels"),
    "a VAE without quant_conv": ("vae", lambda s: without(s, "quant_conv"), "4 keys are missing"),
    "an image encoder without projection": ("vith", lambda s: without(s, "visual_projection"), "no CLIP image encoder"),
}  # fmt: skip


def problems(folder: Path, entries: dict[str, Entry], alias: str) -> str:
    (checked,) = check_models(ModelFiles(entries, folder=folder), {}, alias=alias)
    return " | ".join(checked.problems)


def test_more_than_forty_are_planted() -> None:
    assert len(FIELDS) + len(FILES) + len(SHAPES) + 1 >= 55


@pytest.mark.parametrize("name", FIELDS)
def test_what_an_entry_says_wrongly_is_found(world: World, name: str) -> None:
    folder, entries = world
    alias, change, said = FIELDS[name]
    changed = Entry.model_validate(entries[alias].model_dump() | change)
    assert said in problems(folder, entries | {alias: changed}, alias)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_wrong_in_a_file_is_found(world: World, tmp_path: Path, name: str) -> None:
    folder, entries = world
    alias, change, said = SHAPES[name]
    from schemas.weights.header import remember_header

    shapes = remember_header(folder / f"{alias}.safetensors").shapes
    path = shelf.write(tmp_path / "planted.safetensors", change(shapes))
    assert said in problems(folder, entries | {alias: entries[alias].model_copy(update={"path": path})}, alias)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_safetensors_is_found(world: World, tmp_path: Path, name: str) -> None:
    folder, entries = world
    alias, data, said, ending = FILES[name]
    path = tmp_path / f"planted{ending}"
    path.write_bytes((folder / "lora.safetensors").read_bytes()[:-100] if data is None else data)
    assert said in problems(folder, entries | {alias: entries[alias].model_copy(update={"path": path})}, alias)


def test_two_words_of_one_spelling_are_found(world: World) -> None:
    folder, entries = world
    twin = entries["word"].model_copy(update={"alias": "word/two", "trigger": "Word"})
    assert "is that of word too" in problems(folder, entries | {"word/two": twin}, "word/two")


def test_a_manifest_is_told_the_same(world: World) -> None:
    from schemas.weights.fit import find_own_fault

    folder, entries = world
    changed = entries | {"lora": entries["lora"].model_copy(update={"checkpoints": ("nobody",)})}
    catalogue = ModelFiles(changed, folder=folder)
    assert find_own_fault(catalogue, "lora") == problems(folder, changed, "lora")
