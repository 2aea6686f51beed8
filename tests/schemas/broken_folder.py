"""The broken manifests with the pictures that they need, some of which git could not keep."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent / "broken"


def lay_out(folder: Path) -> Path:
    """Copies tests/schemas/broken to `folder`/broken and draws its pictures. Returns that folder."""
    made = folder / "broken"
    shutil.copytree(HERE, made)
    Image.new("RGB", (64, 64), "#d62828").save(made / "good.png")
    (made / "broken.png").write_bytes((made / "good.png").read_bytes()[:60])
    (made / "bomb.png").write_bytes(bomb(30_000, 30_000))
    Image.new("RGB", (64, 64)).save(folder / "outside.png")
    (made / "escape.png").symlink_to(folder / "outside.png")
    os.mkfifo(made / "fifo.png")
    return made


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that would decode to `width` x `height` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
