"""SHA-256 of files, each taken once: remembered by path, size and modification time, between processes too."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from engine.remembered import read_remembered, write_remembered

AT_ONCE = 2
"""Files that are read at the same time: hashlib releases the interpreter, and disks are faster than one core."""
_DIGEST = re.compile("[0-9a-f]{64}")
BLOCK = 4 * 2**20
"""Bytes between two calls of `told`."""


class Digests:
    """`file`: where they are remembered; None: in this object only."""

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._lock = file, Lock()
        self._known = self._read()

    def sha256(self, path: Path, told: Callable[[int], object] | None = None) -> str:
        """Hex. `told` hears how many more bytes were read. Raises OSError."""
        key = _key(path)
        if key not in self._known:
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256") if told is None else _hash(opened, told)
            with self._lock:
                self._known[key] = digest.hexdigest()
                self._write()
        return self._known[key]

    def has(self, path: Path) -> bool:
        return _key(path) in self._known

    def take(self, paths: Iterable[Path], told: Callable[[int], object] | None = None) -> list[str]:
        """Of those that are not known yet, a few at once. One sentence for each that cannot be read."""
        failed: list[str] = []

        def one(path: Path) -> None:
            try:
                self.sha256(path, told)
            except OSError as wrong:
                failed.append(f"{path}: {wrong.strerror}")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, [path for path in paths if not self.has(path)]))
        return failed

    def look_again(self) -> None:
        """Takes over what another process has remembered since."""
        with self._lock:
            self._known = self._read() | self._known

    def _read(self) -> dict[str, str]:
        known = read_remembered(self._file)
        return {key: digest for key, digest in known.items() if isinstance(digest, str) and _DIGEST.fullmatch(digest)}

    def _write(self) -> None:
        if self._file is None:
            return
        self._known = self._read() | self._known  # another process may have written
        write_remembered(self._file, self._known)


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path}|{stat.st_size}|{stat.st_mtime_ns}"


def _hash(opened: object, told: Callable[[int], object]) -> hashlib._Hash:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(BLOCK))
    while count := opened.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
        told(count)
    return digest
