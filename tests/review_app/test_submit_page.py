"""The Submit page refuses what `dailies check` and the night refuse, in the same words at the same lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.model_files import open_model_files
from review_app import resources as studios
from review_app.earlier_orders import list_order_changes
from schemas.errors import ManifestError
from schemas.settings import ROOT, Settings
from storage.intake import Folder, Upload, ingest, inspect_pictures
from tasks.planning.submit import check_manifest, plan_submission, read_sound_manifest

START = "project: Shop\nmodel: {model}\ndefaults: {{size: 128}}\n"
ASSET = "assets:\n  - {{name: Potion, prompt: a potion{more}}}\n"
MANIFESTS = {
    "an unknown checkpoint": (START + ASSET, {"model": "studio-tinny", "more": ""}),
    "an unknown LoRA": (
        START + "loras: {{studio-tiny/nothing: [1.0]}}\n" + ASSET,
        {"model": "studio-tiny", "more": ""},
    ),
    "a LoRA named as the checkpoint": (START + ASSET, {"model": "studio-tiny/lcm", "more": ""}),
    "few-step weights against their family": (
        START + "loras: {{studio-tiny/lcm: [1.0]}}\n" + ASSET,
        {"model": "studio-tiny", "more": ", num_inference_steps: 30"},
    ),
    "a sound one": (START + ASSET, {"model": "studio-tiny", "more": ""}),
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("DAILIES_HOME", str(tmp_path / "home"))
    studios.open_resources.cache_clear()
    yield Settings()
    studios.open_resources.cache_clear()


def test_the_page_says_what_the_night_says(settings: Settings, tmp_path: Path) -> None:
    page = AppTest.from_file(str(ROOT / "review_app" / "screens" / "submit.py"), default_timeout=30).run()
    path = tmp_path / "manifest.yaml"
    for name, (template, values) in MANIFESTS.items():
        path.write_text(template.format(**values))
        try:
            read_sound_manifest(path, settings, open_model_files(settings))
            expected = []
        except ManifestError as wrong:
            expected = [f"{problem.came}\nExpected: {problem.allowed}" for problem in wrong.problems]
        assert bool(expected) == (name != "a sound one"), name

        page.text_area[0].set_value(path.read_text()).run()
        assert not page.exception
        assert [text.value for text in page.text] == expected, name
        assert any("Sound" in success.value for success in page.success) == (not expected), name


def test_what_an_order_changes_is_said_as_the_command_line_says_it(settings: Settings, tmp_path: Path) -> None:
    picture = tmp_path / "pictures" / "brick.png"
    picture.parent.mkdir()
    Image.new("RGB", (128, 128), "#a05030").save(picture)
    brick = "  - {name: Brick, kind: texture, prompt: brick, sources: pictures/brick.png}\n"
    first = (START + ASSET).format(model="studio-tiny", more="") + brick
    second = first + "delivery: {licence: CC0}\nreview: {criteria: technical}\n"
    resources = studios.open_resources()
    looked = inspect_pictures(first.encode(), "a.yaml", Folder(tmp_path), settings, resources.catalogue)
    submission, _ = ingest(looked, store=resources.store, ledger=resources.ledger, submitted_by="mia")
    plan_submission(resources.ledger, open_model_files(settings), submission.digest)
    (tmp_path / "b.yaml").write_text(second)
    said = check_manifest(tmp_path / "b.yaml", settings).changes
    assert len(said) == 2 and "the licence changes from none to CC0" in said[0]

    upload = Upload({"brick.png": picture.read_bytes()})  # a browser sends no folders
    sound = inspect_pictures(second.encode(), "b.yaml", upload, settings, resources.catalogue)
    assert list_order_changes(sound, upload, settings) == said

    page = AppTest.from_file(str(ROOT / "review_app" / "screens" / "submit.py"), default_timeout=60).run()
    page.text_area[0].set_value(second.replace(brick, "")).run()
    assert not page.exception
    shown = [text.value for text in page.text if text.value.startswith("changes: ")]
    assert shown == ["\n".join(f"changes: {one.replace('2 images', '1 image').replace('are', 'is')}" for one in said)]
    page.text_area[0].set_value(first.replace(brick, "")).run()
    assert not [text for text in page.text if text.value.startswith("changes: ")]
