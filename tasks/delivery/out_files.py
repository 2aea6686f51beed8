"""One file that leaves, and the pictures and maps of an image as such files: in the format, sides and alpha that the
manifest asks for. Where it asks for nothing, the picture's bytes are those that were approved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from storage.derived_maps import METHOD as METHOD_OF_MAP
from storage.fitting import fit_pixels, premultiply
from storage.image_maps import decode_image, open_image_maps
from storage.image_metadata import make_parameters_text, make_xmp_packet
from storage.labels import find_architecture, relabel
from storage.objects import Store
from storage.pictures import Encoded, encode
from storage.texture_files import encode_exr, encode_map, encode_tga, encode_tiff
from storage.watermark import BITS, METHOD
from tasks.delivery.marks import is_to_be_marked, mark_picture
from tasks.delivery.parcel import Parcel

Role = Literal["picture", "map", "engine", "c2pa"]
"""c2pa: a manifest beside the file that it speaks of."""


@dataclass(frozen=True)
class OutFile:
    """`kind`: of a map, which one. `changes`: what became of the approved pixels, in C2PA's words for actions."""

    name: str
    role: Role
    data: bytes
    media_type: str
    kind: str = ""
    is_signed: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    credentials: str = ""
    """What became of the C2PA manifest that came with an imported picture."""
    watermark: str = ""
    """12 hex digits"""

    def dump(self) -> dict[str, Any]:
        said: dict[str, Any] = {"name": self.name, "role": self.role}
        said |= {"sha256": hashlib.sha256(self.data).hexdigest()}
        said |= {"kind": self.kind} if self.kind else {}
        said |= {"changes": self.changes} if self.changes else {}
        said |= {"credentials": self.credentials} if self.credentials else {}
        said |= {"watermark": self.watermark} if self.watermark else {}
        return said | {"bytes": len(self.data), "media_type": self.media_type, "signed": self.is_signed}


def make_picture(parcel: Parcel, approved: bytes) -> OutFile | None:
    """None when the approved bytes are the picture, but for their text."""
    delivery, ending = parcel.manifest.delivery, parcel.name.rpartition(".")[2]
    is_as_kept = (ending, delivery.sides, delivery.alpha) == (parcel.kept_ending, "as_made", "straight")
    if is_as_kept and not parcel.watermark:
        return None
    pixels, fitted = fit_pixels(decode_image(approved, parcel.image), sides=delivery.sides, fit=delivery.fit)
    changes: dict[str, Any] = {"c2pa.resized": fitted} if fitted else {}
    watermark = parcel.watermark if is_to_be_marked(parcel, pixels) else ""
    if watermark:
        pixels = mark_picture(parcel, pixels)
        changes["c2pa.watermarked"] = {"bits": BITS, "method": METHOD}
    is_premultiplied = pixels.shape[2] == 4 and (delivery.alpha == "premultiplied" or delivery.format == "exr")
    if is_premultiplied:
        pixels = pixels if delivery.format == "exr" else premultiply(pixels)  # OpenEXR's is done on linear light
        changes["c2pa.edited"] = {"alpha": "premultiplied"}
    if ending != parcel.kept_ending:
        changes["c2pa.converted"] = {"from": parcel.image.media_type}
    if not changes:
        return None
    file = _encode(pixels, parcel, approved, ending=ending, is_premultiplied=is_premultiplied)
    return OutFile(parcel.name, "picture", file.data, file.media_type, changes=changes, watermark=watermark)


def make_maps(parcel: Parcel, approved: bytes, store: Store) -> Iterator[OutFile]:
    """Derived from the picture as it leaves, so that they fit it."""
    if not parcel.map_names:
        return
    delivery, names = parcel.manifest.delivery, parcel.map_names
    derived = open_image_maps(
        approved,
        image=parcel.image,
        spec=parcel.spec,
        manifest=parcel.manifest,
        files=parcel.brief.files,
        store=store,
    )
    for kind in parcel.maps:
        texts = _map_texts(parcel, f"{kind} map", METHOD_OF_MAP[kind])
        bits = 16 if kind == "height" else 8
        file = encode_map(derived.derive(kind), form=delivery.map_format, bits=bits, texts=texts)
        yield OutFile(names[kind], "map", file.data, file.media_type, kind=kind)
    for name, channels in parcel.packing.items():
        texts = _map_texts(parcel, f"{name} map", f"channels {', '.join(channels)}")
        file = encode_map(derived.pack(channels), form=delivery.map_format, bits=8, texts=texts)
        yield OutFile(names[name], "map", file.data, file.media_type, kind=name)


def _encode(
    pixels: NDArray[np.uint8], parcel: Parcel, approved: bytes, *, ending: str, is_premultiplied: bool
) -> Encoded:
    spec, detail, writer = parcel.spec, parcel.manifest.delivery.metadata, parcel.brief.submitted_by
    architecture = find_architecture(approved, spec)
    if spec.is_imported and detail == "full":
        detail = "label"  # there is no prompt, and no setting, of ours
    if ending in ("png", "webp", "jxl"):
        file = encode(pixels, spec, image_format=ending, architecture=architecture)  # type: ignore[arg-type]
        return Encoded(relabel(file.data, spec, detail=detail, prompt_writer=writer), file.media_type, ending)
    xmp = make_xmp_packet(spec, with_spec=True, detail=detail, prompt_writer=writer)
    words = make_parameters_text(spec, architecture=architecture) if detail == "full" else ""
    if ending == "tiff":
        return encode_tiff(pixels, xmp=xmp, description=words, is_premultiplied=is_premultiplied)
    label = _make_label(parcel)
    if ending == "tga":
        return encode_tga(pixels, label=label)
    texts = {"comments": label, "xmp": xmp.decode()}
    return encode_exr(pixels, texts=texts | ({"parameters": words} if words else {}))


def _make_label(parcel: Parcel) -> str:
    """For formats with room for a line: IPTC's source type, and the digest unless the manifest forbids it."""
    line = f"AI: {parcel.digital_source}"
    return line if parcel.manifest.delivery.metadata == "none" else f"{line}; dailies:digest {parcel.spec.digest}"


def _map_texts(parcel: Parcel, what: str, method: str) -> dict[str, str]:
    """`metadata` allows a map no prompt in any case; the label always stays."""
    detail = parcel.manifest.delivery.metadata
    source = "" if detail == "none" else f" of image {parcel.spec.digest}"
    derived = f"{what} derived from the colours{source} ({method}); not measured. AI: {parcel.digital_source}"
    packet = make_xmp_packet(parcel.spec, detail="none" if detail == "none" else "label").decode()
    xmp = "xmp" if parcel.manifest.delivery.map_format == "exr" else "XML:com.adobe.xmp"
    return {"Derived": derived, xmp: packet}
