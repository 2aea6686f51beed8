"""The examples in manifests/untrained/ are really made, through the whole pipeline, with random weights.

What is proved is the path: from the manifest's words to the record of each image.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.manifest import Manifest
from schemas.settings import ROOT
from tasks.parts import Parts
from tasks.planning.plan import count_images
from tests.flows.studio import night, submit_to
from tests.untrained import make

USED = {
    "Sketch": {"untrained/t2i-sketch"},
    "Both": {"untrained/t2i-sketch", "untrained/t2i-depth", "studio-tiny/canny"},
    "Boat": {"untrained/gouache", "untrained/muddy"},
    "Tree": {"untrained/muddy"},
    "Refined": {"untrained/refiner"},
    "Old": {"untrained/sd15"},
    "Old lines": {"untrained/sd15", "untrained/sd15/canny"},
    "Old wall": {"untrained/sd15"},
    "Turbo": {"untrained/turbo"},
    "Lightning": {"untrained/lightning"},
    "Hyper": {"untrained/hyper"},
    "Joined": {"untrained/union"},
    "In This Style": {"untrained/look"},
    "Wall Poster": {"untrained/enlarger"},
}
"""What each asset's record must name beside studio-tiny."""


@pytest.mark.timeout(1500)
def test_every_untrained_example_is_made_and_says_with_what(local: Parts, tmp_path: Path) -> None:
    local.catalogue = ModelFiles.read(make(tmp_path / "weights"))
    local.__dict__["engine"] = Engine(local.catalogue, device="cpu", dtype="float32")
    folder = shutil.copytree(ROOT / "manifests" / "untrained", tmp_path / "manifests")
    examples = sorted(folder.glob("*.yaml"))
    asked = sum(
        count_images(Manifest.model_validate(local.ledger.submission(submit_to(local, path)).body)) for path in examples
    )
    made = night(local)
    assert (made["outcome"], made["made"], made["failed"], made["waiting"]) == ("complete", asked, 0, 0)
    found: dict[str, set[str]] = {}
    for item in local.ledger.inbox(limit=1000):
        picture = local.ledger.picture(item.digest)
        assert picture.image.models == {ref.alias: ref.digest for ref in picture.spec.models()}
        found[picture.spec.asset] = set(picture.image.models) - {"studio-tiny"}
    assert found == USED
