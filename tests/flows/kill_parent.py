"""A process that has imported everything and started nothing; each line on stdin makes it fork a night and kill it.

    {"environment": {...}}  ->  {"status": the child's wait status}

A forked child costs tenths of a second where a new process would import torch for eight. The parent never runs a
tensor operation and opens no database, so nothing but modules is inherited.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback


def main() -> None:
    # What a night imports, and what its stages import when they first need it.
    import diffusers  # noqa: F401
    from diffusers import ControlNetModel, StableDiffusionXLPipeline  # noqa: F401

    import tasks.deliver  # noqa: F401

    assert threading.active_count() == 1, "threads do not survive a fork"

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _night(json.loads(line)["environment"])
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": status}), flush=True)


def _night(environment: dict[str, str]) -> None:
    """The child: never returns."""
    status = 1
    try:
        os.environ.update(environment)
        sys.stdin.close()
        os.dup2(os.open(environment["NIGHT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        import torch

        from flows.embedded import unwatched
        from flows.nightly import nightly
        from schemas.settings import Settings
        from tasks.deliver import deliver
        from tasks.parts import open_parts, using

        torch.set_num_threads(1)
        parts = open_parts(Settings())
        if environment["DO"] == "deliver":
            deliver(parts.ledger, parts.store)
        else:
            with using(parts), unwatched():
                print(nightly(by="kill test", windowed=False), flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
