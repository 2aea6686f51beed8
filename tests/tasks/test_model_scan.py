"""Two hundred files of every layout and tool registered by their headers, and again after people worked on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import Catalogue
from schemas.errors import InputError
from schemas.settings import ROOT
from schemas.weights.folders import find_models
from tasks.models.catalogue_file import CatalogueFile
from tasks.models.scan import Found, scan
from tests import shelf

SMALL = shelf.lora({("unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"): (640, 2048)}, shelf.kohya)

Scanned = tuple[Path, Path, Callable[..., tuple[dict[str, Found], list[str]]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio") / "models"


@pytest.fixture(scope="module")
def made(folder: Path) -> list[shelf.Made]:
    return shelf.shelf(folder, copies=7)


def read_characters() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts what is read, as Linux does")
def test_two_hundred_files_are_classified_and_none_is_loaded(
    folder: Path, made: list[shelf.Made], tmp_path: Path
) -> None:
    assert len(made) >= 200
    file, before = CatalogueFile.open(tmp_path / "catalogue.yaml"), read_characters()
    result = scan(folder, file)
    assert read_characters() - before < 2e8 < 1e11 < sum((folder / each.place).stat().st_size for each in made)
    found = {str(each.place.path.relative_to(folder)): each for each in result.found}
    assert found.keys() == {each.place for each in made}
    for each in made:
        came = found[each.place]
        assert (came.identity.kind, came.identity.architecture) == (each.kind, each.architecture), each.place
        usable = not each.refused and each.kind != "text_encoder"
        assert came.state == ("new" if usable else "unusable"), each.place
        assert bool(came.alias) == usable and bool(came.refusal) != usable
    file.write()
    catalogue = Catalogue.read(tmp_path / "catalogue.yaml")
    new = [each.identity.kind for each in result.in_state("new")]
    kinds = Counter({"unet": "checkpoint"}.get(kind, kind) for kind in new)
    assert Counter(entry.kind for entry in catalogue.entries.values()) == kinds
    assert catalogue.entries["words"].trigger_words == ("pixel hero",) and catalogue.entries["words"].note == "Pixel"
    assert catalogue.entries["union"].modes["canny"] == 3 and catalogue.entries["canny"].controls == ("canny",)
    assert catalogue.entries["plain"].image_encoder == "bigg" and catalogue.entries["v1"].size == 512
    assert (
        catalogue.entries["embedding/v1"].trigger == "v1" and catalogue.entries["controlnet/v1"].architecture == "sd15"
    )

    again = CatalogueFile.open(tmp_path / "catalogue.yaml")
    assert {each.state for each in scan(folder, again).found} == {"known", "unusable"}
    text = (tmp_path / "catalogue.yaml").read_text()
    again.write()
    assert (tmp_path / "catalogue.yaml").read_text() == text


def test_scanning_imports_no_torch(tmp_path: Path) -> None:
    code = "import sys, tasks.models.scan, flows.commands.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def component(folder: Path, kind: str, shapes: dict[str, tuple[int, ...]], **options: Any) -> None:
    shelf.write(folder / "diffusion_pytorch_model.safetensors", shapes, **options)
    (folder / "config.json").write_text(json.dumps({"_class_name": kind}))


def test_the_folders_of_other_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a1111, comfy, hub = tmp_path / "webui", tmp_path / "comfy", tmp_path / "hub"
    for place in (
        a1111 / "models/Stable-diffusion/base.ckpt", a1111 / "models/Lora/style/hero.safetensors",
        a1111 / "embeddings/bad.pt", a1111 / "venv/lib/weights.safetensors",
        a1111 / "models/LyCORIS/hero.safetensors", tmp_path / "invoke/sdxl/lora/glow.safetensors",
        comfy / "models/loras/one.safetensors", tmp_path / "elsewhere/loras/far.safetensors",
        comfy / "custom_nodes/detector/ckpts/x.safetensors", tmp_path / "elsewhere/lycoris/farther.safetensors",
    ):  # fmt: skip
        shelf.write(place, SMALL)
    (comfy / "extra_model_paths.yaml").write_text(
        "studio:\n  base_path: ../elsewhere\n  is_default: true\n  loras: |\n    loras\n    lycoris\n  vae: none/here\n"
    )
    snapshot = hub / "models--studio--canny-xl" / "snapshots" / "abc"
    component(snapshot, "ControlNetModel", {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)})
    blob = hub / "models--studio--files" / "blobs" / "0123"
    shelf.write(blob, SMALL)
    linked = hub / "models--studio--files" / "snapshots" / "def" / "glow.safetensors"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(blob)
    for repository, commit in (("canny-xl", "abc"), ("files", "def")):
        main = hub / f"models--studio--{repository}" / "refs" / "main"
        main.parent.mkdir()
        main.write_text(commit)
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))

    def names(folder: Path) -> set[tuple[str, str, str]]:
        return {(place.name, place.hint, place.hub) for place in find_models(folder)}

    assert names(a1111) == {
        ("base", "checkpoint", ""), ("style/hero", "lora", ""), ("hero", "lora", ""), ("bad", "embedding", ""),
    }  # fmt: skip
    assert names(comfy) == {("one", "lora", ""), ("far", "lora", ""), ("farther", "lora", "")}
    assert names(comfy / "models") == names(comfy)
    assert names(tmp_path / "invoke") == {("glow", "lora", "")}
    assert names(hub) == {("canny-xl", "", "studio/canny-xl"), ("files", "", "")}
    (comfy / "loops").symlink_to(comfy)
    (comfy / "models/loras/same.safetensors").symlink_to(comfy / "models/loras/one.safetensors")
    assert names(comfy) == {("one", "lora", ""), ("far", "lora", ""), ("farther", "lora", "")}
    file = CatalogueFile.open(tmp_path / "catalogue.yaml")
    assert {each.alias for each in scan(hub, file).found} == {"canny-xl", "files"}
    assert file.catalogue().local("files") == linked  # not the blob behind it, which has no ending
    with pytest.raises(InputError, match="no folder is there"):
        find_models(tmp_path / "nowhere")


def test_a_diffusers_folder_is_one_model_and_a_controlnet_kept_inside_another() -> None:
    found = {place.name for place in find_models(ROOT / "models")}
    whole = {"controlnet-canny", "controlnet-depth", "lcm-lora", "lora-blueprint"}
    assert found == {"studio-tiny", *(f"studio-tiny/{name}" for name in whole)}


@pytest.fixture
def studio(tmp_path: Path) -> Scanned:
    """A folder of LoRAs, a catalogue that a first scan wrote, and a function that scans and writes again."""
    loras = tmp_path / "loras"
    for name in ("hero", "glow", "old", "pixel"):
        words = {"modelspec.title": name.title(), "modelspec.trigger_phrase": name}
        shelf.write(loras / f"{name}.safetensors", SMALL, metadata=words)
    path = tmp_path / "catalogue.yaml"

    def again(**options: Any) -> tuple[dict[str, Found], list[str]]:
        file = CatalogueFile.open(path)
        result = scan(tmp_path, file, **options)
        file.write()
        return {each.alias or each.place.path.stem: each for each in result.found}, result.gone

    again()
    return loras, path, again


def test_what_a_person_edited_stays_and_what_nobody_touched_follows_the_file(studio: Scanned) -> None:
    loras, path, again = studio
    text = path.read_text().replace("trigger_words: [hero]", "trigger_words: [our hero]  # asked Mia")
    path.write_text(text.replace("note: Old", "checkpoints: []"))
    for name in ("hero", "glow", "old"):
        shelf.write(loras / f"{name}.safetensors", SMALL, metadata={"modelspec.trigger_phrase": f"new {name}"})
    found, _ = again()
    entries = Catalogue.read(path).entries
    assert entries["hero"].trigger_words == ("our hero",) and "# asked Mia" in path.read_text()
    assert "the catalogue keeps ['our hero'], the file says ['new hero']" in " ".join(found["hero"].remarks)
    assert entries["glow"].trigger_words == ("new glow",) and found["glow"].state == "changed"
    assert entries["old"].trigger_words == ("new old",) and entries["old"].note == ""
    found, _ = again()
    assert all(each.state == "known" and not each.remarks for each in found.values())


def test_gone_returned_moved_and_taken_out(studio: Scanned) -> None:
    loras, path, again = studio
    kept = path.with_name("kept")
    shutil.move(loras / "hero.safetensors", kept)
    assert again()[1] == ["hero"] and Catalogue.read(path).entries["hero"].gone
    shutil.move(kept, loras / "hero.safetensors")
    assert again()[0]["hero"].state == "returned" and not Catalogue.read(path).entries["hero"].gone
    (loras / "people").mkdir()
    shutil.move(loras / "hero.safetensors", loras / "people" / "renamed.safetensors")
    found, gone = again()
    assert found["hero"].state == "moved" and not gone
    assert Catalogue.read(path).local("hero") == loras / "people" / "renamed.safetensors"

    file = CatalogueFile.open(path)
    del file.entries["glow"]
    file.write()
    found, _ = again()
    assert found["glow"].state == "left out" and "glow" not in Catalogue.read(path).entries
    found, _ = again(restore=True)
    assert found["glow"].state == "new" and "glow" in Catalogue.read(path).entries


def test_an_entry_written_by_hand_is_never_changed_and_names_do_not_collide(studio: Scanned) -> None:
    loras, path, again = studio
    shelf.write(loras / "mine.safetensors", SMALL, metadata={"modelspec.trigger_phrase": "x"})
    path.write_text(path.read_text() + "# by hand\nmy/own: {kind: lora, path: loras/mine.safetensors}\n")
    shelf.write(loras / "people" / "hero.safetensors", SMALL, metadata={"modelspec.title": "Another"})
    found, _ = again()
    assert found["my/own"].state == "known" and found["people/hero"].state == "new"
    assert path.read_text().count("my/own: {kind: lora, path: loras/mine.safetensors}") == 1
    assert os.listdir(path.parent).count("catalogue.scan.json") == 1
