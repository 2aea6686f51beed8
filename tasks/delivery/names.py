"""Names of delivered files that Windows, macOS, S3 and game engines take, in any script or in ASCII alone. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from schemas.fields import fill_delivery_name
from schemas.spec import ImageSpec

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that mean a device on Windows, with whatever ending."""
LONGEST = 160
"""UTF-8 bytes of one folder or file name, endings not included: file systems allow 255, the object store 200."""


def make_delivery_path(spec: ImageSpec, template: str, *, ending: str, is_ascii: bool = False) -> str:
    """The path under delivery/. `ending`: without its point; that of the template gives way to it."""
    path, _, _ = fill_delivery_name(template, spec).rpartition(".")
    *folders, stem = path.split("/")
    parts = [spec.project, *filter(None, folders), stem]
    return "/".join(make_safe_name(part, is_ascii=is_ascii) for part in parts) + f".{ending}"


def make_safe_name(part: str, *, is_ascii: bool = False) -> str:
    """One folder or file name without spaces, points at its ends or signs; never a Windows device, never empty. One
    that is too long is cut, and ends with a digest of the whole, so that long names stay different.

    `is_ascii`: other scripts are transliterated, as far as one letter can stand for another (AnyAscii).
    """
    plain = unicodedata.normalize("NFC", part)
    if is_ascii:
        from anyascii import anyascii

        plain = anyascii(plain)
    plain = re.sub("\0+", "_", "".join(letter if _is_letter(letter) else "\0" for letter in plain)).strip(".")
    if len(plain.encode()) > LONGEST:
        digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
        plain = f"{plain.encode()[: LONGEST - 10].decode(errors='ignore').rstrip('.')}_{digest}"
    return f"_{plain}" if not plain or RESERVED.fullmatch(plain) else plain


def fold_name(name: str) -> str:
    """Names that differ by more than capitals and normalisation have different folds: on Windows, on macOS and in
    Unreal the others are one file."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _is_letter(letter: str) -> bool:
    """Letters and digits of any script with the marks that belong to them, and three signs."""
    return letter.isalnum() or letter in "_.-" or unicodedata.category(letter).startswith("M")
