"""Aliases, digests and refusals, without torch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.catalogue import MOST_BYTES
from schemas.errors import ModelChanged, ModelMissing, SettingsError, UnsafeWeights
from schemas.settings import ROOT
from schemas.spec import ImageSpec, LoraRef, ModelRef, Tier
from tests.engine.conftest import Studio


def write(folder: Path, text: str) -> ModelFiles:
    (folder / "catalogue.yaml").write_text(text)
    return ModelFiles.read(folder / "catalogue.yaml", digests=folder / "digests.json")


def checkpoint(folder: Path) -> None:
    """Files by the names of a diffusers folder; their contents are not read here."""
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": "X", "unet": ["diffusers", "U"], "f": [None, None]})
    )
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("not part of it")


def test_the_digest_is_what_the_docstring_says(tmp_path: Path) -> None:
    checkpoint(tmp_path / "base")
    catalogue = write(tmp_path, "base: {kind: checkpoint, path: base}")
    names = ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"]
    lines = [f"{hashlib.sha256((tmp_path / 'base' / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert catalogue.digest("base") == expected
    (tmp_path / "base" / "controlnet").mkdir()
    (tmp_path / "base" / "controlnet" / "w.safetensors").write_bytes(b"a ControlNet kept inside is another model")
    assert catalogue.digest("base") == expected


def test_a_change_of_one_byte_is_seen_and_digests_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "base")
    before = write(tmp_path, "base: {kind: checkpoint, path: base}").digest("base")
    again = write(tmp_path, "base: {kind: checkpoint, path: base}")
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("a file was read although it did not change"))
        assert again.digest("base") == before
    weights = tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(b"weightz")
    assert again.digest("base") != before


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(b"x")
    catalogue = write(tmp_path, "one: {kind: checkpoint, path: one.safetensors}")
    line = f"{hashlib.sha256(b'x').hexdigest()}  one.safetensors\n"
    assert catalogue.digest("one") == hashlib.sha256(line.encode()).hexdigest()


@pytest.mark.parametrize(("name", "said"), [("model.ckpt", "is not safetensors"), ("model.bin", "is not safetensors")])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_bytes(b"x")
    (tmp_path / "folder" / "config.json").write_text("{}")
    catalogue = write(tmp_path, f"one: {{kind: lora, path: {name}}}\ntwo: {{kind: controlnet, path: folder}}")
    for alias in ("one", "two"):
        with pytest.raises(UnsafeWeights, match=rf"hero asks for {alias}: .*{name} {said}"):
            catalogue.files(alias, asker="hero")
    (tmp_path / "folder" / "model.safetensors").write_bytes(b"x")
    assert [path.name for path in catalogue.files("two", asker="hero")] == ["config.json", "model.safetensors"]


def test_code_beside_weights_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "base")
    (tmp_path / "base" / "unet" / "pipeline.py").write_text("print('hello')")
    with pytest.raises(UnsafeWeights, match=r"pipeline\.py is code"):
        write(tmp_path, "base: {kind: checkpoint, path: base}").digest("base")


def test_what_is_missing_names_the_alias_the_path_and_the_asker(tmp_path: Path) -> None:
    checkpoint(tmp_path / "base")
    catalogue = write(
        tmp_path,
        "base: {kind: checkpoint, path: base}\ngone: {kind: lora, path: no/where}\n"
        "hub: {kind: vae, hub: nobody/nothing-here}\n",
    )
    digest = "0" * 64
    spec = ImageSpec(
        project="game", asset="hero", variant="1", prompt="x", seed=1, width=64, height=64, num_inference_steps=1,
        guidance_scale=1.0, model=ModelRef(alias="base", digest=digest), loras=(LoraRef(alias="gone", digest=digest),),
        vae=ModelRef(alias="hub", digest=digest),
    )  # fmt: skip
    assert catalogue.missing([spec, spec, "bace"]) == [
        "game/hero asks for hub: nobody/nothing-here is not in the local hub cache",
        f"game/hero asks for gone: nothing is at {tmp_path / 'no' / 'where'}",
        "check asks for model 'bace', which is not in the catalogue; there is base",
    ]
    with pytest.raises(ModelMissing, match=r"hero asks for lora 'base', which is .* it is a checkpoint; there is gone"):
        catalogue.entry("base", asker="hero", kind="lora")


def test_a_catalogue_that_is_wrong_says_where(tmp_path: Path) -> None:
    for text, said in [
        ("base: {kind: chekpoint, path: x}", "base: kind: Input should be 'checkpoint'"),
        ("base: {kind: checkpoint}", "base: .*give either path or hub"),
        ("base: {kind: checkpoint, path: x, colour: red}", "base: colour: Extra inputs"),
        ("[1, 2]", "got list; expected a mapping"),
        ("a: [", "not YAML"),
    ]:
        with pytest.raises(SettingsError, match=rf"catalogue.yaml: {said}"):
            write(tmp_path, text)
    with pytest.raises(SettingsError, match="no catalogue is there"):
        ModelFiles.read(tmp_path / "nowhere.yaml")


def test_what_is_no_file_is_no_catalogue(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b" " * (MOST_BYTES + 1))
    for path, came in [
        (tmp_path, "got a folder"),
        (tmp_path / "fifo", "got a FIFO"),
        (tmp_path / "large", "got 4,194,305 bytes; a catalogue has at most 4,194,304"),
        (Path("/dev/zero"), "got a device"),
    ]:
        with pytest.raises(SettingsError, match=f"{path}: {came}"):
            ModelFiles.read(path)
    with pytest.raises(SettingsError, match="got nesting without end"):
        write(tmp_path, "a: " + "[" * 2_000)


def test_the_shipped_catalogue() -> None:
    catalogue = ModelFiles.read(ROOT / "models" / "catalogue.yaml")
    draft = catalogue.entry("studio-tiny", asker="test").tiers[Tier.DRAFT]
    assert draft.scheduler == "LCM" and set(draft.loras) == {"studio-tiny/lcm"}
    assert catalogue.controlnet("studio-tiny", "canny", asker="test").alias == "studio-tiny/canny"
    assert catalogue.controlnet("studio-tiny", "depth", asker="test").alias == "studio-tiny/depth"
    expected = r"hero asks for control 'pose'; expected one that studio-tiny has a ControlNet for: .*depth"
    with pytest.raises(ModelMissing, match=expected):
        catalogue.controlnet("studio-tiny", "pose", asker="hero")


def test_reading_a_catalogue_imports_no_torch() -> None:
    code = (
        "import sys, engine.model_files; sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_pin_is_held(engine: Engine, studio: Studio) -> None:
    from engine.diffuse import Engine

    pinned = Engine(studio.catalogue, device="cpu", pins={"studio-tiny": "2" * 64})
    row = studio.render(pinned, [studio.spec(0)])[0]
    assert isinstance(row.error, ModelChanged) and "the pin is 222222222222" in str(row.error)
