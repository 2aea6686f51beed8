"""A night begun now by somebody who does not wait for it: the review app's *make it now*."""

from __future__ import annotations

import os
import subprocess
import sys

from schemas.errors import SettingsError
from schemas.settings import Settings
from storage.ledger.nights import as_sentence
from tasks.parts import open_parts
from tasks.shift.leases import free_dead


def begin(settings: Settings, *, by: str) -> str:
    """Asks the Prefect server for a night outside the working window; without one, starts `dailies run` as a process
    of its own that outlives this one. Returns what was begun, or that a night runs already, as a sentence."""
    parts = open_parts(settings)
    free_dead(parts.ledger, folder=settings.home / "workers")
    if (running := parts.ledger.running_night()) is not None:
        return f"{as_sentence(running)}."
    if os.environ.get("PREFECT_API_URL"):
        from prefect.deployments import run_deployment
        from prefect.exceptions import ObjectNotFound

        asked = {"by": by, "windowed": False}
        try:
            run = run_deployment("nightly/nightly", parameters=asked, timeout=0, as_subflow=False)
        except ObjectNotFound:
            raise SettingsError(
                "the Prefect server of PREFECT_API_URL has no deployment nightly/nightly; `dailies deploy` makes it"
            ) from None
        return f"A night was asked for on the Prefect server: flow run {run.name}."
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / "now.log"
    with log.open("ab") as out:
        subprocess.Popen(
            [sys.executable, "-m", "flows", "run", f"--by={by}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return f"A night begins on this machine; what it says goes to {log}."
