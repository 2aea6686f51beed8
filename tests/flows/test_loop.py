"""The whole loop on both stacks with the small checkpoint: submit, night, decide, night, approve, deliver, twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from schemas.review import Changes, Choice, Criterion, Drawing, Mark, Reason, Result, Verdict
from schemas.spec import Task, Tier
from storage.pictures import decode, read_spec
from tasks.delivery.deliver import deliver
from tasks.parts import Parts
from tests.flows.studio import IMAGES, night, submit_to, write_manifest


def test_from_manifest_to_delivery(parts: Parts, tmp_path: Path) -> None:
    ledger, store = parts.ledger, parts.store

    # 1. A night makes everything that was submitted, and every image waits for a person.
    submit_to(parts, write_manifest(tmp_path))
    told: list[tuple[str, int]] = []
    parts.told = lambda what, done, total: told.append((what, done))
    first = night(parts)
    assert (first["outcome"], first["made"], first["failed"], first["waiting"]) == ("complete", IMAGES, 0, 0)
    assert sum(done for what, done in told if what == "made") == IMAGES
    inbox = {item.digest: item for item in ledger.inbox(limit=100)}
    assert len(inbox) == IMAGES
    pictures = {digest: ledger.picture(digest) for digest in inbox}
    for digest, picture in pictures.items():
        data = store.get(picture.image.object_key)
        assert hashlib.sha256(data).hexdigest() == picture.image.sha256
        assert read_spec(data).digest == digest
        assert decode(data, limits=parts.settings.limits).shape == (64, 64, 3)
        assert store.exists(picture.image.preview_key) and store.exists(picture.image.thumb_key)
        assert all(store.exists(key) for key in picture.image.conditions)
        assert picture.image.gpu_seconds > 0 and picture.image.night == first["night"] and picture.image.flow_run
        assert {finding.result for finding in picture.findings} == {Result.NOT_CHECKED}, "silence is never clean"
    by_asset = {(p.spec.asset, p.spec.variant): p for p in pictures.values()}
    assert by_asset["Shield", next(v for a, v in by_asset if a == "Shield")].image.conditions
    assert ledger.pins().keys() == {"studio-tiny", "studio-tiny/lcm", "studio-tiny/canny"}
    assert "# Night" in store.get(first["report"]).decode()

    # 2. People decide: one image each is taken again, repaired in a place, promoted, rejected; the rest is approved.
    potions = sorted((p for p in pictures.values() if p.spec.asset == "Potion"), key=lambda p: p.spec.digest)
    again, rejected = potions[0].spec, potions[1].spec
    shield = next(p.spec for p in pictures.values() if p.spec.asset == "Shield")
    sketch = next(p.spec for p in pictures.values() if p.spec.asset == "Sketch")
    corner = Drawing(x=0.5, y=0.5, width=0.5, height=0.5, criterion=Criterion.HANDS)
    bad = {Criterion.HANDS: Mark.BAD}
    choices = [
        Choice(image=again.digest, revision=0, verdict=Verdict.RETAKE, reasons=(Reason.BRIEF,)),
        Choice(image=rejected.digest, revision=0, verdict=Verdict.REJECT, marks=bad),
        Choice(image=shield.digest, revision=0, verdict=Verdict.RETAKE, marks=bad, changes=Changes(region=corner)),
        Choice(image=sketch.digest, revision=0, verdict=Verdict.APPROVE, changes=Changes(tier=Tier.FINAL)),
    ]
    decided = {choice.image for choice in choices}
    choices += [Choice(image=d, revision=0, verdict=Verdict.APPROVE) for d in inbox.keys() - decided]
    for choice in choices:
        ledger.decide(choice, reviewer="rita")

    # 3. The next night answers, through the same plan and the same render.
    second = night(parts)
    assert (second["outcome"], second["planned"], second["made"]) == ("complete", 3, 3)
    made = [ledger.picture(item.digest) for item in ledger.inbox(limit=100)]
    children = {picture.spec.parent: picture for picture in made}
    assert children.keys() == {again.digest, shield.digest, sketch.digest}
    assert all(picture.spec.take == 2 for picture in made)
    assert children[again.digest].spec.seed != again.seed
    repaired, before = children[shield.digest], pictures[shield.digest]
    assert repaired.spec.task is Task.INPAINT
    old, new = (decode(store.get(p.image.object_key), limits=parts.settings.limits) for p in (before, repaired))
    assert np.array_equal(old[:28], new[:28]) and np.array_equal(old[:, :28], new[:, :28]), "only the region changes"
    assert not np.array_equal(old[36:, 36:], new[36:, 36:])
    final = children[sketch.digest].spec
    assert (final.tier, final.task, final.seed, final.num_inference_steps) == (Tier.FINAL, Task.IMG2IMG, sketch.seed, 2)
    assert not final.loras, "the draft's distilled LoRA stays with the draft"
    assert ledger.awaiting_retake() == []

    # 4. What is approved leaves, once.
    for picture in made:
        ledger.decide(Choice(image=picture.spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="rita")
    delivered = deliver(ledger, store, folder=tmp_path / "delivered")
    names = {delivery.name for delivery in ledger.deliveries()}
    assert len(names) == IMAGES - 4 + 3
    files = {path.relative_to(tmp_path / "delivered"): path.read_bytes() for path in _files(tmp_path / "delivered")}
    assert files and len(delivered.names) == len(names)
    deliver(ledger, store, folder=tmp_path / "delivered")
    assert {d.name for d in ledger.deliveries()} == names
    assert {p.relative_to(tmp_path / "delivered"): p.read_bytes() for p in _files(tmp_path / "delivered")} == files

    # 5. Another night has nothing to do.
    third = night(parts)
    assert (third["outcome"], third["made"], third["waiting"]) == ("complete", 0, 0)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
