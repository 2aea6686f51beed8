"""Every worked example in manifests/ is really made, in four steps each; `make demo` makes the demo as it is."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from schemas.manifest import Manifest
from schemas.settings import ROOT
from storage.pictures import decode
from tasks.parts import Parts
from tasks.planning.plan import count_images
from tests.flows.studio import night, submit_to

STEPS = 4


@pytest.mark.timeout(1500)
def test_every_example_is_made_in_one_night(local: Parts, tmp_path: Path) -> None:
    ledger = local.ledger
    folder = shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    examples = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".json"))
    asked: Counter[str] = Counter()
    for path in examples:
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"(num_inference_steps\"?: )\d+", rf"\g<1>{STEPS}", text), encoding="utf-8")
        manifest = Manifest.model_validate(ledger.submission(submit_to(local, path)).body)
        asked[manifest.project] += count_images(manifest)
    assert len(examples) >= 8 and asked.total() >= 30

    made = night(local)
    assert (made["outcome"], made["made"], made["failed"], made["waiting"]) == ("complete", asked.total(), 0, 0)

    inbox = ledger.inbox(limit=1000)
    assert Counter(item.project for item in inbox) == asked
    for item in inbox:
        picture = ledger.picture(item.digest)
        pixels = decode(local.store.get(picture.image.object_key), limits=local.settings.limits)
        assert pixels.shape == (picture.spec.height, picture.spec.width, 3)
        assert bool(picture.image.conditions) == bool(picture.spec.controls)
