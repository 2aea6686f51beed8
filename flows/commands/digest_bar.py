"""Digests with a bar: taken here, or watched where another process takes them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from engine.model_files import ModelFiles
from schemas.errors import ModelError
from tasks.shift.leases import file_lock

WATCHED = 0.5
"""Seconds between two looks at what another process has taken."""


def take_digests(catalogue: ModelFiles, *, folder: Path, quiet: bool) -> int:
    """The exit code. `folder`: the home, where the lock is. Whoever has it reads; others only look."""
    files = list_files(catalogue)
    if not list_unknown(catalogue, files):
        if not quiet:
            print(f"the digests of all {len(files)} files are known")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "digests.lock") as mine:
        if quiet:
            failed = catalogue.digests.take(list_unknown(catalogue, files)) if mine else []
        else:
            failed = _with_bar(catalogue, files, mine=mine)
    for sentence in failed:
        print(sentence, file=sys.stderr)
    return 1 if failed else 0


def list_files(catalogue: ModelFiles) -> dict[Path, int]:
    """Every file that goes into a digest, and its bytes; the small ones first, so that much is known soon."""
    files: dict[Path, int] = {}
    for alias in catalogue.entries:
        try:
            files |= {path: path.stat().st_size for path in catalogue.hashed(alias)}
        except (ModelError, OSError):
            continue  # `models check` says so
    return dict(sorted(files.items(), key=lambda item: item[1]))


def list_unknown(catalogue: ModelFiles, files: dict[Path, int]) -> list[Path]:
    return [path for path in files if path.exists() and not catalogue.digests.has(path)]


def _with_bar(catalogue: ModelFiles, files: dict[Path, int], *, mine: bool) -> list[str]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    unknown = list_unknown(catalogue, files)
    total = sum(files[path] for path in unknown)
    said = f"{len(unknown)} files" if mine else f"{len(unknown)} files, by another process"
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(said, total=total)
        if mine:
            return catalogue.digests.take(unknown, lambda count: progress.advance(bar, count))
        left = unknown
        while left:
            time.sleep(WATCHED)
            catalogue.digests.look_again()
            left = list_unknown(catalogue, files)
            progress.update(bar, completed=total - sum(files[path] for path in left))
    return []
