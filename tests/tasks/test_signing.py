"""What leaves is signed, labelled as the manifest says, and a changed byte is noticed."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image

from schemas.errors import InputError, ProvenanceError, SettingsError
from schemas.manifest import Manifest
from schemas.settings import Limits
from storage.image_metadata import COMPOSITE_SOURCE, DIGITAL_SOURCE
from storage.labels import relabel
from storage.pictures import decode, encode, read_spec
from storage.provenance import Signer, make_authority, open_signer, read_credentials
from tasks.delivery import deliver as delivery
from tasks.delivery.deliver import deliver
from tasks.delivery.signing import Signing
from tasks.delivery.verify import verify_file
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, manifest, spec


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    make_authority(folder, studio="Potion Shop")
    return folder


@pytest.fixture
def signer(home: Path) -> Signer:
    opened = open_signer(certificate=None, key=None, home=home)
    assert opened is not None
    return opened


@pytest.fixture
def signing(signer: Signer) -> Signing:
    return Signing(signer, is_required=True)


def with_metadata(detail: str, *assets: str) -> Manifest:
    return manifest(*assets, delivery={"metadata": detail, "licence": "all rights reserved"})


def delivered(stack: Stack, name: str) -> bytes:
    return stack.store.get(f"delivery/{name}")


@pytest.mark.parametrize("image_format", ["png", "webp", "jxl"])
def test_every_delivered_file_is_signed_and_its_pixels_are_those_approved(
    local_stack: Stack, signing: Signing, signer: Signer, image_format: Any, tmp_path: Path
) -> None:
    specs = [spec(seed=seed) for seed in range(4)]
    approved(local_stack.ledger, local_stack.store, specs, manifest("red potion"), image_format=image_format)
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game", signing=signing)
    assert len(done.names) == 4 and not done.failures
    for name, one in zip(done.names, specs, strict=True):
        data = delivered(local_stack, name)
        assert data == (tmp_path / "game" / name).read_bytes()
        read = read_credentials(data, media_type=f"image/{image_format}", authority=signer.authority)
        assert read is not None and (read.state, read.signer) == ("Trusted", "Potion Shop")
        assert read.image["digest"] == one.digest and read.image["models"] == {"studio-tiny": "0" * 64}
        assert read_spec(data) == one
        assert (decode(data, limits=Limits()) == one.seed).all()
    assert deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game", signing=signing).names == ()


@pytest.mark.parametrize("image_format", ["png", "webp", "jxl"])
def test_a_flipped_byte_is_noticed_wherever_it_is(
    local_stack: Stack, signing: Signing, signer: Signer, image_format: Any
) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion"), image_format=image_format)
    (name,) = deliver(local_stack.ledger, local_stack.store, signing=signing).names
    data, file_name = delivered(local_stack, name), name.rsplit("/", 1)[-1]
    known: dict[str, Any] = {"ledger": local_stack.ledger, "store": local_stack.store, "authority": signer.authority}
    whole = verify_file(data, file_name=file_name, **known)
    assert whole.is_sound and whole.image == spec().digest and whole.is_unchanged
    for place in np.random.default_rng(3).integers(16, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 0x10
        assert not verify_file(bytes(changed), file_name=file_name, **known).is_sound, place
    pixels = bytearray(data)
    pixels[data.index({"png": b"IDAT", "webp": b"VP8L", "jxl": b"jxlc"}[image_format]) + 10] ^= 1
    read = read_credentials(bytes(pixels), media_type=f"image/{image_format}")
    assert read is not None and not read.is_sound, "by its own manifest, without our record"


def test_an_image_of_a_given_picture_is_a_composite_and_names_it(local_stack: Stack, signing: Signing) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "brown").save(out, "PNG")
    source = hashlib.sha256(out.getvalue()).hexdigest()
    local_stack.store.put_content("sources", out.getvalue(), extension="png", media_type="image/png")
    wall = {"name": "brick", "kind": "texture", "prompt": "x", "sources": "a.png"}
    both = [spec("brick", kind="texture", source=source, strength=0.5), spec(seed=2)]
    said = manifest(assets=[wall, {"name": "red potion", "prompt": "x"}])
    approved(local_stack.ledger, local_stack.store, both, said)
    done = deliver(local_stack.ledger, local_stack.store, signing=signing)
    assert not done.failures
    kinds = []
    for name in done.names:
        data = delivered(local_stack, name)
        active = c2pa.Reader("image/png", io.BytesIO(data)).get_active_manifest()
        actions = next(one["data"]["actions"] for one in active["assertions"] if "c2pa.actions" in one["label"])
        kinds.append((actions[-1]["action"], actions[-1]["digitalSourceType"]))
        assert f"<Iptc4xmpExt:DigitalSourceType>{actions[-1]['digitalSourceType']}<".encode() in data
        sidecar = json.loads(local_stack.store.get(f"delivery/{name}.json"))
        assert actions[-1]["digitalSourceType"].endswith("/" + sidecar["digital_source_type"])
        titles = [one["title"] for one in active.get("ingredients", [])]
        assert titles == ([source[:12]] if "Brick" in name else [])
    assert kinds == [("c2pa.edited", COMPOSITE_SOURCE), ("c2pa.created", DIGITAL_SOURCE)]


def test_required_and_impossible_is_that_files_failure_and_never_unsigned(local_stack: Stack, signer: Signer) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion"))
    done = deliver(local_stack.ledger, local_stack.store, signing=Signing(None, is_required=True))
    assert done.names == () and "run `dailies provenance init`" in str(done.failures[0])
    broken = Signer(certificate=signer.certificate, key=b"-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----\n")
    done = deliver(local_stack.ledger, local_stack.store, signing=Signing(broken))
    assert done.names == () and isinstance(done.failures[0].error, ProvenanceError)
    assert not list(local_stack.store.keys("delivery")) and not local_stack.ledger.deliveries()


class _Cut(Exception):
    pass


@pytest.mark.parametrize("point", ["deliver.after_bytes", "deliver.after_sidecar", "deliver.after_folder"])
def test_a_signed_delivery_that_was_cut_off_goes_on_with_the_same_file(
    local_stack: Stack, signing: Signing, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion"))

    def cut(name: str) -> None:
        if name == point:
            raise _Cut

    with monkeypatch.context() as patch, pytest.raises(_Cut):
        patch.setattr(delivery, "failpoint", cut)
        deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game", signing=signing)
    name = "Potion_Shop/T_RedPotion_S1_BC.png"
    first = delivered(local_stack, name)
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game", signing=signing)
    assert done.names == (name,) and delivered(local_stack, name) == first == (tmp_path / "game" / name).read_bytes()


@pytest.mark.parametrize("image_format", ["png", "webp", "jxl"])
@pytest.mark.parametrize("detail", ["full", "label", "none"])
def test_prompts_may_stay_at_home_and_the_label_never_does(detail: Any, image_format: Any) -> None:
    asked = spec(prompt="a secret potion")
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = relabel(encode(pixels, asked, image_format=image_format).data, asked, detail=detail, prompt_writer="Mara")
    assert np.array_equal(decode(data, limits=Limits()), pixels)
    assert DIGITAL_SOURCE.encode() in data
    assert (b"secret" in data or "secret".encode("utf-16-be") in data) == (detail == "full")
    assert (asked.digest.encode() in data) == (detail != "none")
    assert (b"<Iptc4xmpExt:AIPromptWriterName>Mara<" in data) == (detail == "full")
    assert (b"<Iptc4xmpExt:AISystemUsed>studio-tiny<" in data) == (detail != "none")
    if detail == "full":
        assert read_spec(data) == asked
    else:
        with pytest.raises(InputError):
            read_spec(data)


@pytest.mark.parametrize("detail", ["label", "none"])
def test_sidecars_keep_to_it_too(local_stack: Stack, signing: Signing, detail: str) -> None:
    asked = spec(prompt="a secret potion")
    approved(local_stack.ledger, local_stack.store, [asked], with_metadata(detail, "red potion"))
    (name,) = deliver(local_stack.ledger, local_stack.store, signing=signing).names
    text = local_stack.store.get(f"delivery/{name}.json")
    assert b"secret" not in text and b"secret" not in delivered(local_stack, name)
    assert json.loads(text)["digital_source_type"] == "trainedAlgorithmicMedia"


def test_an_authority_is_never_replaced_and_half_a_pair_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match="has a certificate already"):
        make_authority(home, studio="Other")
    with pytest.raises(SettingsError, match="got one without the other"):
        open_signer(certificate=home / "provenance" / "certificate.pem", key=None, home=home)
    assert (home / "provenance" / "key.pem").stat().st_mode & 0o077 == 0
    assert open_signer(certificate=None, key=None, home=home / "nowhere") is None
