"""`dailies models`: what the commands print and write, on the small checkpoint and on made headers."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import InputError, ModelMissing
from schemas.settings import ROOT, Settings
from schemas.spec import LoraRef
from tests import shelf
from tests.conftest import Stack
from tests.making import a_spec, kept, planned

runner = CliRunner()
SMALL = shelf.lora({("unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"): (640, 2048)}, shelf.kohya)


@pytest.fixture
def stack(local_stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stack:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return local_stack


def said(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, ["models", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def lines(*arguments: str, code: int = 0) -> list[Any]:
    return [json.loads(line) for line in said(*arguments, code=code).splitlines()]


def test_a_scan_registers_a_folder_and_the_rest_knows_it(stack: Stack, tmp_path: Path) -> None:
    loras = tmp_path / "comfy" / "loras"
    shelf.write(loras / "hero.safetensors", SMALL, metadata={"modelspec.trigger_phrase": "hero"})
    shelf.write(loras / "flux.safetensors", shelf.FLUX_LORA)
    assert "1 new, 1 not usable" in said("scan", str(tmp_path / "comfy")) and not Path("catalogue.yaml").exists()
    text = said("scan", str(tmp_path / "comfy"), "--write")
    assert "flux.safetensors: it is made for Flux" in text and "dailies.toml: `catalogue =" in text
    assert tomllib.loads(Path("dailies.toml").read_text()) == {"catalogue": "catalogue.yaml"}
    assert Settings().catalogue == Path("catalogue.yaml")
    listed = {line["alias"]: line for line in json.loads(said("--json"))}
    assert listed.keys() == {"hero", "studio-tiny", *(f"studio-tiny/{n}" for n in ("canny", "depth", "lcm", "style"))}
    assert listed["hero"]["kind"] == "lora" and listed["hero"]["state"] == "here"
    body = json.loads(said("scan", str(tmp_path / "comfy"), "--json"))
    assert [found["state"] for found in body["found"]] == ["unusable", "known"] and not body["written"]
    said("digest")
    assert all(line["digest"] for line in json.loads(said("--json")))
    assert "the digests of all" in said("digest")


def test_show_says_the_file_where_it_fits_and_who_used_it(stack: Stack) -> None:
    stack.ledger.pin("studio-tiny", "1" * 64)
    kept(stack.ledger, [a_spec(seed) for seed in range(2)])
    shown = json.loads(said("show", "studio-tiny", "--json"))
    assert shown["found"] == "checkpoint" and shown["prediction_type"] == "v_prediction"
    assert shown["goes with"]["lora"] == ["studio-tiny/lcm", "studio-tiny/style"]
    assert shown["pin"].startswith("1" * 64) and "2 images with" in shown["used by"][0]
    assert json.loads(said("show", "studio-tiny/style", "--json"))["fits"] == ["studio-tiny"]
    with pytest.raises(ModelMissing, match="there is studio-tiny"):
        said("show", "studio-tinny")


def test_check_says_every_problem_and_the_exit_code(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "5 looked at, 0 with problems" in said("check")
    path = tmp_path / "catalogue.yaml"
    base = f"studio-tiny: {{kind: checkpoint, path: {ROOT}/models/studio-tiny, size: 1001, config: nowhere}}\n"
    path.write_text(base + "lost: {kind: lora, path: lost.safetensors}\n")
    monkeypatch.setenv("DAILIES_CATALOGUE", str(path))
    first, lost = lines("check", "--json", code=1)
    assert len(first["problems"]) == 2 and "1001" in " ".join(first["problems"])
    assert lost["problems"] == [f"nothing is at {tmp_path}/lost.safetensors"]
    assert lines("check", "lost", "--json", code=1) == [lost]
    stack.ledger.pin("studio-tiny", "2" * 64)
    path.write_text(base.replace(", size: 1001, config: nowhere", ""))
    said("digest")
    assert "pinned to 222222222222" in said("check", code=1)


def test_a_pin_is_held_until_somebody_repins(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.write(tmp_path / "hero.safetensors", SMALL)
    (tmp_path / "catalogue.yaml").write_text("hero: {kind: lora, path: hero.safetensors}\n")
    monkeypatch.setenv("DAILIES_CATALOGUE", str(tmp_path / "catalogue.yaml"))
    first = json.loads(said("pin", "hero", "--json"))["digest"]
    shelf.write(tmp_path / "hero.safetensors", SMALL, metadata={"version": "2"})
    with pytest.raises(InputError, match="`dailies models repin hero` takes the new ones"):
        said("pin", "hero")
    ref = LoraRef(alias="hero", digest=first)
    planned(stack.ledger, [a_spec(seed, loras=(ref,)) for seed in range(3)])
    text = said("repin", "hero")
    assert f"it was {first[:12]}" in text and "3 images planned with other weights" in text
    assert stack.ledger.pins()["hero"] != first
