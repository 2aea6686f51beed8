"""`dailies check --show`: the prompt that is encoded, its tokens, and where each setting comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.settings import ROOT, Settings
from tasks.planning.show import Shown
from tasks.planning.submit import check_manifest

MANIFEST = """\
project: Shop
model: studio-tiny
styles:
  icon: {prompt: "$prompt, (flat style:1.2)", loras: {studio-tiny/style: 0.5}}
tiers:
  final: {guidance_scale: 4}
defaults: {size: 128, style: icon, negative_prompt: blurry}
delivery: {name: "UI/{Asset}_{Variant}.png"}
assets:
  - name: Potion
    prompt: a $colour potion
    values: {colour: [red, blue]}
    num_inference_steps: [12, 20]
    seeds: 2
  - name: Sketch
    prompt: a gem
    tier: [draft, final]
  - name: Long
    prompt: LONG
"""


@pytest.fixture
def shown(tmp_path: Path) -> dict[str, Shown]:
    path = tmp_path / "shop.yaml"
    path.write_text(MANIFEST.replace("LONG", "boat " * 100), encoding="utf-8")
    report = check_manifest(path, Settings(home=tmp_path / "home"), show=True)
    return {one.asset: one for one in report.shown}


def origins(shown: Shown) -> dict[tuple[str, str], tuple[str, str, str]]:
    return {(line.name, line.tier): (line.value, line.origin, line.where) for line in shown.settings}


def test_every_setting_says_where_it_comes_from(shown: dict[str, Shown]) -> None:
    lines = origins(shown["Potion"])
    assert lines == {
        ("model", ""): ("studio-tiny", "manifest", "shop.yaml:2 model"),
        ("style", ""): ("icon", "defaults", "shop.yaml:7 defaults.style"),
        ("size", ""): ("128x128", "defaults", "shop.yaml:7 defaults.size"),
        ("scheduler", ""): ("Euler", "catalogue", "studio-tiny"),
        ("num_inference_steps", ""): ("12 (first of 2)", "asset", "shop.yaml:13 assets[0].num_inference_steps"),
        ("guidance_scale", ""): ("4", "tiers", "shop.yaml:6 tiers.final.guidance_scale"),
        ("seeds", ""): ("2", "asset", "shop.yaml:14 assets[0].seeds"),
        ("loras.studio-tiny/style", ""): ("0.5", "manifest", "shop.yaml:4 styles.icon.loras.studio-tiny/style"),
        ("criteria", ""): ("hands, text, brand", "house", ""),
        ("delivery_name", ""): ("UI/{Asset}_{Variant}.png", "manifest", "shop.yaml:8 delivery.name"),
    }


def test_tiers_are_told_apart_only_where_they_differ(shown: dict[str, Shown]) -> None:
    lines = origins(shown["Sketch"])
    assert lines["num_inference_steps", "draft"][:2] == ("6", "catalogue")
    assert lines["num_inference_steps", "final"][:2] == ("24", "catalogue")
    assert lines["loras.studio-tiny/lcm", "draft"] == ("1", "catalogue", "studio-tiny")
    assert ("size", "") in lines and ("size", "draft") not in lines


def test_the_prompt_is_the_one_that_is_encoded_and_its_tokens_are_counted(shown: dict[str, Shown]) -> None:
    potion, long = shown["Potion"], shown["Long"]
    assert potion.prompt == "a red potion, (flat style:1.2)" and potion.weights == (("flat style", 1.2),)
    assert potion.file_name == "Shop/UI/Potion_Steps12Red01.png" and potion.images == 8
    assert [(one.text, one.windows, one.over) for one in potion.tokens] == [("prompt", 1, 0), ("negative_prompt", 1, 0)]
    first = long.tokens[0]
    assert first.count > 150 and first.windows == 3 and first.over == first.count - 75


def test_the_command_prints_it_and_gives_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILIES_HOME", str(tmp_path / "home"))
    icons = str(ROOT / "manifests" / "icons.yaml")
    text = CliRunner().invoke(app, ["check", icons, "--show"]).output
    for part in ("cost: ", "USD at 2.5 USD a GPU-hour", "a red potion, flat style, on a white background", "11 tokens",
                 "first file", "icons.yaml:7 defaults.num_inference_steps", "catalogue studio-tiny"):  # fmt: skip
        assert part in text, text
    body = json.loads(CliRunner().invoke(app, ["check", icons, "--show", "--json"]).output)
    assert (body["images"], body["shown"][0]["asset"], body["shown"][0]["tokens"][0]["over"]) == (4, "Potion", 0)


def test_what_is_wrong_is_json_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILIES_HOME", str(tmp_path / "home"))
    path = tmp_path / "bad.yaml"
    path.write_text("project: P\nmodel: studio-tiny\nassets: [{name: A, prompt: x, steps: 3}]\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["check", str(path), "--json"])
    (problem,) = json.loads(done.output)["problems"]
    assert done.exit_code == 2
    assert (problem["line"], problem["field"]) == (3, "assets[0].steps") and "num_inference_steps" in problem["message"]
