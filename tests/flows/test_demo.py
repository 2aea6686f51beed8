"""`make demo` shows each of the three criteria at work: something that passes and something that is flagged."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import yaml

from schemas.review import Criterion, Result
from schemas.settings import ROOT
from tasks.parts import Parts
from tests.flows.studio import night, parts_of, submit_to

ASSETS = ("Potion", "Gem", "Shopkeeper", "Door Sign")
"""Of the demo's assets those whose findings differ; with all of its settings and steps."""


def test_hands_text_and_brand_pass_somewhere_and_are_flagged_somewhere(local: Parts, tmp_path: Path) -> None:
    parts = parts_of(local.settings, local.ledger, local.store, checks=True, batch_size=8)
    folder = shutil.copytree(ROOT / "manifests" / "demo", tmp_path / "demo")
    manifest = yaml.safe_load((folder / "demo.yaml").read_text(encoding="utf-8"))
    manifest["assets"] = [asset for asset in manifest["assets"] if asset["name"] in ASSETS]
    (folder / "demo.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    submit_to(parts, folder / "demo.yaml")
    assert night(parts)["outcome"] == "complete"

    results = defaultdict(set)
    for item in parts.ledger.inbox(limit=100):
        for criterion, result in item.results.items():
            results[criterion].add(result)
        for finding in parts.ledger.findings(item.digest):
            assert "1 finger-like parts" not in finding.sentence and "1 more readings" not in finding.sentence
            if item.asset == "Door Sign" and finding.check is Criterion.TEXT:
                assert finding.data["must_read"]["expected"] == item.variant.split("_")[0]  # type: ignore[index]
    for criterion in (Criterion.HANDS, Criterion.TEXT, Criterion.BRAND):
        assert results[criterion] == {Result.PASS, Result.FLAG}, criterion
