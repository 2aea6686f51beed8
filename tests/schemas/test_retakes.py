"""What a reason for a retake proposes, and what becomes of it."""

from __future__ import annotations

import pytest

from schemas.manifest import RetakeDefault
from schemas.retakes import HOUSE, find_manifest_default, propose_changes
from schemas.review import Changes, Drawing, Reason, apply_changes
from schemas.spec import ControlSpec, ModelRef, ReferenceSpec
from tests.making import a_spec, sha

MODEL = ModelRef(alias="studio-tiny/canny", digest="1" * 64)
CONTROL = ControlSpec(type="canny", image=sha("c"), model=MODEL, controlnet_conditioning_scale=0.8)
REFERENCE = ReferenceSpec(image=sha("r"), model=MODEL, scale=0.6)


def test_every_reason_has_a_house_answer() -> None:
    assert set(HOUSE) == set(Reason)


@pytest.mark.parametrize(
    ("reason", "fields", "way", "changes"),
    [
        (Reason.HANDS, {}, "region", {"negative_prompt": "extra fingers, missing fingers", "strength": 0.6}),
        (Reason.OFF_BRAND, {"references": (REFERENCE,)}, "change", {"reference_scale": 0.78}),
        (Reason.OFF_BRAND, {"source": sha("s"), "strength": 0.5}, "change", {"keep_colour": True}),
        (Reason.OFF_BRAND, {}, "change", {}),
        (Reason.COMPOSITION, {"controls": (CONTROL,)}, "change", {"controlnet_conditioning_scale": 1.0}),
        (Reason.SEAM, {}, "change", {"seamless": "xy"}),
        (Reason.SEAM, {"seamless": "xy"}, "change", {}),
        (Reason.ARTEFACT, {}, "seed", {}),
    ],
)
def test_what_the_house_proposes(reason: Reason, fields: dict, way: str, changes: dict) -> None:
    assert propose_changes(a_spec(**fields), {})[reason] == {"way": way, "changes": changes}


def test_the_manifest_s_own_answer_comes_first() -> None:
    body = {"review": {"retakes": {"hands wrong": {"way": "change", "add_prompt": "five fingers"}}}}
    found = propose_changes(a_spec(prompt="a wizard"), find_manifest_default(body))
    assert found[Reason.HANDS] == {"way": "change", "changes": {"prompt": "a wizard, five fingers"}}
    assert found[Reason.SEAM]["changes"] == {"seamless": "xy"}


def test_what_is_proposed_can_be_asked_for_and_changes_the_spec() -> None:
    spec = a_spec(controls=(CONTROL,), references=(REFERENCE,), source=sha("s"), strength=0.5)
    own = {Reason.BRIEF: RetakeDefault(add_negative="fog", guidance_scale=3.0, strength=0.4, seamless="x")}
    for reason, one in propose_changes(spec, own).items():
        place = Drawing(x=0, y=0, width=0.5, height=0.5) if one["way"] == "region" else None
        child = apply_changes(spec, Changes(**one["changes"], region=place), picture=sha("p"), mask=sha("m"))
        for name, value in one["changes"].items():
            if name == "reference_scale":
                assert child.references[0].scale == value
            elif name == "controlnet_conditioning_scale":
                assert child.controls[0].controlnet_conditioning_scale == value
            else:
                assert getattr(child, name) == value, reason
