"""SIGKILL at named points, then the same again: nothing is lost, nothing is there twice, every image reaches the inbox.

One ledger is killed again and again, so each run must first recover from the one before it. Small real images from the
real engine, in children of one forking parent (kill_parent.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.review import Choice, Verdict
from schemas.settings import ROOT
from tasks.parts import Parts
from tests.conftest import Stack
from tests.flows.studio import PLAIN, parts_of, submit_to, write_manifest
from tests.studio import catalogue_path

NIGHT = (
    "night.after_start",
    "plan.before",
    "ledger.plan.before_commit",
    "ledger.plan.after_commit",
    "ledger.planned.before_commit",
    "plan.after",
    "night.after_planning",
    "ledger.claim.before_commit",
    "ledger.claim.after_commit",
    "render.before_device",
    "render.after_device",
    "objects.{write}:2",
    "objects.{written}:5",
    "keep.after_images",
    "keep.before_thumbs:2",
    "keep.before_record",
    "ledger.keep.before_commit",
    "ledger.keep.after_commit",
    "keep.after_record:2",
    "ledger.retake.before_commit",
    "retake.after_plan",
    "night.after_making",
    "report.before_record",
    "ledger.end_night.after_commit",
)
DELIVERY = ("deliver.after_bytes", "deliver.after_sidecar", "ledger.deliver.before_commit", "deliver.after_record")


class Killer:
    """The forking parent, and what its children need to find the stack."""

    def __init__(self, stack: Stack, log: Path) -> None:
        self.log = log
        self.environment = stack.environment | {
            "DAILIES_CATALOGUE": str(catalogue_path()),
            "DAILIES_DEVICE": "cpu",
            "DAILIES_CHECKS": "false",
            "DAILIES_BATCH_SIZE": "2",
            "DAILIES_MAX_ATTEMPTS": "1000",
            "NIGHT_LOG": str(log),
        }
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        one["TOKENIZERS_PARALLELISM"] = "false"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.kill_parent"],
            cwd=ROOT,
            env=os.environ | self.environment | one,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
            text=True,
        )
        assert self._read() == {"ready": True}

    def run(self, do: str = "night", *, kill_at: str = "") -> int:
        """Returns the signal that ended the child; 0 when it ended well."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(self.environment | {"DO": do, "DAILIES_KILL_AT": kill_at}) + "\n")
        self.process.stdin.flush()
        status = self._read()["status"]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, self.log.read_text()[-4000:]
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        return dict(json.loads(line))

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=30)


@pytest.fixture
def killer(stack: Stack, tmp_path: Path) -> Iterator[Killer]:
    killer = Killer(stack, tmp_path / "nights.log")
    yield killer
    killer.close()


@pytest.mark.timeout(1800)
def test_killed_anywhere_and_run_again(stack: Stack, killer: Killer, tmp_path: Path) -> None:
    parts = parts_of(stack.settings, stack.ledger, stack.store)
    folder = stack.name == "local"
    names = {"write": "before_link" if folder else "before_put", "written": "after_link" if folder else "after_put"}
    specs: set[str] = set()
    retakes = 0

    for number, point in enumerate(name.format(**names) for name in NIGHT):
        # 1. More work, and a decision to answer where that is what will be interrupted.
        text = PLAIN.replace("seeds: 4", f"seeds: [{2 * number}, {2 * number + 1}]")
        submit_to(parts, write_manifest(tmp_path / str(number), text))
        if "retake" in point:
            image = parts.ledger.inbox(limit=1)[0].digest
            parts.ledger.decide(Choice(image=image, revision=0, verdict=Verdict.RETAKE, note="again"), reviewer="rita")
            retakes += 1
        # 2. Death, and what is true then.
        assert killer.run(kill_at=point) == signal.SIGKILL, (
            f"{point} was not reached:\n{killer.log.read_text()[-3000:]}"
        )
        sound(parts)

    # 3. Once more, undisturbed: everything that was asked for is there, once.
    assert killer.run() == 0
    specs = sound(parts)
    assert len(specs) == 2 * len(NIGHT) + retakes
    assert parts.ledger.waiting() == [] and parts.ledger.set_aside() == [] and parts.ledger.in_hand() == 0
    assert parts.ledger.unplanned() == [] and parts.ledger.awaiting_retake() == []
    assert len(parts.ledger.inbox(limit=1000)) == len(specs) - retakes

    # 4. Delivery likewise.
    for item in parts.ledger.inbox(limit=1000):
        parts.ledger.decide(Choice(image=item.digest, revision=0, verdict=Verdict.APPROVE), reviewer="rita")
    for point in DELIVERY:
        assert killer.run("deliver", kill_at=point) == signal.SIGKILL, point
    assert killer.run("deliver") == 0
    delivered = parts.ledger.deliveries()
    assert len(delivered) == len(specs) - retakes
    assert all(count == 1 for count in Counter(delivery.name for delivery in delivered).values())


def sound(parts: Parts) -> set[str]:
    """Every record has its bytes, whole and unchanged, and one place in the inbox; returns the images' specs."""
    frames = [f for asset in parts.ledger.assets() for f in parts.ledger.contact_sheet(asset.project, asset.asset)]
    made = [frame.digest for frame in frames if frame.thumb_key]
    assert all(count == 1 for count in Counter(made).values())
    for digest in made:
        picture = parts.ledger.picture(digest)
        assert hashlib.sha256(parts.store.get(picture.image.object_key)).hexdigest() == picture.image.sha256
        assert picture.entry.image == digest
        assert re.fullmatch(rf"images/../{picture.image.sha256}\.png", picture.image.object_key)
        assert parts.store.size(picture.image.preview_key) and parts.store.size(picture.image.thumb_key)
    return set(made)
