"""Whose licence forbids sale: warned of before, refused when it is to leave, and said in sidecar and disclosure."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from schemas.catalogue import Catalogue, is_non_commercial
from schemas.errors import InputError, LicenceRefused
from schemas.manifest import Manifest
from schemas.rules.warnings import find_warnings
from schemas.spec import LoraRef
from tasks.delivery.deliver import deliver
from tasks.delivery.disclosure import list_disclosure, write_csv, write_markdown
from tests import making
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, manifest, spec

CATALOGUE = Catalogue.parse(
    """
studio-tiny: {kind: checkpoint, path: a, licence: Apache-2.0}
pretty: {kind: lora, path: b, licence: CC-BY-NC-4.0}
odd: {kind: lora, path: c, licence: ask them, non_commercial: true}
fast: {kind: lora, path: d, licence: openrail++}
""",
    name="catalogue.yaml",
    folder=Path(),
)


@pytest.mark.parametrize(
    ("text", "forbids"),
    [
        ("CC-BY-NC-SA-4.0", True), ("FLUX.1 [dev] Non-Commercial License", True), ("research only", True),
        ("noncommercial", True), ("CC-BY-4.0", False), ("openrail++", False), ("", False),
        ("Prince NCR licence", False),
    ],
)  # fmt: skip
def test_what_a_licence_s_words_say(text: str, forbids: bool) -> None:
    assert is_non_commercial(text) is forbids


def worn(*aliases: str, seed: int = 1) -> object:
    return spec(seed=seed, loras=tuple(LoraRef(alias=alias, digest="1" * 64, weight=0.5) for alias in aliases))


def test_what_must_not_be_sold_is_refused_and_the_rest_leaves(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    approved(ledger, store, [worn("pretty"), worn("fast", seed=2)], manifest("red potion"))  # type: ignore[list-item]
    done = deliver(ledger, store, catalogue=CATALOGUE)
    (failure,) = done.failures
    assert isinstance(failure.error, LicenceRefused) and "lora pretty (CC-BY-NC-4.0)" in str(failure)
    assert "non_commercial: true" in str(failure) and done.exit_code == 2
    said = json.loads(store.get(f"delivery/{done.names[0]}.json"))["licences"]
    assert [(one["what"], one["kind"], one["licence"]) for one in said] == [
        ("studio-tiny", "checkpoint", "Apache-2.0"),
        ("fast", "lora", "openrail++"),
    ]


def test_it_leaves_where_the_manifest_says_that_nothing_is_sold(local_stack: Stack) -> None:
    said = manifest("red potion", delivery={"non_commercial": True})
    approved(local_stack.ledger, local_stack.store, [worn("pretty", "odd")], said)  # type: ignore[list-item]
    (name,) = deliver(local_stack.ledger, local_stack.store, catalogue=CATALOGUE).names
    body = json.loads(local_stack.store.get(f"delivery/{name}.json"))
    assert {one["what"] for one in body["licences"] if one.get("non_commercial")} == {"pretty", "odd"}


def test_a_final_over_a_draft_was_made_by_the_draft_s_models_too(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    draft = worn("odd")
    final = spec(seed=1, variant="s1", parent=draft.digest, take=2, source="9" * 64, strength=0.5)  # type: ignore[attr-defined]
    other_seed = spec(seed=3, parent=draft.digest, take=2)  # type: ignore[attr-defined]
    making.planned(ledger, [draft], submission=making.a_submission("first"))  # type: ignore[list-item]
    approved(ledger, store, [final, other_seed], manifest("red potion"))
    done = deliver(ledger, store, catalogue=CATALOGUE)
    assert [failure.digest for failure in done.failures] == [final.digest] and len(done.names) == 1


def test_a_check_warns(local_stack: Stack) -> None:
    said = Manifest.model_validate(
        {
            "project": "p",
            "model": "studio-tiny",
            "loras": {"pretty": 0.5},
            "pictures": {"licence": "CC-BY-NC-4.0"},
            "assets": [{"name": "a", "prompt": "x", "loras": {"odd": 1.0}}],
        }
    )
    paths = {path for path, came, _ in find_warnings(said, CATALOGUE) if "licence" in came}
    assert paths == {("loras", "pretty"), ("assets", 0, "loras", "odd"), ("pictures", "licence")}
    quiet = said.model_copy(update={"delivery": said.delivery.model_copy(update={"non_commercial": True})})
    assert not [came for _, came, _ in find_warnings(quiet, CATALOGUE) if "licence" in came]


def test_the_disclosure_names_what_stores_ask_for(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    source = "5" * 64
    said = manifest(
        assets=[
            {"name": "brick", "kind": "texture", "prompt": "x", "sources": "brick.png", "used_in": "level 2 | walls"},
            {"name": "red potion", "prompt": "x", "used_in": "shop"},
        ],
        pictures={"licences": {"brick.png": "CC0, A. Lo"}},
    )
    frozen = {"brick.png": {"digest": source, "key": "sources/55/x.png", "width": 64, "height": 64}}
    specs = [spec("brick", kind="texture", source=source, strength=0.5), spec(seed=2)]
    making.planned(
        ledger, specs, submission=making.a_submission("with files", files=frozen, body=said.model_dump(mode="json"))
    )
    approved(ledger, store, specs, said)
    submission = making.a_submission("again", files=frozen, body=said.model_dump(mode="json"))
    making.planned(ledger, specs, submission=submission)
    deliver(ledger, store, catalogue=CATALOGUE)
    rows = list_disclosure("Potion Shop", ledger=ledger, catalogue=CATALOGUE)
    assert [(row.asset, row.how, row.used_in, row.pictures, row.approved_by) for row in rows] == [
        ("brick", "a given picture, changed by a model", "level 2 | walls", "brick.png", "rita"),
        ("red potion", "made by a model", "shop", "", "rita"),
    ]
    assert "brick.png: CC0, A. Lo" in rows[0].licences and rows[0].models == "studio-tiny"
    table = list(csv.DictReader(io.StringIO(write_csv(rows).decode("utf-8-sig"))))
    assert [row["digital_source_type"] for row in table] == [
        "compositeWithTrainedAlgorithmicMedia",
        "trainedAlgorithmicMedia",
    ]
    page = write_markdown("Potion Shop", rows).decode()
    assert "level 2 \\| walls" in page and "- 1 made by a model" in page and "- studio-tiny: Apache-2.0" in page
    with pytest.raises(InputError, match="nothing of project 'Castle' was delivered"):
        list_disclosure("Castle", ledger=ledger, catalogue=None)
