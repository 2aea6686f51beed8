"""What a delivered file says of itself, rewritten without touching a pixel: the label stays, the prompt may go.

PNG, WebP and JPEG XL as storage/pictures.py writes them. Done before signing, which covers every byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from schemas.errors import InputError
from schemas.spec import ImageSpec
from storage.image_metadata import Detail, make_parameters_text, make_spec_text, make_xmp_packet, to_a1111_clip_skip
from storage.pictures import JXL_HEADER, PNG_HEADER, jxl_boxes, jxl_container, make_exif, make_text_chunk

_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_EXIF_FLAG, _XMP_FLAG = 0x08, 0x04


def relabel(data: bytes, spec: ImageSpec, *, detail: Detail, prompt_writer: str = "") -> bytes:
    """The same picture with other text in it. Raises InputError for another format."""
    full, architecture = detail == "full", find_architecture(data, spec)
    xmp = make_xmp_packet(spec, with_spec=full, detail=detail, prompt_writer=prompt_writer)
    if data[:8] == PNG_HEADER:
        texts = (
            {"parameters": make_parameters_text(spec, architecture=architecture), "dailies": make_spec_text(spec)}
            if full
            else {}
        )
        texts["XML:com.adobe.xmp"] = make_xmp_packet(spec, detail=detail, prompt_writer=prompt_writer).decode()
        chunks = [chunk for kind, chunk in _png_chunks(data) if kind not in _TEXTS]
        return (
            PNG_HEADER + chunks[0] + b"".join(make_text_chunk(*pair) for pair in texts.items()) + b"".join(chunks[1:])
        )
    exif = make_exif(spec, architecture) if full else None
    if data[:12] == JXL_HEADER:
        stream = next(body for kind, body in jxl_boxes(data) if kind == b"jxlc")
        return jxl_container(stream, exif=exif, xmp=xmp)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data, exif=exif, xmp=xmp)
    raise InputError("its metadata cannot be rewritten; PNG, WebP and JPEG XL files that Dailies wrote can")


def find_architecture(data: bytes, spec: ImageSpec) -> str:
    """As the file was written: its own A1111 text counts `Clip skip` for SD 1.5 or for SDXL."""
    if spec.clip_skip is None:
        return "sdxl"
    said = f"Clip skip: {to_a1111_clip_skip(spec.clip_skip, 'sd15')},"
    return "sd15" if said.encode() in data or said.encode("utf-16-be") in data else "sdxl"


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_HEADER)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at : at + 12 + size]
        at += 12 + size


def _webp(data: bytes, *, exif: bytes | None, xmp: bytes) -> bytes:
    """RIFF chunks (WebP container specification): VP8X says by flags which of EXIF and XMP there are."""
    body, at = b"", 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + size]
        if kind == b"VP8X":
            flags = content[0] & ~_EXIF_FLAG | _XMP_FLAG | (_EXIF_FLAG if exif is not None else 0)
            content = bytes([flags]) + content[1:]
        if kind not in (b"EXIF", b"XMP "):
            body += _riff(kind, content)
        at += 8 + size + size % 2
    body += (_riff(b"EXIF", exif) if exif is not None else b"") + _riff(b"XMP ", xmp)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
