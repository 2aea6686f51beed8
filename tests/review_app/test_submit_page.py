"""The Submit page refuses what `dailies check` and the night refuse, in the same words at the same lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.model_files import open_model_files
from review_app import resources as studios
from schemas.errors import ManifestError
from schemas.settings import ROOT, Settings
from tasks.planning.submit import read_sound_manifest

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
            expected = [f"{problem.came}\nAllowed: {problem.allowed}" for problem in wrong.problems]
        assert bool(expected) == (name != "a sound one"), name

        page.text_area[0].set_value(path.read_text()).run()
        assert not page.exception
        assert [text.value for text in page.text] == expected, name
        assert any("Sound" in success.value for success in page.success) == (not expected), name
