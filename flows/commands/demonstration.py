"""The first five minutes: a worked example is submitted, made overnight at once, and waits to be looked at."""

from __future__ import annotations

import time

from sqlalchemy import make_url

from flows.commands.status import print_night
from flows.one_machine import run_night
from schemas.settings import ROOT, Settings
from tasks.parts import open_parts
from tasks.planning.submit import submit_manifest

MANIFEST = ROOT / "manifests" / "demo" / "demo.yaml"


def demonstrate(settings: Settings) -> None:
    """Does only what was not done before, so a second start is quick."""
    began = time.monotonic()
    parts = open_parts(settings)
    submission, new = submit_manifest(
        MANIFEST, settings=settings, catalogue=parts.catalogue, ledger=parts.ledger, store=parts.store
    )
    print(f"{submission.name} for {submission.project}: {'submitted' if new else 'was submitted before'}")
    result = run_night(settings, by="dailies demo", windowed=False)
    print_night(result, settings)
    for asset in parts.ledger.assets(submission.project):
        print(f"  {asset.asset:14} {asset.made:3} of {asset.asked} made, {asset.waiting} to be reviewed")
    print(f"objects: {settings.objects}")
    print(f"ledger:  {make_url(settings.database).render_as_string(hide_password=True)}")
    print(f"{time.monotonic() - began:.0f} s")
