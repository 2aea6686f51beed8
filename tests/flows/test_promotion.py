"""Approved drafts become finals: when a reviewer asks, always, or never."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.review import Changes, Choice, Reason, Verdict
from schemas.spec import Task, Tier
from tasks.delivery.deliver import deliver
from tasks.parts import Parts
from tasks.planning.retake import plan_retakes
from tests.flows.studio import PLAIN, night, submit_to, write_manifest

DRAFT = PLAIN.replace("seeds: 4", "seeds: 1, tier: draft").replace(
    "tiers:", "tiers:\n  draft: {scheduler: LCM, num_inference_steps: 1, guidance_scale: 1.0}"
)


@pytest.mark.parametrize(
    ("when", "asked", "planned"),
    [("always", False, 1), ("asked", True, 1), ("asked", False, 0), ("never", True, 0)],
)
def test_an_approved_draft_is_remade_as_the_manifest_says(
    local: Parts, tmp_path: Path, when: str, asked: bool, planned: int
) -> None:
    submit_to(local, write_manifest(tmp_path, DRAFT + f"promotion: {{when: {when}, strength: 1.0}}\n"))
    assert night(local)["made"] == 1
    [draft] = [local.ledger.picture(item.digest) for item in local.ledger.inbox(limit=10)]
    changes = Changes(tier=Tier.FINAL) if asked else None
    choice = Choice(image=draft.spec.digest, revision=0, verdict=Verdict.APPROVE, changes=changes)
    local.ledger.decide(choice, reviewer="rita")
    said = plan_retakes(local)
    assert (said.planned, len(said.refused)) == (planned, 1 if when == "never" else 0)
    assert plan_retakes(local).planned == 0, "it is answered once"
    if planned:
        assert night(local)["made"] == 1
        [final] = [local.ledger.picture(item.digest) for item in local.ledger.inbox(limit=10)]
        assert (final.spec.parent, final.spec.tier, final.spec.task) == (draft.spec.digest, Tier.FINAL, Task.IMG2IMG)
        assert (final.spec.source, final.spec.seed) == (draft.image.sha256, draft.spec.seed)
        assert not final.spec.loras, "the draft's distilled LoRA stays with the draft"
    left = len(deliver(local.ledger, local.store).names)
    assert left == (0 if planned else 1), "its final will leave in its place, once that is approved"


def test_few_step_weights_take_no_more_steps_from_a_reviewer_either(local: Parts, tmp_path: Path) -> None:
    submit_to(local, write_manifest(tmp_path, DRAFT))
    assert night(local)["made"] == 1
    [draft] = [local.ledger.picture(item.digest) for item in local.ledger.inbox(limit=10)]
    choice = Choice(
        image=draft.spec.digest,
        revision=0,
        verdict=Verdict.RETAKE,
        reasons=(Reason.ARTEFACT,),
        note="smoother",
        changes=Changes(num_inference_steps=40, guidance_scale=7.0),
    )
    local.ledger.decide(choice, reviewer="rita")
    [refused] = plan_retakes(local).refused
    assert "num_inference_steps: got 40; expected 1 to 12 steps for studio-tiny/lcm (lcm)" in refused
    assert "guidance_scale: got 7; expected 0 to 2" in refused
