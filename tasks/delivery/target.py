"""A folder that deliveries are written into: a share that artists and engines use, so anything can lie there.

Nothing of somebody else is replaced, and no link is followed out of the folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import stat
from pathlib import Path

from schemas.errors import NameCollision, StoreError
from storage.failpoint import failpoint


def read_file(folder: Path, name: str) -> bytes | None:
    """The bytes that lie under this name; None when nothing does.

    NameCollision when something that is no plain file is there, or on the way to it no plain folder. Never waits: a
    named pipe is not opened.
    """
    try:
        if not _lies_there(folder, name):
            return None
        return (folder / name).read_bytes()
    except OSError as error:
        raise StoreError(f"{folder / name}: {error.strerror or type(error).__name__}") from error


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Whole or not at all, in place of an earlier file; the same bytes again change nothing."""
    path = folder / name
    if read_file(folder, name) == data:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unborn = path.with_name(f"{_part_prefix(path)}{os.getpid()}-{secrets.token_hex(4)}.part")
        try:
            with unborn.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            failpoint("target.before_replace")
            os.replace(unborn, path)
        finally:
            unborn.unlink(missing_ok=True)
        _remove_parts(path)
        failpoint("target.after_replace")
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or type(error).__name__}") from error


def _part_prefix(path: Path) -> str:
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
    return f".{hashlib.sha256(path.name.encode()).hexdigest()[:12]}-{host}-"


def _remove_parts(path: Path) -> None:
    """What a run on this machine left half written under this name when it was killed."""
    for part in path.parent.glob(f"{_part_prefix(path)}*.part"):
        try:
            os.kill(int(part.name.split("-")[2]), 0)
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except (OSError, ValueError, IndexError):
            continue


def _lies_there(folder: Path, name: str) -> bool:
    """Looks at every step from `folder` to `name`, and opens none of them."""
    path = folder
    *folders, _ = parts = name.split("/")
    for depth, part in enumerate(parts):
        path = path / part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(mode):
            raise NameCollision(f"{path} is a symbolic link; nothing is written through it")
        if depth < len(folders) and not stat.S_ISDIR(mode):
            raise NameCollision(f"{path} is no folder, and the image's name needs one there")
        if depth == len(folders) and not stat.S_ISREG(mode):
            raise NameCollision(f"{path} is no plain file, and the image's name is taken by it")
    return True
