"""Pictures made elsewhere: from a folder to the inbox, repaired, delivered, with what they say of themselves kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import InputError, ManifestError
from schemas.review import Changes, Choice, Reason, Verdict
from schemas.spec import NO_MODEL, AssetKind
from storage.image_metadata import SOURCE_TYPES
from storage.intake import inspect_picture
from storage.ledger.images import ImageDetails
from storage.pictures import decode_kept
from storage.provenance import Signer, make_authority, open_signer, read_credentials
from tasks.delivery.deliver import deliver
from tasks.delivery.disclosure import list_disclosure
from tasks.delivery.signing import Signing
from tasks.parts import Parts
from tasks.planning.retake import plan_retakes
from tests.conftest import Stack
from tests.flows.studio import night, submit_to

HEAD = """
project: Bought
model: studio-tiny
tiers: {final: {scheduler: Euler, num_inference_steps: 3, guidance_scale: 2.0}}
pictures: {licence: CC0}
assets:
"""
DRAWN = (
    HEAD
    + """
  - name: drawn
    kind: import
    sources: [in/shield.png, in/photo.jpg, in/paint.webp, in/scan.tiff, in/a1111.png]
    digital_source_type: digitalCreation
"""
)
SIGNED = (
    HEAD
    + """
  - {name: bought, kind: import, sources: [in/signed.jpg, in/signed.png], prompt: a ramp}
"""
)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer_of(tmp_path_factory.mktemp("stranger"), "Elsewhere")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer_of(tmp_path_factory.mktemp("studio"), "Potion Shop")


def signer_of(folder: Path, name: str) -> Signer:
    make_authority(folder, studio=name)
    signer = open_signer(certificate=None, key=None, home=folder)
    assert signer is not None
    return signer


def ramp(width: int, height: int, *, alpha: bool = False) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    pixels = [x * 255 // width, y * 255 // height, np.full((height, width), 90)]
    pixels += [((x - width / 2) ** 2 + (y - height / 2) ** 2 < (width / 3) ** 2) * 255] if alpha else []
    return Image.fromarray(np.dstack(pixels).astype(np.uint8))


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def fill(folder: Path, stranger: Signer, text: str) -> Path:
    """The manifest, beside seven pictures as they come."""
    (folder / "in").mkdir()
    prompt = PngImagePlugin.PngInfo()
    prompt.add_text("parameters", "a secret prompt\nSteps: 20")
    made = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPES + "trainedAlgorithmicMedia"}
    said = {
        "claim_generator_info": [{"name": "Other"}],
        "title": "x",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}],
    }
    files = {
        "shield.png": saved(ramp(128, 128, alpha=True), "PNG"),
        "photo.jpg": saved(ramp(200, 120), "JPEG", quality=92),
        "paint.webp": saved(ramp(160, 160), "WEBP", quality=80),
        "scan.tiff": saved(ramp(160, 96), "TIFF"),
        "a1111.png": saved(ramp(128, 96), "PNG", pnginfo=prompt),
        "signed.jpg": stranger.sign(saved(ramp(144, 144), "JPEG"), media_type="image/jpeg", definition=said)[0],
        "signed.png": stranger.sign(saved(ramp(64, 64), "PNG"), media_type="image/png", definition=said)[0],
    }
    for name, data in files.items():
        (folder / "in" / name).write_bytes(data)
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    return folder / "m.yaml"


def images(parts: Parts) -> dict[str, ImageDetails]:
    return {picture.spec.variant: picture for picture in map(parts.ledger.picture, parts.ledger.matching("", most=99))}


def approve(parts: Parts) -> None:
    for picture in images(parts).values():
        if picture.standing is None:
            choice = Choice(image=picture.image.digest, revision=0, verdict=Verdict.APPROVE)
            parts.ledger.decide(choice, reviewer="rita")


def delivered(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("T_*") if path.suffix != ".json"}


def said_beside(folder: Path, name: str) -> dict[str, Any]:
    (path,) = folder.rglob(f"{name}.json")
    return dict(json.loads(path.read_bytes()))


def test_every_picture_reaches_a_person_as_it_is(local: Parts, tmp_path: Path, stranger: Signer) -> None:
    submit_to(local, fill(tmp_path, stranger, DRAWN))
    assert night(local)["made"] == 5 and len(local.ledger.inbox(limit=10)) == 5
    for variant, picture in images(local).items():
        (path,) = (tmp_path / "in").glob(f"{variant}.*")
        data, spec = local.store.get(picture.image.object_key), picture.spec
        with Image.open(path) as came:
            assert picture.image.media_type == {"WEBP": "image/webp"}.get(came.format or "", "image/png")
            wanted = np.asarray(came)
            assert (spec.width, spec.height) == came.size
        np.testing.assert_array_equal(decode_kept(data, limits=local.settings.limits), wanted)
        assert (data == path.read_bytes()) is (variant in ("shield", "paint", "a1111"))
        assert (spec.kind, spec.model, spec.digital_source) == (AssetKind.IMPORT, NO_MODEL, "digitalCreation")
        assert {finding.check.value for finding in picture.findings} >= {"hands", "text", "technical"}
        assert picture.image.gpu_seconds == 0 and picture.image.models == {}
    submit_to(local, tmp_path / "m.yaml")
    assert night(local)["made"] == 0  # what is there is not taken twice


def test_what_is_delivered_is_what_came_with_its_source_type(local: Parts, tmp_path: Path, stranger: Signer) -> None:
    submit_to(local, fill(tmp_path, stranger, DRAWN))
    night(local)
    approve(local)
    done = deliver(local.ledger, local.store, folder=tmp_path / "game")
    assert done.failures == () and len(done.names) == 5
    for name, data in delivered(tmp_path / "game").items():
        assert (SOURCE_TYPES + "digitalCreation").encode() in data and b"trainedAlgorithmicMedia" not in data
        variant = name.removeprefix("T_Drawn_").partition("_")[0].lower()
        kept = images(local)[variant].image.object_key
        limits = local.settings.limits
        np.testing.assert_array_equal(
            decode_kept(data, limits=limits), decode_kept(local.store.get(kept), limits=limits)
        )
        said = said_beside(tmp_path / "game", name)
        assert said["digital_source_type"] == "digitalCreation" and not {"seed", "models", "made"} & said.keys()
        assert [one["licence"] for one in said["licences"]] == ["CC0"] and said["licences"][0]["what"].startswith("in/")
    assert b"a secret prompt" in delivered(tmp_path / "game")["T_Drawn_A1111_BC.png"]  # the painter's own words
    assert {row.how for row in list_disclosure("Bought", ledger=local.ledger, catalogue=None)} == {"drawn by people"}


@pytest.mark.parametrize("metadata", ["label", "none"])
def test_no_prompt_leaves_where_the_manifest_forbids_it(
    local: Parts, tmp_path: Path, stranger: Signer, metadata: str
) -> None:
    submit_to(local, fill(tmp_path, stranger, f"{DRAWN}delivery: {{metadata: {metadata}}}\n"))
    night(local)
    approve(local)
    assert deliver(local.ledger, local.store, folder=tmp_path / "game").failures == ()
    for data in delivered(tmp_path / "game").values():
        assert b"secret" not in data and (SOURCE_TYPES + "digitalCreation").encode() in data
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()


def test_credentials_that_came_with_a_picture_stay_in_it(local: Parts, tmp_path: Path, stranger: Signer) -> None:
    """Where the studio does not sign: those of a PNG to the byte; those of a JPEG, which left as a PNG, are told of."""
    submit_to(local, fill(tmp_path, stranger, SIGNED))
    night(local)
    approve(local)
    assert deliver(local.ledger, local.store, folder=tmp_path / "game").failures == ()
    for name, data in delivered(tmp_path / "game").items():
        said = said_beside(tmp_path / "game", name)
        assert said["digital_source_type"] == "trainedAlgorithmicMedia"  # the file's own word; the manifest says none
        came = said["files"][0]["credentials"]
        if data == (tmp_path / "in" / "signed.png").read_bytes():
            assert came == "signed by Elsewhere (Valid): in this file as it came"
        else:
            assert came == "signed by Elsewhere (Valid): left out, as the file changed and is unsigned"
            assert (SOURCE_TYPES + "trainedAlgorithmicMedia").encode() in data


def test_credentials_that_came_with_a_picture_are_an_ingredient(
    local: Parts, tmp_path: Path, stranger: Signer, studio: Signer
) -> None:
    import c2pa

    submit_to(local, fill(tmp_path, stranger, SIGNED))
    night(local)
    approve(local)
    done = deliver(local.ledger, local.store, folder=tmp_path / "game", signing=Signing(studio, is_required=True))
    assert done.failures == () and len(done.names) == 2
    for name, data in delivered(tmp_path / "game").items():
        read = read_credentials(data, media_type="image/png")
        assert read is not None and read.is_sound and read.signer == "Potion Shop"
        with c2pa.Reader("image/png", io.BytesIO(data)) as reader:
            said = json.loads(reader.json())
        active = said["manifests"][said["active_manifest"]]
        (ingredient,) = active["ingredients"]
        assert ingredient["relationship"] == "parentOf"
        assert said["manifests"][ingredient["active_manifest"]]["signature_info"]["issuer"] == "Elsewhere"
        (actions,) = [one["data"]["actions"] for one in active["assertions"] if one["label"].startswith("c2pa.actions")]
        assert actions[0]["action"] == "c2pa.opened"
        assert actions[0]["digitalSourceType"] == SOURCE_TYPES + "trainedAlgorithmicMedia"
        beside = said_beside(tmp_path / "game", name)
        was_converted = beside["imported_from"]["file"].endswith(".jpg")
        assert ("c2pa.converted" in {one["action"] for one in actions}) is was_converted
        changed = bytearray(data)
        changed[len(data) // 2] ^= 1
        again = read_credentials(bytes(changed), media_type="image/png")
        assert again is not None and not again.is_sound
        assert "an ingredient of this file's own" in beside["files"][0]["credentials"]


def test_a_place_is_repaired_by_the_asset_s_model(local: Parts, tmp_path: Path, stranger: Signer) -> None:
    submit_to(local, fill(tmp_path, stranger, DRAWN))
    night(local)
    photo, shield = images(local)["photo"], images(local)["shield"]
    box = {"x": 0.25, "y": 0.25, "width": 0.25, "height": 0.5}

    def send_back(picture: ImageDetails, changes: dict[str, Any]) -> None:
        said = Changes.model_validate(changes)
        choice = Choice(
            image=picture.image.digest, revision=0, verdict=Verdict.RETAKE, reasons=(Reason.ARTEFACT,), changes=said
        )
        local.ledger.decide(choice, reviewer="rita")

    send_back(photo, {"region": box, "strength": 0.9, "prompt": "a gem"})
    send_back(shield, {"region": box})
    send_back(images(local)["paint"], {})
    result = plan_retakes(local)
    assert result.planned == 1 and len(result.refused) == 2
    assert any("transparent places, which a repair would lose" in said for said in result.refused)
    assert any("cannot be made again; expected a place to repair" in said for said in result.refused)
    assert night(local)["made"] == 1
    (child,) = (
        picture for picture in map(local.ledger.picture, local.ledger.matching("", most=99)) if picture.spec.take == 2
    )
    spec = child.spec
    assert (spec.kind, spec.model.alias, spec.num_inference_steps) == (AssetKind.REPAIR, "studio-tiny", 3)
    limits = local.settings.limits
    before, after = (decode_kept(local.store.get(one.image.object_key), limits=limits) for one in (photo, child))
    inside = np.zeros(before.shape[:2], bool)
    inside[30:90, 50:100] = True
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).any()
    local.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="rita")
    (name,) = deliver(local.ledger, local.store, folder=tmp_path / "game").names
    said = said_beside(tmp_path / "game", name.rpartition("/")[2])
    assert said["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"
    assert {one["what"] for one in said["licences"]} >= {"studio-tiny", "in/photo.jpg"}


FAULTS = [
    ("sources: in/shield.png", "got 'in/shield.png', which does not say how it was made"),
    ("sources: in/shield.png, digital_source_type: painted", "digital_source_type: got 'painted'"),
    ("digital_source_type: print", "sources"),
    (
        "sources: in/shield.png, digital_source_type: print, seeds: 4",
        "got seeds for an import",
    ),
    ("sources: in/shield.png, digital_source_type: print, strength: 0.5", "got strength for an import"),
    ("sources: in/shield.png, digital_source_type: print, guidance_scale: [2, 3]", "got 2 values; expected one"),
    ("sources: in/none.png, digital_source_type: print", "there is no such file"),
    ("sources: in/shield.png, digital_source_type: print, mask: in/shield.png", "mask"),
]


@pytest.mark.parametrize(("fields", "says"), FAULTS)
def test_what_cannot_be_is_refused_before_the_night(
    local: Parts, tmp_path: Path, stranger: Signer, fields: str, says: str
) -> None:
    path = fill(tmp_path, stranger, f"{HEAD}  - {{name: X, kind: import, {fields}}}\n")
    with pytest.raises(ManifestError) as wrong:
        submit_to(local, path)
    assert says in str(wrong.value) and not local.ledger.matching("")


def test_a_file_s_word_that_a_model_made_it_is_not_lost(local: Parts, tmp_path: Path, stranger: Signer) -> None:
    text = SIGNED.replace("prompt: a ramp", "digital_source_type: digitalCreation")
    looked = inspect_picture(fill(tmp_path, stranger, text), local.settings, local.catalogue)
    assert len(looked.reading.warnings) == 2
    assert all("says trainedAlgorithmicMedia of itself, and so it stays" in str(one) for one in looked.reading.warnings)
    submit_to(local, tmp_path / "m.yaml")
    night(local)
    assert {one.spec.digital_source for one in images(local).values()} == {"trainedAlgorithmicMedia"}


def test_more_files_rename_none(local: Parts, tmp_path: Path, stranger: Signer) -> None:
    path = fill(tmp_path, stranger, DRAWN.replace("in/shield.png, ", ""))
    submit_to(local, path)
    assert night(local)["made"] == 4
    path.write_text(DRAWN, encoding="utf-8")
    submit_to(local, path)
    assert night(local)["made"] == 1


def test_a_folder_becomes_a_manifest(local_stack: Stack, tmp_path: Path, stranger: Signer) -> None:
    fill(tmp_path, stranger, "")
    (tmp_path / "in" / "more").mkdir()
    (tmp_path / "in" / "more" / "Grünes Öl.PNG").write_bytes(saved(ramp(64, 64), "PNG"))
    (tmp_path / "in" / "note.txt").write_text("x")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["import", *arguments], env=local_stack.environment)

    folder = str(tmp_path / "in")
    done = run(folder, "--project", "Bought", "--digital-source-type", "digitalcreation")
    assert done.exit_code == 0, done.output
    assert "left out, as no pictures: note.txt" in done.output and "8 pictures in 2 assets" in done.output
    again = run(folder, "--project", "Bought", "--digital-source-type", "digitalcreation")
    assert again.exit_code == 0 and again.output == done.output
    checked = CliRunner().invoke(app, ["check", f"{folder}/import.yaml"], env=local_stack.environment)
    assert checked.exit_code == 0 and "Bought: 8 images" in checked.output
    (tmp_path / "in" / "mine.yaml").write_text("project: x\n")
    for arguments, says in (
        ((folder, "--out", f"{folder}/mine.yaml"), "was not written by `dailies import`"),
        ((folder, "--out", str(tmp_path / "in" / "more" / "x.yaml")), "expected a manifest in that folder or above it"),
        ((folder, "--digital-source-type", "paint"), "--digital-source-type: got 'paint'"),
        ((str(tmp_path / "nothing"),), "expected a folder, or s3://bucket/prefix/"),
        (("s3://bucket/x",), "allowed_s3_prefixes allows: none"),
    ):
        done = run(*arguments, "--project", "Bought")
        assert isinstance(done.exception, InputError) and says in str(done.exception)


def test_an_s3_prefix_becomes_a_manifest(stack: Stack, tmp_path: Path, stranger: Signer) -> None:
    if not stack.settings.object_store.startswith("s3://"):
        pytest.skip("this stack keeps its objects in a folder")
    place = f"{stack.settings.object_store}/bought"
    for name in ("a.png", "b/c.png", "b/read.me"):
        stack.store.put_once(f"bought/{name}", saved(ramp(64, 64), "PNG"), media_type="image/png")
    environment = {**stack.environment, "DAILIES_ALLOWED_S3_PREFIXES": json.dumps([place])}
    out = tmp_path / "import.yaml"
    arguments = ["import", place, "--project", "Bought", "--out", str(out), "--digital-source-type", "digitalCapture"]
    done = CliRunner().invoke(app, arguments, env=environment)
    assert done.exit_code == 0, done.output
    assert "b/read.me" in done.output and f"{place}/b/c.png" in out.read_text()
    checked = CliRunner().invoke(app, ["check", str(out)], env=environment)
    assert checked.exit_code == 0 and "Bought: 2 images" in checked.output, checked.output
