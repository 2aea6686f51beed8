"""`dailies diff`: what a change to a manifest makes new, makes again, drops and renames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.model_files import open_model_files
from flows.__main__ import app
from schemas.errors import InputError
from tasks.planning.difference import AssetDifference, Difference, compare_orders, find_order
from tasks.planning.submit import plan_submission, submit_manifest
from tests.conftest import Stack

OLD = """\
project: Shop
model: studio-tiny
defaults: {size: 64, num_inference_steps: 4}
assets:
  - {name: Potion, prompt: a $colour potion, values: {colour: [red, blue]}, seeds: 2}
  - {name: Crown, prompt: a crown}
  - {name: Gem, prompt: a gem}
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.yaml"
    path.write_text(OLD, encoding="utf-8")
    return path


def difference(stack: Stack, old: Path, text: str) -> Difference:
    new = old.with_name("new.yaml")
    new.write_text(text, encoding="utf-8")
    catalogue = open_model_files(stack.settings)
    orders = [find_order(str(path), stack.settings, catalogue) for path in (old, new)]
    return compare_orders(*orders, catalogue=catalogue, pins={}, ending="png")


def by_asset(found: Difference) -> dict[str, AssetDifference]:
    return {asset.asset: asset for asset in found.assets}


def test_what_is_the_same_new_changed_and_dropped(local_stack: Stack, old: Path) -> None:
    text = OLD.replace("[red, blue]", "[red, green]").replace("prompt: a crown", "prompt: a crown, guidance_scale: 7")
    text = text.replace("  - {name: Gem, prompt: a gem}\n", "")
    found = difference(local_stack, old, text)
    assets = by_asset(found)
    potion, crown, gem = assets["Potion"], assets["Crown"], assets["Gem"]
    assert (potion.same, potion.new, potion.dropped, potion.changed) == (2, 2, 2, 0)
    assert (crown.changed, gem.dropped) == (1, 1)
    (change,) = crown.changes
    assert (change.field, change.new, change.images) == ("guidance_scale", "7", 1)
    assert len(found.to_make) == 3 and len(found.dropped) == 3


def test_other_names_and_terms_make_nothing_new(local_stack: Stack, old: Path) -> None:
    found = difference(local_stack, old, OLD + 'delivery: {name: "UI/{Asset}_{Variant}.png", licence: ours}\n')
    potion = by_asset(found)["Potion"]
    assert not found.to_make and not found.dropped
    assert potion.renamed[0] == ("Shop/T_Potion_Red01_BC.png", "Shop/UI/Potion_Red01.png") and len(potion.renamed) == 4
    assert potion.terms == ["the licence changes from none to ours (4 images)"]


def test_an_asset_under_another_name_is_recognised(local_stack: Stack, old: Path) -> None:
    assets = by_asset(difference(local_stack, old, OLD.replace("name: Gem", "name: Jewel")))
    assert (assets["Jewel"].new, assets["Jewel"].formerly, assets["Gem"].dropped) == (1, "Gem", 1)


def test_a_submission_can_be_compared_and_what_it_still_asks_for_is_said(
    local_stack: Stack, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = open_model_files(local_stack.settings)
    sent, _ = submit_manifest(
        old, settings=local_stack.settings, catalogue=catalogue, ledger=local_stack.ledger, store=local_stack.store
    )
    plan_submission(local_stack.ledger, catalogue, sent.digest)
    new = old.with_name("new.yaml")
    new.write_text(OLD.replace("  - {name: Gem, prompt: a gem}\n", ""), encoding="utf-8")
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    text = CliRunner().invoke(app, ["diff", sent.digest[:10], str(new)]).output
    assert f"old.yaml ({sent.digest[:12]}) -> new.yaml: 5 the same, 1 dropped" in text
    assert "NEW drops 1 image that an earlier submission still asks for" in text
    body = json.loads(CliRunner().invoke(app, ["diff", sent.digest[:10], str(new), "--json"]).output)
    assert (body["same"], body["dropped"], body["renamed"]) == (5, 1, 0)
    with pytest.raises(InputError, match="no submission begins with 'ffff'; expected a manifest"):
        find_order("ffff", local_stack.settings, catalogue)
