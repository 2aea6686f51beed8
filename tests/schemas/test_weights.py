"""Headers read and refused; two hundred files of every layout classified; every key and shape compared."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import Catalogue, Entry
from schemas.errors import UnfitWeights
from schemas.weights.components import list_component_shapes, load_shipped
from schemas.weights.examine import examine_weights
from schemas.weights.files import count_copies, list_weight_files, variant
from schemas.weights.fit import find_lora_fault, find_own_fault
from schemas.weights.header import remember_header
from schemas.weights.lora import fit_lora
from tests import shelf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def made(folder: Path) -> list[shelf.Made]:
    return shelf.shelf(folder, copies=1)


def body(header: object) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
MALFORMED = {
    "nothing": b"",
    "too short": b"\x01\x02",
    "longer than the file": struct.pack("<Q", 1 << 60) + b"{}",
    "not JSON": body(b"{not json"),
    "not UTF-8": body(b'{"\xff\xfe": 1}'),
    "a list": body([1, 2]),
    "a pickle": b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01u." * 4,
    "an unknown type": body({"a": TENSOR | {"dtype": "F99"}}) + b"12345678",
    "a negative side": body({"a": TENSOR | {"shape": [-2]}}) + b"12345678",
    "a side that is true": body({"a": TENSOR | {"shape": [True, 2]}}) + b"12345678",
    "another size": body({"a": TENSOR | {"shape": [3]}}) + b"12345678",
    "truncated": body({"a": TENSOR}) + b"1234",
    "too long": body({"a": TENSOR}) + b"123456789",
    "a gap": body({"a": TENSOR | {"data_offsets": [4, 12]}}) + b"123456789012",
    "an overlap": body({"a": TENSOR, "b": TENSOR}) + b"12345678",
    "a key twice": body(b'{"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}, "a": {}}') + b"12345678",
    "metadata of numbers": body({"__metadata__": {"a": 1}, "a": TENSOR}) + b"12345678",
    "no offsets": body({"a": {"dtype": "F32", "shape": [2]}}) + b"12345678",
    "deep": body(b"[" * 200_000),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_header_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(MALFORMED[name])
    with pytest.raises(UnfitWeights, match=r"bad\.safetensors"):
        remember_header(path)


def test_a_sound_header_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    path = tmp_path / "good.safetensors"
    save_file({"b": np.zeros((2, 3), np.float16), "a": np.ones((), np.float32)}, path, {"who": "us"})
    header = remember_header(path)
    assert header.shapes == {"a": (), "b": (2, 3)}
    assert header.metadata == {"who": "us"} and header.size == path.stat().st_size


def test_every_layout_is_classified_and_none_is_loaded(folder: Path, made: list[shelf.Made]) -> None:
    assert len(made) >= 45
    for file in made:
        identity = examine_weights(folder / file.place)
        layout = identity.layout if file.layout is not None else None
        came = (identity.kind, identity.architecture, layout, bool(identity.refusal))
        assert came == (file.kind, file.architecture, file.layout, file.refused), file.place
        for name in ("prediction_type", "zero_snr", "in_channels", "rank", "lacks", "trigger_words", "dtype"):
            if name in file.others:
                assert getattr(identity, name) == file.others[name], (file.place, name)


@pytest.fixture(scope="module")
def catalogue(folder: Path, made: list[shelf.Made]) -> Catalogue:
    """The first copy of each file as an entry, by its stem; and what must be said of it."""
    entries = {}
    for file in made:
        if Path(file.place).stem.rsplit("_", 1)[-1].isdigit():
            continue
        alias = file.place.removesuffix(".safetensors")
        kind = {"unet": "checkpoint", "unknown": "lora", "taesd": "vae", "text_encoder": "embedding"}.get(
            file.kind, file.kind
        )
        architecture = file.architecture if file.architecture in ("sd15", "sdxl-refiner") else "sdxl"
        entries[alias] = Entry(alias=alias, kind=kind, path=Path(file.place), architecture=architecture)
    entries["controlnet/union"] = entries["controlnet/union"].model_copy(update={"modes": {"canny": 3}})
    entries["ipadapter/plain"] = entries["ipadapter/plain"].model_copy(update={"image_encoder": "clip_vision/bigg"})
    for alias in ("checkpoints/no_vae", "diffusion_models/unet_only", "diffusion_models/unet_diffusers"):
        entries[alias] = entries[alias].model_copy(update={"base": "checkpoints/juggernaut"})
    return Catalogue(entries, folder=folder)


NEED_MORE = {
    "checkpoints/ssd": "SSD-1B; give `config:`",
    "clip/clip_l": "it is a text_encoder; the catalogue says embedding",
}


def test_sound_files_raise_no_fault_and_the_rest_is_named(catalogue: Catalogue, made: list[shelf.Made]) -> None:
    refused = {file.place.removesuffix(".safetensors") for file in made if file.refused}
    for alias, entry in catalogue.entries.items():
        fault = find_own_fault(catalogue, alias)
        if alias in NEED_MORE:
            assert NEED_MORE[alias] in fault
        else:
            assert bool(fault) == (alias in refused), (alias, fault)
        if entry.kind in ("lora", "embedding", "controlnet", "ip_adapter", "t2i_adapter") and not fault:
            base = "checkpoints/v1" if entry.architecture == "sd15" else "checkpoints/juggernaut"
            assert find_lora_fault(catalogue, alias, base) == "", alias


def test_what_was_made_for_another_architecture_is_one_sentence(catalogue: Catalogue) -> None:
    worn = find_lora_fault(catalogue, "loras/v1", "checkpoints/juggernaut")
    assert worn == "made for SD 1.5; this checkpoint is SDXL"
    assert find_lora_fault(catalogue, "loras/kohya", "checkpoints/v1") == "made for SDXL; this checkpoint is SD 1.5"
    assert "Flux" in find_lora_fault(catalogue, "loras/flux", "checkpoints/juggernaut")
    assert "768 wide" in find_lora_fault(catalogue, "controlnet/v1", "checkpoints/juggernaut")
    assert "text encoders take 768" in find_lora_fault(catalogue, "embeddings/xl", "checkpoints/v1")


def lora_names() -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
    xl, text = shelf.modules("sdxl"), shelf.modules("sdxl", text=True)
    letters: dict[str, Any] = {"down": ".lora_A.weight", "up": ".lora_B.weight", "alpha": False}
    yield "kohya", shelf.lora(xl, shelf.kohya)
    yield "kohya with text encoders", shelf.lora(text, shelf.kohya)
    yield "kohya with convolutions", shelf.lora(shelf.modules("sdxl", convolutions=True), shelf.kohya)
    yield "diffusers", shelf.lora(text, shelf.dotted, **letters)
    yield "peft", shelf.lora(xl, shelf.peft, **letters)
    yield "omi", shelf.lora(text, shelf.omi)
    yield "processors", shelf.processors(xl)
    yield "dora by output", shelf.lora(xl, shelf.kohya, magnitude="out")
    yield "dora by input", shelf.lora(xl, shelf.kohya, magnitude="in")
    for kind in ("loha", "lokr", "cp", "diff"):
        yield kind, shelf.factored(shelf.modules("sdxl", convolutions=True), kind)


@pytest.mark.parametrize("name,shapes", list(lora_names()), ids=[name for name, _ in lora_names()])
def test_every_key_of_a_lora_is_accounted_for(tmp_path: Path, name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Sound: all apply. With 50 foreign modules and three keys of another shape: counted, three named."""
    components = load_shipped("sdxl")
    header = remember_header(shelf.write(tmp_path / "lora.safetensors", shapes))
    fit = fit_lora(header, components)
    assert fit.fault() == "" and fit.applied == len(shapes)

    foreign = {f"lora_unet_down_blocks_7_attentions_{n}_proj_in.lora_down.weight": (8, 640) for n in range(50)}
    fit = fit_lora(remember_header(shelf.write(tmp_path / "foreign.safetensors", {**shapes, **foreign})), components)
    assert fit.applied + len(fit.unknown) == len(shapes) + 50
    assert f"50 of {len(shapes) + 50} keys would not apply" in fit.fault() and "and 47 more" in fit.fault()


def test_original_names_of_modules_are_known_too(tmp_path: Path) -> None:
    """LoRAs of the original code's names: `input_blocks`, with and without `diffusion_model`."""
    for prefix in ("lora_unet_", "diffusion_model.", "model.diffusion_model."):
        at = "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
        at = at.replace(".", "_") if prefix == "lora_unet_" else at
        shapes = {f"{prefix}{at}.lora_down.weight": (8, 640), f"{prefix}{at}.lora_up.weight": (640, 8)}
        fit = fit_lora(
            remember_header(shelf.write(tmp_path / f"{len(prefix)}.safetensors", shapes)), load_shipped("sdxl")
        )
        assert fit.fault() == ""
        assert fit.patches[0].module == "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


PLANTED = {
    "a key dropped": lambda shapes: {k: v for k, v in shapes.items() if not k.endswith("out.2.bias")},
    "a key too many": lambda shapes: {**shapes, "model.diffusion_model.input_blocks.99.0.weight": (4,)},
    "a key of another shape": lambda shapes: {**shapes, "model.diffusion_model.time_embed.0.weight": (1280, 321)},
    "a foreign text encoder": lambda shapes: {
        k: (*v[:-1], 1024) if k.startswith("conditioner.embedders.1.model.transformer") else v
        for k, v in shapes.items()
    },
    "without a VAE": lambda shapes: {k: v for k, v in shapes.items() if not k.startswith("first_stage")},
    "without text encoders": lambda shapes: {k: v for k, v in shapes.items() if not k.startswith("conditioner")},
    "without one of the text encoders": lambda shapes: {
        k: v for k, v in shapes.items() if not k.startswith("conditioner.embedders.0")
    },
    "scaled fp8": lambda shapes: {**shapes, "model.diffusion_model.scaled_fp8": (2,)},
    "an instruct-pix2pix": lambda shapes: {**shapes, "model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)},
    "edm": lambda shapes: {**shapes, "edm_mean": (4,)},
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_of_a_checkpoint_is_found(tmp_path: Path, name: str) -> None:
    path = shelf.write(tmp_path / "planted.safetensors", PLANTED[name](shelf.checkpoint("sdxl")))
    assert find_own_fault(Catalogue({"it": Entry(alias="it", kind="checkpoint", path=path)}, folder=tmp_path), "it")


def test_markers_and_config_that_contradict_are_refused(tmp_path: Path) -> None:
    path = shelf.write(tmp_path / "v.safetensors", {**shelf.checkpoint("sdxl"), "v_pred": ()})
    for name, config in load_shipped("sdxl").items():
        place = {"pipeline": "model_index.json", "scheduler": "scheduler/scheduler_config.json"}.get(
            name, f"{name}/config.json"
        )
        (tmp_path / "config" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "config" / place).write_text(json.dumps(config))
    entry = Entry(alias="it", kind="checkpoint", path=path)
    for change, fault in (
        ({}, ""),
        ({"config": tmp_path / "config"}, "the file says v_prediction, its `config` epsilon"),
        ({"prediction_type": "epsilon"}, "the file says v_prediction, the catalogue epsilon"),
    ):
        catalogue = Catalogue({"it": entry.model_copy(update=change)}, folder=tmp_path)
        assert find_own_fault(catalogue, "it").startswith(fault) and bool(find_own_fault(catalogue, "it")) == bool(
            fault
        )


def test_one_copy_of_a_folder_is_read(tmp_path: Path) -> None:
    names = list_component_shapes(load_shipped("sdxl"))["vae"]
    for name in ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"):
        shelf.write(tmp_path / "both" / name, names)
    assert variant(tmp_path / "both") is None
    assert [path.name for path in list_weight_files(tmp_path / "both")] == ["diffusion_pytorch_model.safetensors"]
    assert count_copies(tmp_path / "both") == ["diffusion_pytorch_model.fp16.safetensors"]

    shelf.write(tmp_path / "half" / "model.fp16.safetensors", names)
    assert variant(tmp_path / "half") == "fp16"

    parts = list(names.items())
    for n in (1, 2):
        part = dict(parts[(n - 1) * 100 : n * 100 if n < 2 else None])
        shelf.write(tmp_path / "shards" / f"diffusion_pytorch_model.fp16-0000{n}-of-00002.safetensors", part)
    assert variant(tmp_path / "shards") == "fp16" and len(list_weight_files(tmp_path / "shards")) == 2
    (tmp_path / "shards" / "diffusion_pytorch_model.fp16-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnfitWeights, match="one of more"):
        list_weight_files(tmp_path / "shards")
