"""What leaves for one approved image: its bytes with the text that the manifest allows, signed if the studio signs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas.settings import Settings
from storage.image_metadata import find_digital_source
from storage.labels import label_import, relabel
from storage.objects import Store
from storage.provenance import ASSERTION, EMBEDDED, Ingredient, Signer, open_signer, read_credentials
from tasks.delivery.out_files import OutFile
from tasks.delivery.parcel import Parcel
from tasks.shift.gather import make_picture_key

MEDIA = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}
"""Of the pictures that can be ingredients; others are named in the spec and by their digests only."""


SOFT_BINDING = "org.dailies.dwt-svd.1"


class Signing:
    """`signer` None: files leave unsigned, or not at all when `is_required`."""

    def __init__(self, signer: Signer | None = None, *, is_required: bool = False) -> None:
        self.signer, self.is_required = signer, is_required

    @classmethod
    def from_settings(cls, settings: Settings) -> Signing:
        if settings.signing == "off":
            return cls()
        certificate, key = settings.signing_certificate, settings.signing_key
        signer = open_signer(certificate=certificate, key=key, home=settings.home)
        return cls(signer, is_required=settings.signing == "required")

    def label(self, data: bytes, parcel: Parcel) -> bytes:
        """The approved bytes with the text that the manifest allows."""
        detail = parcel.manifest.delivery.metadata
        if parcel.spec.is_imported:
            return label_import(data, parcel.spec, detail=detail)
        if self.signer is None and detail == "full" and find_digital_source(parcel.spec).encode() in data:
            return data
        return relabel(data, parcel.spec, detail=detail, prompt_writer=parcel.brief.submitted_by)

    def sign(self, file: OutFile, parcel: Parcel, store: Store) -> tuple[bytes, bytes]:
        """The file and its manifest. Raises ProvenanceError."""
        assert self.signer is not None
        ingredients = [] if file.kind else list(_ingredients(parcel, store))
        from_picture = any(one.relationship == "parentOf" for one in ingredients)
        said = make_definition(parcel, file, from_picture=from_picture)
        return self.signer.sign(file.data, media_type=file.media_type, definition=said, ingredients=ingredients)

    def is_own(self, data: bytes, file: OutFile, parcel: Parcel, *, manifest: bytes | None = None) -> bool:
        """Whether these bytes are what an earlier run signed for this image (or for this map of it), by the manifest
        that lies beside them if one is given."""
        assert self.signer is not None
        authority = self.signer.authority
        read = read_credentials(data, media_type=file.media_type, authority=authority, manifest=manifest)
        if read is None or not read.is_sound:
            return False
        return (read.image.get("approved_sha256"), read.image.get("kind", "")) == (parcel.image.sha256, file.kind)


def make_definition(parcel: Parcel, file: OutFile, *, from_picture: bool) -> dict[str, Any]:
    """C2PA's manifest definition: what was done, and by which models. `from_picture`: an ingredient was edited."""
    spec, image, kind = parcel.spec, parcel.image, file.kind
    agent = {"softwareAgent": {"name": "Dailies engine", "version": str(spec.engine_version)}}
    source_type = find_digital_source(spec)
    source = {"digitalSourceType": source_type, **agent}
    changes, actions = file.changes, list[dict[str, Any]]()
    opened: dict[str, Any] = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["picture-0"]}}
    if spec.is_imported:
        actions = [{**(opened if from_picture else {"action": "c2pa.created"}), "digitalSourceType": source_type}]
        changes = {**_describe_import(parcel), **changes}
    elif not from_picture:
        actions = [{"action": "c2pa.created", **source}]
        if kind:
            actions[0]["description"] = f"{kind} map, derived from the colours of the image by an algorithm"
    else:
        actions = [opened, {"action": "c2pa.edited", **source}]
    actions += [{"action": action, "description": json.dumps(what)} for action, what in changes.items()]
    record: dict[str, Any] = {"approved_sha256": image.sha256, **({"kind": kind} if kind else {})}
    if parcel.manifest.delivery.metadata != "none":
        record |= {"digest": spec.digest, "models": image.models, "licence": parcel.manifest.delivery.licence}
        record |= {"task": spec.task.value, "pictures": sorted(spec.digests_needed())}
        record |= {"watermark": file.watermark} if file.watermark else {}
    return {
        "claim_generator_info": [{"name": "Dailies", "version": str(spec.engine_version)}],
        "title": parcel.name.rsplit("/", 1)[-1],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": ASSERTION, "data": record},
            *([_bind_softly(file.watermark)] if file.watermark else []),
        ],
    }


def _describe_import(parcel: Parcel) -> dict[str, Any]:
    """What was done to the file when it was taken in."""
    original = parcel.original
    if original is None or original.digest == parcel.spec.source:
        return {}
    return {"c2pa.converted": {"from": MEDIA.get(original.key.rpartition(".")[2], "another format")}}


def describe_credentials(parcel: Parcel, file: OutFile, store: Store) -> str:
    """What became of the C2PA manifest that an imported picture came with; empty where it had none."""
    original = parcel.original if parcel.spec.is_imported else None
    media_type = MEDIA.get(original.key.rpartition(".")[2]) if original is not None else None
    if original is None or media_type is None:
        return ""
    came = read_credentials(store.get(original.key), media_type=media_type)
    if came is None:
        return ""
    said = f"signed by {came.signer or 'nobody known'} ({came.state})"
    if file.is_signed:
        return f"{said}: an ingredient of this file's own"
    there = read_credentials(file.data, media_type=file.media_type) if file.media_type in EMBEDDED else None
    is_here = there is not None and there.is_sound
    return f"{said}: {'in this file as it came' if is_here else 'left out, as the file changed and is unsigned'}"


def _bind_softly(watermark: str) -> dict[str, Any]:
    """C2PA's soft binding: by which mark in the picture its manifest is found when it was stripped off."""
    return {"label": "c2pa.soft-binding", "data": {"alg": SOFT_BINDING, "blocks": [{"scope": {}, "value": watermark}]}}


def _ingredients(parcel: Parcel, store: Store) -> Iterator[Ingredient]:
    """What was edited first, then what was followed. Each with the manifest that came with it, if one did.

    A picture that was given is taken as it came, and so with the manifest that came with it. One of a kind that C2PA
    does not know is named by its digest in our own assertion only.
    """
    spec = parcel.spec
    followed = [control.image for control in spec.controls] + [reference.image for reference in spec.references]
    for digest in dict.fromkeys([*filter(None, [spec.source]), *followed]):
        original = parcel.find_original(digest)
        key = original.key if original is not None else make_picture_key(store, digest)
        media_type = MEDIA.get(key.rpartition(".")[2]) if key is not None else None
        if key is not None and media_type is not None:
            relation = "parentOf" if digest == spec.source else "inputTo"
            yield Ingredient(digest[:12], store.get(key), media_type, relation)
