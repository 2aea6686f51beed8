"""The approved images of a project, and the brand's references, are what a new image is compared with."""

from __future__ import annotations

from typing import Any

from schemas.manifest import FrozenFile
from schemas.review import Criterion, Verdict
from storage.pictures import encode
from tasks.checking import Checker
from tests import making
from tests.checks.test_look import draw
from tests.conftest import Stack
from tests.flows.studio import parts_of


def test_what_stands_approved_is_compared_with(stack: Stack) -> None:
    parts = parts_of(stack.settings, stack.ledger, stack.store)
    parts.settings = parts.settings.model_copy(update={"checks": True})
    body: dict[str, Any] = {"project": "potions", "model": "studio-tiny"}
    body["assets"] = [{"name": "red potion", "prompt": "x"}]
    body["brand"] = {"references": ["a.png"]}
    file = encode(draw(50), making.a_spec(50))
    key = stack.store.put_content("sources", file.data, extension="png", media_type="image/png")
    files = {"a.png": FrozenFile(digest=key[-68:-4], key=key, width=128, height=128).model_dump()}
    specs = [making.a_spec(number, project="potions", width=128, height=128) for number in range(24)]
    making.planned(stack.ledger, specs, submission=making.a_submission(body=body))
    checker = Checker(parts)
    rules = checker.rules("x", body, files)
    for number, spec in enumerate(specs):
        found = checker.check(spec, draw(number), rules, [Criterion.BRAND]).findings
        assert "not compared" in found[0].sentence  # nothing is approved yet
        stack.ledger.keep_many([making.a_keeping(spec, found)])
        verdict = Verdict.REJECT if number == 0 else Verdict.APPROVE
        stack.ledger.decide(making.a_choice(spec, verdict), reviewer="rita")
    assert len(stack.ledger.approved_looks("potions")) == 23 and stack.ledger.approved_looks("other") == {}
    assert len(stack.ledger.approved_looks("potions", limit=5)) == 5
    new, *_ = Checker(parts).check(making.a_spec(99), draw(99), rules, [Criterion.BRAND]).findings
    assert "24 approved pictures" in new.sentence  # 23 images and a reference
    nearest = new.data["nearest_approved"]
    assert isinstance(nearest, list) and set(nearest) <= {spec.digest for spec in specs[1:]}
    again, *_ = Checker(parts).check(specs[5], draw(5), rules, [Criterion.BRAND]).findings
    assert "23 approved pictures" in again.sentence and specs[5].digest not in again.data["nearest_approved"]  # type: ignore[operator]
