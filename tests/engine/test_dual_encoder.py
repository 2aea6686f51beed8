"""CLIP and SigLIP folders: vectors are transformers' own, and what is no such model is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, SiglipModel

from engine.dual_encoder import DualEncoder
from engine.model_files import ModelFiles
from schemas.catalogue import Entry
from schemas.errors import ModelError, ModelMissing, UnfitWeights, UnsafeWeights
from schemas.weights.fit import find_own_fault
from tests.checks.pictures import photo
from tests.dual_encoders import write_clip, write_siglip

CPU = torch.device("cpu")
PICTURES = [photo("coffee"), photo("rocket")[:200, :120], np.full((7, 40, 3), (200, 30, 30), np.uint8)]
WORDS = ["a red sword", "castle", "", "many " * 200]
Write = Callable[..., Path]


@pytest.mark.parametrize(("write", "model_class"), [(write_clip, CLIPModel), (write_siglip, SiglipModel)])
def test_vectors_are_those_of_transformers_own_pipeline(tmp_path: Path, write: Write, model_class: Any) -> None:
    folder = write(tmp_path / "model")
    encoder = DualEncoder(folder, device=CPU)
    model = model_class.from_pretrained(folder).eval()
    processor, tokenizer = AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        given = processor(images=[Image.fromarray(one) for one in PICTURES], return_tensors="pt")
        pictures = model.get_image_features(**given).pooler_output.numpy()
        for text in WORDS:
            if model_class is SiglipModel:
                given = tokenizer([text], padding="max_length", max_length=64, truncation=True, return_tensors="pt")
                assert given["input_ids"].shape == (1, 64)
            else:
                given = tokenizer([text], padding=True, truncation=True, max_length=77, return_tensors="pt")
            words = model.get_text_features(**given).pooler_output.numpy()[0]
            assert np.allclose(encoder.encode_words(text), words, rtol=1e-5, atol=1e-6)
    made = encoder.encode_pictures(PICTURES)
    assert made.dtype == np.float32 and np.allclose(made, pictures, rtol=1e-4, atol=1e-5)
    assert np.allclose(encoder.encode_pictures(PICTURES[1:2])[0], made[1], rtol=1e-4, atol=1e-5)
    assert not np.allclose(made[0], made[1], rtol=0.1)


def catalogue(folder: Path, **fields: Any) -> ModelFiles:
    entry = Entry(alias="studio/search", kind="dual_encoder", path=folder, **fields)
    return ModelFiles({"studio/search": entry}, folder=folder.parent)


@pytest.mark.parametrize("write", [write_clip, write_siglip])
def test_a_whole_folder_has_no_fault_and_a_digest(tmp_path: Path, write: Write) -> None:
    files = catalogue(write(tmp_path / "model"))
    assert find_own_fault(files, "studio/search") == ""
    encoder = DualEncoder.open(files, "studio/search", device="cpu")
    assert encoder.digest == files.digest("studio/search")
    write(tmp_path / "other", seed=1)
    assert catalogue(tmp_path / "other").digest("studio/search") != encoder.digest


def test_pickles_and_code_are_refused_and_the_words_name_the_file(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    DualEncoder.open(catalogue(folder), "studio/search", device="cpu")  # the safetensors beside it are read
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsafeWeights, match=r"search_model asks for studio/search: .*pytorch_model\.bin is not safe"):
        DualEncoder.open(catalogue(folder), "studio/search", device="cpu")
    fault = find_own_fault(catalogue(folder), "studio/search")
    assert fault == "the folder holds only pickles, which can run code (pytorch_model.bin); safetensors are read"
    with pytest.raises(UnfitWeights, match="it cannot be loaded"):
        DualEncoder(folder, device=CPU)
    coded = write_clip(tmp_path / "coded")
    (coded / "modeling_clip.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(UnsafeWeights, match=r"modeling_clip\.py is code, which is never run"):
        DualEncoder.open(catalogue(coded), "studio/search", device="cpu")


def test_code_that_a_configuration_names_is_not_run(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "model")
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        body = json.loads((folder / name).read_text())
        automatic = {"AutoModel": "evil.Model", "AutoImageProcessor": "evil.Eyes", "AutoTokenizer": ["evil.T", None]}
        (folder / name).write_text(json.dumps(body | {"auto_map": automatic}))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    assert DualEncoder(folder, device=CPU).encode_words("sword").shape == (32,)


def change(folder: Path, name: str, **fields: Any) -> None:
    body = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(body | fields))


def test_what_is_no_such_model_is_refused_with_the_reason(tmp_path: Path) -> None:
    def fault(number: int, break_it: Callable[[Path], Any]) -> str:
        folder = write_clip(tmp_path / str(number))
        break_it(folder)
        files = catalogue(folder)
        said = find_own_fault(files, "studio/search")
        with pytest.raises(ModelError):
            DualEncoder.open(files, "studio/search", device="cpu")
        return said

    def drop(folder: Path, part: str) -> None:
        tensors = load_file(folder / "model.safetensors")
        kept = {name: tensor for name, tensor in tensors.items() if part not in name}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    assert fault(1, lambda f: change(f, "config.json", model_type="blip")) == (
        "got a model of type 'blip'; expected clip or siglip"
    )
    assert "it has no text_model" in fault(2, lambda f: drop(f, "text_model."))
    wide = {"vision_config": {"hidden_size": 64}}
    assert "its vision_model is 32 wide; its configuration says 64" in fault(
        3, lambda f: change(f, "config.json", **wide)
    )
    assert fault(4, lambda f: (f / "preprocessor_config.json").unlink()).startswith("preprocessor_config.json is miss")
    assert fault(5, lambda f: (f / "tokenizer.json").unlink()).startswith("it has no tokenizer: expected tokenizer.js")
    assert fault(6, lambda f: (f / "config.json").unlink()).startswith("config.json is missing")
    assert fault(7, lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04K\x01.")) != ""

    whole = write_clip(tmp_path / "partly")
    drop(whole, "visual_projection")
    with pytest.raises(UnfitWeights, match=r"1 weights are missing: visual_projection\.weight"):
        DualEncoder(whole, device=CPU)
    with pytest.raises(
        ModelMissing, match="search_model asks for dual_encoder 'studio/other', which is not in the cat"
    ):
        DualEncoder.open(catalogue(whole), "studio/other", device="cpu")
