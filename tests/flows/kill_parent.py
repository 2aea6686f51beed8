"""A process with a warm engine; each line on stdin makes it fork a night, or a delivery, and kill it somewhere.

    {"DO": "night" | "deliver", "DAILIES_KILL_AT": point, ...environment}  ->  {"status": the child's wait status}

A forked child costs tenths of a second where a new process would import torch and load models for ten. Forking is safe
because the parent computes on one thread (test_kill.py says so to every library) and opens neither database nor store.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    import tqdm

    # What a night imports, and what its stages import when they first need it.
    import flows.nightly  # noqa: F401
    import storage.objects  # noqa: F401
    import tasks.delivery.deliver  # noqa: F401
    from engine.diffuse import Engine
    from engine.model_files import ModelFiles
    from schemas.manifest import Manifest  # noqa: F401
    from schemas.spec import ImageSpec

    tqdm.tqdm.monitor_interval = 0  # it would start a thread
    catalogue = ModelFiles.read(Path(os.environ["DAILIES_CATALOGUE"]))
    engine = Engine(catalogue, device="cpu")
    model = {"alias": "studio-tiny", "digest": catalogue.digest("studio-tiny")}
    names = {
        "project": "Warm",
        "asset": "up",
        "variant": "",
        "prompt": "a potion",
        "scheduler": "EulerDiscreteScheduler",
    }
    sizes = {"seed": 1, "width": 64, "height": 64, "num_inference_steps": 1, "guidance_scale": 1.0}
    engine.render([ImageSpec.model_validate({**names, **sizes, "model": model})])

    assert threading.active_count() == 1, "threads do not survive a fork"
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _night(json.loads(line), engine)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": status}), flush=True)


def _night(environment: dict[str, str], engine: Any) -> None:
    """The child: never returns."""
    status = 1
    try:
        os.environ.update(environment)
        sys.stdin.close()
        os.dup2(os.open(environment["NIGHT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        from flows.embedded import hide_server_output
        from flows.nightly import nightly
        from schemas.settings import Settings
        from tasks.delivery.deliver import deliver
        from tasks.parts import open_parts, use_parts

        parts = open_parts(Settings())
        parts.__dict__["engine"] = engine
        if environment["DO"] == "deliver":
            deliver(parts.ledger, parts.store)
        else:
            with use_parts(parts), hide_server_output():
                print(nightly(by="kill test", windowed=False), flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
