"""Small ICC profiles, written byte by byte (ICC.1:2010), so that no profile of others need be shipped."""

from __future__ import annotations

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Bradford-adapted to D50, columns X Y Z of red, green and blue
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def rgb_profile(primaries: tuple[tuple[float, float, float], ...], *, gamma: float, name: str) -> bytes:
    curve = _curve(gamma)
    tags = {b"rXYZ": _xyz(primaries[0]), b"gXYZ": _xyz(primaries[1]), b"bXYZ": _xyz(primaries[2])}
    return _profile(b"RGB ", b"mntr", b"XYZ ", name, {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def gray_profile(*, gamma: float) -> bytes:
    return _profile(b"GRAY", b"mntr", b"XYZ ", "Grey", {b"kTRC": _curve(gamma)})


def cmyk_profile(corners: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """An A2B0 table of the 16 corners (0 or 1 of each ink) as CIE Lab."""
    table = b"".join(
        struct.pack(">3B", *(round(lab[0] * 2.55), round(lab[1] + 128), round(lab[2] + 128)))
        for _, lab in sorted(corners.items())
    )
    identity = b"".join(struct.pack(">i", 65536 if row == column else 0) for row in range(3) for column in range(3))
    ramp = bytes(range(256))
    a2b = b"mft1\0\0\0\0" + struct.pack(">4B", 4, 3, 2, 0) + identity + ramp * 4 + table + ramp * 3
    return _profile(b"CMYK", b"prtr", b"Lab ", "Sixteen inks", {b"A2B0": a2b})


def through(pixels: np.ndarray, primaries: tuple[tuple[float, float, float], ...], *, gamma: float) -> np.ndarray:
    """What the profile means in sRGB, by the formulas: no colour library."""
    return from_d50((pixels / 255.0) ** gamma @ np.array(primaries))


def from_d50(xyz: np.ndarray) -> np.ndarray:
    """XYZ of D50 -> levels of sRGB."""
    light = (xyz @ np.linalg.inv(np.array(SRGB))).clip(0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _xyz(value: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in value))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _profile(space: bytes, kind: bytes, connection: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {b"desc": described, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), **tags}
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size, date, d50 = at + len(body), bytes(12), struct.pack(">3i", *(round(part * 65536) for part in D50))
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"lcms", 0x02100000, kind, space, connection, date, b"acsp")
    return header.ljust(68, b"\0") + d50 + bytes(48) + table + body
