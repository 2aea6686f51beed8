"""Every worked example in manifests/ is really made. The demo is too, by `make demo` and the test of that command."""

from __future__ import annotations

from collections import Counter

from schemas.manifest import Manifest
from schemas.settings import ROOT
from storage.pictures import decode
from tasks.parts import Parts
from tasks.plan import count
from tests.flows.studio import night, submit_to

EXAMPLES = sorted(path for path in (ROOT / "manifests").iterdir() if path.suffix in (".yaml", ".json"))


def test_every_example_is_made_in_one_night(local: Parts) -> None:
    ledger = local.ledger
    asked: Counter[str] = Counter()
    for path in EXAMPLES:
        manifest = Manifest.model_validate(ledger.submission(submit_to(local, path)).body)
        asked[manifest.project] += count(manifest)
    assert len(EXAMPLES) >= 8 and asked.total() >= 30

    made = night(local)
    assert (made["outcome"], made["made"], made["failed"], made["waiting"]) == ("complete", asked.total(), 0, 0)

    inbox = ledger.inbox(limit=1000)
    assert Counter(item.project for item in inbox) == asked
    for item in inbox:
        picture = ledger.picture(item.digest)
        pixels = decode(local.store.get(picture.image.object_key), limits=local.settings.limits)
        assert pixels.shape == (picture.spec.height, picture.spec.width, 3)
        assert bool(picture.image.conditions) == bool(picture.spec.controls)
