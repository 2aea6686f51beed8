"""fsck over a million images: seconds and memory.

    python -m bench.upkeep [--images 1000000] [--keep FOLDER]

Fills a SQLite ledger and a folder as the night would have: a real spec, its record, its inbox entry and its own object
of some bytes for each image; a hundred images share a preview and a thumbnail. A tenth is approved. Then two runs of
`dailies fsck`, as processes of their own: one only looks whether an object is there, one compares it with its digest.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert

from bench.million import a_spec
from schemas.records import Decision, Image, InboxEntry, Job, Order, Spec, Submission
from storage.database import migrate, open_database
from storage.objects import FolderStore, content_key

AT_ONCE = 10_000
MADE = datetime(2026, 1, 1, tzinfo=UTC)
NAMED = {"project": "project 0", "asset": "red potion"}
BASE = a_spec(0).model_copy(update=NAMED)
BODY, BATCH, AFFINITY = BASE.model_dump(mode="json"), BASE.batch_key, BASE.affinity_key
SHARE = 100
"""Images of one preview."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=1_000_000)
    asked.add_argument("--keep", type=Path, help="folder for the filled studio, to be used again")
    given = asked.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = folder.resolve() / f"studio-{given.images}"
        if not (home / "filled").exists():
            begun = time.monotonic()
            fill(home, given.images)
            print(f"filled in {time.monotonic() - begun:.0f} s", flush=True)
        for words in (["--quick"], []):
            print(f"fsck {' '.join(words) or '(every byte)':14} {measure(home, words)}", flush=True)


def fill(home: Path, images: int) -> None:
    engine = open_database(f"sqlite:///{home / 'dailies.db'}")
    migrate(engine)
    store = FolderStore(home / "objects")
    manifest = put(store, "manifests", b"project: project 0\n", "yaml")
    sent = "f" * 64
    with engine.begin() as connection:
        connection.execute(insert(Submission), [submission(sent, manifest)])
    for first in range(0, images, AT_ONCE):
        write(engine, [rows(store, sent, n) for n in range(first, min(first + AT_ONCE, images))])
    engine.dispose()
    (home / "filled").touch()


def write(engine: Engine, some: list[dict[Any, dict[str, Any]]]) -> None:
    with engine.begin() as connection:
        for table in (Spec, Order, Job, Image, Decision, InboxEntry):
            if listed := [row[table] for row in some if table in row]:
                connection.execute(insert(table), listed)


def rows(store: FolderStore, sent: str, n: int) -> dict[Any, dict[str, Any]]:
    spec = BASE.model_copy(update={"seed": n, "variant": f"s{n}"})
    data = f"pixels of {n}".encode()
    queue = {"priority": 0, "due": datetime(9999, 12, 31).date(), "submitted_by": "Mara", "planned_at": MADE}
    image: dict[str, Any] = NAMED | {
        "digest": spec.digest, "sha256": hashlib.sha256(data).hexdigest(), "conditions": [],
        "object_key": put(store, "images", data, "png"),
        "preview_key": put(store, "previews", b"preview %d" % (n // SHARE), "webp"),
        "thumb_key": put(store, "thumbs", b"thumb %d" % (n // SHARE), "webp"),
        "media_type": "image/png", "bytes": len(data), "width": 1024, "height": 1024, "models": {"sdxl": "0" * 64},
        "versions": {}, "device": "cuda", "dtype": "bfloat16", "batch": {"size": 8, "row": 0}, "made_at": MADE,
        "timings": {"denoise": 0.8}, "gpu_seconds": 0.9, "worker": "gpu:1", "phash": None, "night": None,
        "flow_run": None, "colours": None,
    }  # fmt: skip
    decided = n % 10 == 0
    entry: dict[str, Any] = NAMED | {
        "image": spec.digest, "rank": 0, "flags": "", "criteria": ["hands", "text", "brand"], "reviews_wanted": 1,
        "waiting": not decided, "decision": n + 1 if decided else None, "verdict": "approve" if decided else None,
        "revision": int(decided), "queued_at": MADE, "submission": sent,
    }  # fmt: skip
    decision = {
        "id": n + 1, "image": spec.digest, "project": NAMED["project"], "revision": 1, "verdict": "approve",
        "reviewer": "r1", "role": "reviewer", "marks": {}, "reasons": [], "regions": [], "note": "", "seconds": 2.0,
        "decided_at": MADE,
    }  # fmt: skip
    found = NAMED | queue | {
        "digest": spec.digest, "body": BODY | {"seed": n, "variant": spec.variant}, "variant": spec.variant,
        "tier": spec.tier.value, "batch_key": BATCH, "affinity_key": AFFINITY, "parent": None, "take": 1,
    }  # fmt: skip
    made: dict[Any, dict[str, Any]] = {
        Spec: found,
        Order: {"submission": sent, "spec": spec.digest},
        Job: {"spec": spec.digest, "attempts": 1, "failures": 0, "done_at": MADE},
        Image: image,
        InboxEntry: entry,
    }
    return made | ({Decision: decision} if decided else {})


def submission(digest: str, manifest: str) -> dict[str, Any]:
    return {
        "digest": digest, "name": "icons.yaml", "project": NAMED["project"], "object_key": manifest, "body": {},
        "files": {}, "priority": 0, "submitted_by": "Mara", "submitted_at": MADE, "planned_at": MADE, "warnings": [],
    }  # fmt: skip


def put(store: FolderStore, kind: str, data: bytes, extension: str) -> str:
    """As the store lays it down, without waiting for the disk a million times."""
    key = content_key(kind, data, extension=extension)
    path = f"{store.root}/{key}"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(file, data)
    os.close(file)
    return key


def measure(home: Path, words: list[str]) -> str:
    environment = os.environ | {"DAILIES_HOME": str(home)}
    begun = time.monotonic()
    command = [sys.executable, "-m", "flows", "fsck", "--json", *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = list(last_lines(process.stdout, 3))
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    seconds = time.monotonic() - begun
    return f"{seconds:7.0f} s  {used.ru_maxrss / 1024:6.0f} MiB at most  {json.loads(lines[-1])}"


def last_lines(stream: Any, count: int) -> Iterator[str]:
    kept: list[str] = []
    for line in stream:
        kept = [*kept, line][-count:]
    yield from kept


if __name__ == "__main__":
    main()
