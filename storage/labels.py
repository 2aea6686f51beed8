"""What a delivered file says of itself, rewritten without touching a pixel: the label stays, the prompt may go.

PNG, WebP and JPEG XL as storage/pictures.py writes them. Done before signing, which covers every byte.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Container, Iterator

from PIL import Image

from schemas.errors import InputError
from schemas.spec import ImageSpec
from storage.image_metadata import (
    Detail,
    find_digital_source,
    make_parameters_text,
    make_spec_text,
    make_xmp_packet,
    to_a1111_clip_skip,
)
from storage.pictures import JXL_HEADER, PNG_HEADER, jxl_boxes, jxl_container, make_exif, make_text_chunk

_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_EXIF_FLAG, _XMP_FLAG, _ALPHA_FLAG = 0x08, 0x04, 0x10
_XMP_NAME = b"XML:com.adobe.xmp"
_CREDENTIALS = (b"caBX", b"C2PA")
"""Chunks of C2PA manifests, in PNG and in WebP."""


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


def label_import(data: bytes, spec: ImageSpec, *, detail: Detail) -> bytes:
    """A picture made elsewhere, PNG or WebP, with its source type in it.

    `full`: its own text stays, and so do its bytes where they say the source type already. Else its text goes, since it
    may hold prompts. What changes the file ends the C2PA manifest that it came with, which then goes too; a signature
    keeps it as an ingredient.
    """
    if detail == "full" and find_digital_source(spec).encode() in data:
        return data
    if detail == "full":
        return _write_xmp(data, _extend_packet(_read_xmp(data), spec))
    bare = _without(data, (*_CREDENTIALS, *_TEXTS, b"EXIF"))
    return _write_xmp(bare, make_xmp_packet(spec, detail=detail))


def _extend_packet(packet: str, spec: ImageSpec) -> bytes:
    """Another description in the packet of others (ISO 16684-1, 7.4); a packet of ours where there is none."""
    own = make_xmp_packet(spec, detail="label").decode()
    start, end = own.index(" <rdf:Description"), own.index(" </rdf:RDF>")
    head, mark, tail = packet.rpartition("</rdf:RDF>")
    return (f"{head}{own[start:end]}{mark}{tail}" if mark else own).encode()


def _read_xmp(data: bytes) -> str:
    """Empty where there is none that can be read."""
    if data[:8] != PNG_HEADER:
        return next((body.decode("utf-8", "replace") for kind, body in _riff_chunks(data) if kind == b"XMP "), "")
    for kind, chunk in _png_chunks(data):
        name, _, rest = chunk[8:-4].partition(b"\0")
        if kind == b"iTXt" and name == _XMP_NAME and len(rest) > 2:
            text = rest[2:].split(b"\0", 2)[-1]  # past the flags, the language and the translated name
            try:
                return (zlib.decompress(text) if rest[0] else text).decode("utf-8", "replace")
            except zlib.error:
                return ""
    return ""


def _write_xmp(data: bytes, xmp: bytes) -> bytes:
    """In place of what there is; without the C2PA manifest, which does not hold for a changed file."""
    data = _without(data, _CREDENTIALS)
    if data[:8] != PNG_HEADER:
        return _webp(_with_header(data), exif=b"", xmp=xmp)
    kept = [
        chunk for kind, chunk in _png_chunks(data) if not (kind == b"iTXt" and chunk[8:].startswith(_XMP_NAME + b"\0"))
    ]
    return PNG_HEADER + kept[0] + make_text_chunk(_XMP_NAME.decode(), xmp.decode()) + b"".join(kept[1:])


def _without(data: bytes, kinds: Container[bytes]) -> bytes:
    """Without these chunks."""
    if data[:8] == PNG_HEADER:
        return PNG_HEADER + b"".join(chunk for kind, chunk in _png_chunks(data) if kind not in kinds)
    body = b"".join(_riff(kind, content) for kind, content in _riff_chunks(data) if kind not in kinds)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _with_header(data: bytes) -> bytes:
    """A WebP of one chunk has no place for text; the extended header (VP8X) makes one."""
    chunks = list(_riff_chunks(data))
    if not chunks or chunks[0][0] == b"VP8X":
        return data
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
        (width, height), alpha = picture.size, _ALPHA_FLAG if picture.mode == "RGBA" else 0
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = _riff(b"VP8X", bytes([alpha, 0, 0, 0]) + sides) + data[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_HEADER)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at : at + 12 + size]
        at += 12 + size


def _webp(data: bytes, *, exif: bytes | None, xmp: bytes) -> bytes:
    """RIFF chunks (WebP container specification): VP8X says by flags which of EXIF and XMP there are. Empty `exif`:
    what there is stays."""
    own = dict(_riff_chunks(data))
    exif = own.get(b"EXIF") if exif == b"" else exif
    body = b""
    for kind, content in _riff_chunks(data):
        if kind == b"VP8X":
            flags = content[0] & ~_EXIF_FLAG | _XMP_FLAG | (_EXIF_FLAG if exif is not None else 0)
            content = bytes([flags]) + content[1:]
        if kind not in (b"EXIF", b"XMP "):
            body += _riff(kind, content)
    body += (_riff(b"EXIF", exif) if exif is not None else b"") + _riff(b"XMP ", xmp)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
