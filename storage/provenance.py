"""Signed provenance (C2PA 2): who made a file, from what, and that no byte of it changed since. No network is used.

A studio signs with its own certificate, or with one that `dailies provenance init` makes together with a local
authority: readers elsewhere then call the signature valid, and trusted only where they know that authority.
c2pa-python embeds the manifest in PNG, WebP, JPEG XL, TIFF and JPEG. OpenEXR and TGA have no place for one: theirs is a
file beside them (C2PA's "external manifest", `NAME.exr.c2pa`). JPEG XL has both, because few readers look into it yet.
"""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from schemas.errors import InputError, ProvenanceError, SettingsError
from storage.pictures import JXL_HEADER, jxl_boxes

ASSERTION = "org.dailies.image"
"""Label of our own assertion: digest, sha256 of what was approved, models, licences."""
EMBEDDED = ("image/png", "image/webp", "image/jxl", "image/tiff", "image/jpeg")
"""Media types of files that hold their manifest."""
BESIDE = ("image/jxl", "image/x-exr", "image/x-tga")
"""Media types of files that have their manifest beside them."""
SIGNED = (*EMBEDDED, "image/x-exr", "image/x-tga")
MANIFEST_ENDING = ".c2pa"
MANIFEST_TYPE = "application/c2pa"


@dataclass(frozen=True)
class Ingredient:
    """A picture that an image was made from. `relationship` is C2PA's: parentOf for what was edited, else inputTo."""

    title: str
    data: bytes
    media_type: str
    relationship: str = "inputTo"


@dataclass(frozen=True)
class Credentials:
    """What a file's own manifest says of it."""

    state: str
    """Trusted, Valid or Invalid (C2PA's words)"""
    problems: tuple[str, ...] = ()
    image: Mapping[str, Any] = field(default_factory=dict)
    """The contents of our assertion; empty in a file of others."""
    signer: str = ""

    @property
    def is_sound(self) -> bool:
        return self.state in ("Valid", "Trusted")


class Signer:
    """A certificate chain and its key, both PEM. `authority`: PEM of what this studio trusts."""

    def __init__(self, *, certificate: bytes, key: bytes, authority: bytes | None = None) -> None:
        self.certificate, self.key, self.authority = certificate, key, authority

    def sign(
        self, data: bytes, *, media_type: str, definition: Mapping[str, Any], ingredients: Sequence[Ingredient] = ()
    ) -> tuple[bytes, bytes]:
        """The file and its manifest, read back and found sound. The file holds the manifest where it can (EMBEDDED),
        and else is as it was. Raises ProvenanceError, never returns it unsigned."""
        if media_type not in SIGNED:
            raise ProvenanceError(f"{media_type} cannot be signed; expected {', '.join(SIGNED)} (setting image_format)")
        import c2pa

        out = io.BytesIO()
        try:
            info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, self.certificate, self.key, None)
            context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}, "verify": _OFFLINE})
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(definition), context) as builder:
                for number, ingredient in enumerate(ingredients):
                    named = {"title": ingredient.title, "label": f"picture-{number}"}
                    named["relationship"] = ingredient.relationship
                    builder.add_ingredient(json.dumps(named), ingredient.media_type, io.BytesIO(ingredient.data))
                if media_type not in EMBEDDED:
                    builder.set_no_embed()
                manifest = bytes(builder.sign(signer, media_type, io.BytesIO(data), out))
        except Exception as wrong:  # c2pa-python raises a dozen kinds
            raise ProvenanceError(f"it could not be signed: {wrong}"[:400]) from None
        signed = out.getvalue() if media_type in EMBEDDED else data
        for beside in [None] * (media_type in EMBEDDED) + [manifest] * (media_type in BESIDE):
            read = read_credentials(signed, media_type=media_type, authority=self.authority, manifest=beside)
            if read is None or not read.is_sound:
                problems = "no manifest" if read is None else ", ".join(read.problems) or read.state
                raise ProvenanceError(f"it was signed, and the signature does not hold: {problems}")
        return signed, manifest


_OFFLINE = {"ocsp_fetch": False, "remote_manifest_fetch": False}


def read_credentials(
    data: bytes, *, media_type: str, authority: bytes | None = None, manifest: bytes | None = None
) -> Credentials | None:
    """What `manifest`, a file beside it, says of these bytes; without one, what they say themselves. None when the file
    carries no manifest at all."""
    import c2pa

    settings: dict[str, Any] = {"verify": {**_OFFLINE, "verify_trust": authority is not None}}
    if authority is not None:
        settings["trust"] = {"trust_anchors": authority.decode()}
    try:
        context = c2pa.Context.from_dict(settings)
        with c2pa.Reader(media_type, io.BytesIO(data), manifest, context=context) as reader:
            active = reader.get_active_manifest() or {}
            results = (reader.get_validation_results() or {}).get("activeManifest", {})
            state = reader.get_validation_state() or "Invalid"
    except c2pa.C2paError.ManifestNotFound:
        return None
    except Exception as wrong:
        return Credentials("Invalid", (str(wrong)[:200],))
    ours: dict[str, Any] = next((one["data"] for one in active.get("assertions", []) if one["label"] == ASSERTION), {})
    problems = tuple(one["code"] for one in results.get("failure", []))
    return Credentials(state, problems, ours, (active.get("signature_info") or {}).get("issuer") or "")


def find_embedded_manifest(data: bytes) -> bytes | None:
    """The manifest that a JPEG XL file holds, byte for byte as it lies beside it; None where there is none."""
    bodies = [body for kind, body in jxl_boxes(data) if kind == b"jumb"] if data[:12] == JXL_HEADER else []
    return struct.pack(">I4s", 8 + len(bodies[0]), b"jumb") + bodies[0] if bodies else None


def open_signer(*, certificate: Path | None, key: Path | None, home: Path) -> Signer | None:
    """The studio's own, or that of `dailies provenance init`; None when there is neither. Raises SettingsError."""
    folder = home / "provenance"
    if (certificate is None) != (key is None):
        raise SettingsError("signing_certificate and signing_key: got one without the other; expected both")
    certificate, key = certificate or folder / "certificate.pem", key or folder / "key.pem"
    if certificate.parent == folder and not certificate.is_file():
        return None
    try:
        authority = folder / "authority.pem"
        return Signer(
            certificate=certificate.read_bytes(),
            key=key.read_bytes(),
            authority=authority.read_bytes() if authority.is_file() else None,
        )
    except OSError as wrong:
        raise SettingsError(f"{wrong.filename}: {wrong.strerror}; a PEM file for signing") from None


def make_authority(home: Path, *, studio: str, days: int = 3650) -> Path:
    """A local authority and a signing certificate under it, in home/provenance. Never replaces one that is there."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    folder = home / "provenance"
    if (folder / "certificate.pem").exists():
        raise InputError(f"{folder} has a certificate already; move it away to make another")
    begins = datetime.now(UTC) - timedelta(minutes=5)

    def name(role: str) -> x509.Name:
        pairs = ((NameOID.ORGANIZATION_NAME, studio), (NameOID.COMMON_NAME, f"{studio} {role}"[:64]))
        return x509.Name([x509.NameAttribute(kind, text) for kind, text in pairs])

    def certificate(
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        issuer_key: ec.EllipticCurvePrivateKey,
        *,
        is_authority: bool,
    ) -> x509.Certificate:
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        usage |= {"encipher_only": False, "decipher_only": False, "crl_sign": is_authority}
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name("authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=is_authority, **usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if not is_authority:
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    authority = certificate(name("authority"), root.public_key(), root, is_authority=True).public_bytes(pem)
    signing = certificate(name("signer"), leaf.public_key(), root, is_authority=False).public_bytes(pem)
    key = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in (("authority.pem", authority), ("key.pem", key), ("certificate.pem", signing + authority)):
        descriptor = os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
    return folder
