"""What the checks are told comes from the submission: words for each variant, logos out of the object store."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from engine.model_files import ModelFiles
from schemas.review import Criterion, Result
from tasks.checking import Checker
from tasks.parts import Parts
from tests.checks.test_logos import logo, put, size
from tests.conftest import Stack
from tests.making import a_spec
from tests.studio import catalogue_path

BODY: dict[str, Any] = {
    "project": "P",
    "model": "studio-tiny",
    "brand": {"logos": ["pictures/acme.png"]},
    "assets": [
        {"name": "Sign", "prompt": "$word", "values": {"word": ["INN", "OPEN"]}, "text": {"must_read": "$word"}},
    ],
}


def test_logos_and_words_of_the_submission_reach_the_checks(local_stack: Stack) -> None:
    data = io.BytesIO()
    Image.fromarray(logo()).save(data, "PNG")
    key = local_stack.store.put_content("sources", data.getvalue(), extension="png", media_type="image/png")
    parts = Parts(local_stack.settings, local_stack.ledger, local_stack.store, ModelFiles.read(catalogue_path()))
    checker = Checker(parts)
    rules = checker.rules("s" * 64, BODY, {"pictures/acme.png": {"key": key}})
    spec = a_spec(1, project="P", asset="Sign", variant="OPEN_01")
    checked = checker.check(spec, put(size(180, 90)), rules, [Criterion.TEXT, Criterion.BRAND])
    by_check = {finding.check: finding for finding in checked.findings}
    assert by_check[Criterion.TEXT].data["must_read"]["expected"] == "OPEN"  # type: ignore[index]
    assert by_check[Criterion.BRAND].result is Result.FLAG and "logo acme is bent" in by_check[Criterion.BRAND].sentence
    assert checked.phash and checked.colours

    unreadable = checker.rules("t" * 64, BODY, {"pictures/acme.png": {"key": "sources/00/absent.png"}})
    crashed = checker.check(spec, put(size(180, 90)), unreadable, [Criterion.BRAND])
    assert {finding.result for finding in crashed.findings} == {Result.ERROR}
