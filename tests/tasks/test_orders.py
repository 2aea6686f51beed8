"""A corrected order counts: for names, licences, rules, criteria, retakes and the queue, whenever it comes."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.model_files import ModelFiles
from schemas.manifest import Manifest
from schemas.review import BAND, Changes, Criterion, Verdict, rank_in_inbox
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from storage.pictures import encode
from tasks.delivery.deliver import deliver
from tasks.parts import Parts
from tasks.planning.order_changes import list_order_changes
from tasks.planning.renew import renew
from tasks.planning.retake import plan_retakes
from tests import making
from tests.conftest import Stack

START = datetime.now(UTC)
FIRST: dict[str, Any] = {
    "delivery": {"name": "OLD/{Asset}_{Variant}.png", "licence": "old"},
    "brand": {"palette": ["#ff0000"], "tolerance": 10},
    "review": {"criteria": ["brand"], "max_retakes": 5},
}
CORRECTIONS: dict[str, dict[str, Any]] = {
    "name": {"delivery": {"name": "NEW/{Asset}_{Variant}.png", "licence": "old"}},
    "licence": {"delivery": {"name": "OLD/{Asset}_{Variant}.png", "licence": "new"}},
    "palette": {"brand": {"palette": ["#0000ff"], "tolerance": 10}},
    "words": {"brand": {"palette": ["#ff0000"], "tolerance": 10, "allowed_words": ["INN"], "text_expected": "allowed"}},
    "criteria": {"review": {"criteria": ["technical"], "max_retakes": 5}},
    "retakes": {"review": {"criteria": ["brand"], "max_retakes": 0}},
    "priority": {"priority": 7},
    "due": {"due": "2026-12-01"},
}
SENTENCE = {
    "name": "the delivery name changes from OLD/{Asset}_{Variant}.png to NEW/{Asset}_{Variant}.png",
    "licence": "the licence changes from old to new",
    "palette": "the brand rules change",
    "words": "the brand rules change",
    "criteria": "the criteria change from brand to technical",
    "retakes": "the number of retakes changes from 5 to 0",
    "priority": "the priority changes from 0 to 7",
    "due": "the due date changes from none to 2026-12-01",
}
MOMENTS = ("before night", "after night", "after approval", "after delivery")
SPEC = making.a_spec(seed=3)


@pytest.fixture
def parts(local_stack: Stack) -> Parts:
    return Parts(local_stack.settings, local_stack.ledger, local_stack.store, ModelFiles({}, folder=Path()))


def order(parts: Parts, body: dict[str, Any], *, hour: int) -> Manifest:
    """Submits and plans an order of SPEC."""
    manifest = Manifest.model_validate(
        {"project": "potions", "model": "studio-tiny", "assets": [{"name": "red potion", "prompt": "x"}], **body}
    )
    submission = making.a_submission(
        f"order-{hour}.yaml",
        digest=making.sha(manifest.model_dump_json()),
        body=manifest.model_dump(mode="json"),
        priority=manifest.priority,
        due=manifest.due,
        submitted_at=START + timedelta(hours=hour),
    )
    parts.ledger.submit(submission)
    for one in parts.ledger.unplanned():
        parts.ledger.plan(one.digest, [SPEC], priority=one.priority, due=one.due, submitted_by="mara")
    return manifest


def keep(parts: Parts, spec: ImageSpec = SPEC) -> None:
    """Blue pixels with the findings that the order of the moment asks for, as a night would."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 2] = 255
    file = encode(pixels, spec, image_format="png")
    key = parts.store.put_content("images", file.data, extension="png", media_type="image/png")
    sha256 = hashlib.sha256(file.data).hexdigest()
    image = making.an_image(spec, object_key=key, sha256=sha256, bytes=len(file.data))
    brief = parts.ledger.briefs([spec.digest])[spec.digest]
    manifest = Manifest.model_validate(brief.manifest_body)
    criteria = manifest.criteria_of(manifest.asset(spec.asset))
    findings = [making.a_finding(Criterion.BRAND, sentence="of the old rules")]
    known = {"submission": brief.submission, "rank": rank_in_inbox(brief.priority, findings)}
    parts.ledger.keep_many([making.a_keeping(spec, findings, image=image, criteria=criteria, **known)])


def reach(parts: Parts, moment: str) -> None:
    if moment != "before night":
        keep(parts)
    if moment in ("after approval", "after delivery"):
        parts.ledger.decide(making.a_choice(SPEC), reviewer="rita")
    if moment == "after delivery":
        assert len(deliver(parts.ledger, parts.store).names) == 1


def finish(parts: Parts, moment: str) -> None:
    """The night, and the day after it."""
    if moment == "before night":
        keep(parts)
    renew(parts)


def sidecar(parts: Parts) -> dict[str, Any]:
    (row,) = parts.ledger.deliveries()
    body: dict[str, Any] = json.loads(parts.store.get(row.sidecar))
    return body


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("what", CORRECTIONS)
def test_the_newest_order_counts_is_said_before_and_nothing_is_made_twice(parts: Parts, what: str, moment: str) -> None:
    order(parts, FIRST, hour=0)
    reach(parts, moment)
    # 1. Said before it happens
    body = FIRST | CORRECTIONS[what]
    asked = {"project": "potions", "model": "studio-tiny", "assets": [{"name": "red potion", "prompt": "x"}], **body}
    sentences = list_order_changes(Manifest.model_validate(asked), [SPEC], parts.ledger)
    exists = "1 image is planned" if moment == "before night" else "1 image exists"
    assert sentences[0] == f"{exists}: {SENTENCE[what]} (until now as in order-0.yaml)"
    again = moment == "after night" and what in ("palette", "words", "criteria")
    assert any("are computed again" in sentence for sentence in sentences) == again
    assert any("--again" in sentence for sentence in sentences) == (moment == "after delivery" and what == "name")
    # 2. Counts
    order(parts, body, hour=1)
    (brief,) = parts.ledger.briefs([SPEC.digest]).values()
    assert brief.name == "order-1.yaml"
    if moment == "before night":
        (item,) = parts.ledger.waiting()
        assert (item.priority, item.due) == (asked.get("priority", 0), date(2026, 12, 1) if what == "due" else None)
    finish(parts, moment)
    entry = parts.ledger.picture(SPEC.digest).entry
    if entry.waiting:
        assert entry.criteria == asked["review"]["criteria"] and not entry.outdated
        assert entry.rank // BAND == -asked.get("priority", 0)
        (found, *_) = parts.ledger.findings(SPEC.digest)
        assert (found.sentence == "of the old rules") == (not again)
    check_retakes(parts, what, entry.waiting)
    check_delivery(parts, what, moment)
    assert len(parts.ledger.made([SPEC.digest])) == 1 and renew(parts).images == 0


def check_retakes(parts: Parts, what: str, waiting: bool) -> None:
    if not waiting:
        return
    parts.ledger.decide(making.a_choice(SPEC, Verdict.RETAKE, changes=Changes()), reviewer="rita")
    retakes = plan_retakes(parts)
    assert retakes.planned == (what != "retakes") and bool(retakes.refused) == (what == "retakes")
    parts.ledger.decide(making.a_choice(SPEC, revision=1), reviewer="rita")


def check_delivery(parts: Parts, what: str, moment: str) -> None:
    done = deliver(parts.ledger, parts.store)
    name = "potions/NEW/RedPotion_S3.png" if what == "name" else "potions/OLD/RedPotion_S3.png"
    if moment != "after delivery":
        assert done.names == (name,)
        assert sidecar(parts)["licence"] == ("new" if what == "licence" else "old")
        return
    assert done.names == () and bool(done.renamed) == (what == "name")
    again = deliver(parts.ledger, parts.store, again=True)
    assert again.names == ((name,) if what == "name" else ())
    if what == "name":
        assert sidecar(parts)["formerly"] == "potions/OLD/RedPotion_S3.png"
        assert parts.store.exists("delivery/potions/OLD/RedPotion_S3.png"), "what was delivered stays"
        assert deliver(parts.ledger, parts.store, again=True).names == ()


def test_a_cancelled_correction_gives_way_to_the_order_before_it(parts: Parts) -> None:
    order(parts, FIRST, hour=0)
    order(parts, FIRST | {"priority": 9}, hour=1)
    (item,) = parts.ledger.waiting()
    assert item.priority == 9
    newest = parts.ledger.submissions()[0]
    parts.ledger.cancel(newest.digest, "mara")
    (item,) = parts.ledger.waiting()
    assert item.priority == 0


def test_the_first_order_sent_again_is_the_newest(parts: Parts) -> None:
    order(parts, FIRST, hour=0)
    order(parts, FIRST | {"priority": 9}, hour=1)
    order(parts, FIRST, hour=2)
    (item,) = parts.ledger.waiting()
    assert item.priority == 0 and len(parts.ledger.submissions()) == 2


def test_a_correction_reaches_the_retakes_too(parts: Parts) -> None:
    order(parts, FIRST, hour=0)
    keep(parts)
    parts.ledger.decide(making.a_choice(SPEC, Verdict.RETAKE, changes=Changes()), reviewer="rita")
    assert plan_retakes(parts).planned == 1
    order(parts, FIRST | CORRECTIONS["name"], hour=1)
    (item,) = parts.ledger.waiting()
    assert item.digest != SPEC.digest
    assert parts.ledger.briefs([item.digest])[item.digest].name == "order-1.yaml"


def test_an_order_that_comes_while_the_image_is_made_is_not_forgotten(parts: Parts) -> None:
    order(parts, FIRST, hour=0)
    old = parts.ledger.briefs([SPEC.digest])[SPEC.digest].submission
    order(parts, FIRST | CORRECTIONS["criteria"], hour=1)
    parts.ledger.keep_many([making.a_keeping(SPEC, submission=old)])
    assert parts.ledger.picture(SPEC.digest).entry.outdated


def test_an_image_whose_bytes_are_gone_is_told_and_holds_up_no_other(parts: Parts) -> None:
    order(parts, FIRST, hour=0)
    submission = parts.ledger.briefs([SPEC.digest])[SPEC.digest].submission
    parts.ledger.keep_many([making.a_keeping(SPEC, submission=submission)])
    order(parts, FIRST | CORRECTIONS["palette"], hour=1)
    renewed = renew(parts)
    assert renewed.images == 0 and "could not be checked again" in renewed.problems[0]
    assert parts.ledger.picture(SPEC.digest).entry.outdated, "tried again the next time"


def test_a_first_order_changes_nothing(sqlite_ledger: Ledger) -> None:
    assets = [{"name": "red potion", "prompt": "x"}]
    manifest = Manifest.model_validate({"project": "potions", "model": "m", "assets": assets})
    assert list_order_changes(manifest, [SPEC], sqlite_ledger) == []
