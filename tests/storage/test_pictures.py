"""Files: what goes in comes out, they say where they came from, and none costs more than it may."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sd_parsers import ParserManager

from schemas.catalogue import TierDefaults
from schemas.errors import InputError, SettingsError
from schemas.manifest import FrozenFile
from schemas.reading.manifest_file import read_manifest
from schemas.settings import ImageFormat, Limits
from schemas.spec import ControlSpec, Hires, ImageSpec, LoraRef, ModelRef, ReferenceSpec, SeamRepair, Tier
from storage.image_metadata import DIGITAL_SOURCE
from storage.pictures import decode, encode, make_parameters_text, make_preview, make_snippet, read_spec
from tasks.planning.plan import PlannedModels, expand_manifest

FORMATS: tuple[ImageFormat, ...] = ("png", "webp", "jxl")
LIMITS = Limits()
OPENED: list[Image.Image] = []
"""sd_parsers remembers what it read by `id` of the picture, so none that it saw may make room for another."""


def spec(**changes: object) -> ImageSpec:
    plain: dict[str, object] = {
        "project": "Potion Shop",
        "asset": "Red Potion",
        "variant": "01",
        "prompt": "a red potion, glass bottle",
        "negative_prompt": "blurry, text",
        "seed": 2**53 + 1,
        "width": 96,
        "height": 64,
        "num_inference_steps": 25,
        "guidance_scale": 6.5,
        "scheduler": "DPMSolverMultistepScheduler",
        "scheduler_options": (("use_karras_sigmas", True),),
        "model": ModelRef(alias="studio-tiny", digest="ab" * 32),
    }
    return ImageSpec.model_validate({**plain, **changes})


def full_spec(**changes: object) -> ImageSpec:
    control = ControlSpec(
        type="canny",
        image="cd" * 32,
        model=ModelRef(alias="studio-tiny/canny", digest="12" * 32),
        params=(("high_threshold", 160.0), ("low_threshold", 80.0)),
        controlnet_conditioning_scale=0.7,
        control_guidance_end=0.8,
    )
    return spec(
        prompt="Trank für $5: „rot“, ガラス",
        prompt_2="second",
        loras=(LoraRef(alias="studio-tiny/style", digest="34" * 32, weight=0.8),),
        vae=ModelRef(alias="studio-tiny/vae", digest="56" * 32),
        clip_skip=2,
        guidance_rescale=0.3,
        controls=(control,),
        **changes,
    )


def noise(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("shape", [(64, 96), (1, 1), (257, 130), (1000, 8)])
def test_pixels_and_spec_come_back_unchanged(image_format: ImageFormat, shape: tuple[int, int]) -> None:
    pixels, asked = noise(*shape), full_spec()
    file = encode(pixels, asked, image_format=image_format)
    assert np.array_equal(decode(file.data, limits=LIMITS), pixels)
    assert read_spec(file.data) == asked
    assert read_spec(file.data).digest == asked.digest
    assert file.extension == image_format and file.media_type == f"image/{image_format}"


@settings(max_examples=40, deadline=None)
@given(prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), image_format=st.sampled_from(FORMATS))
def test_any_prompt_survives(prompt: str, image_format: ImageFormat) -> None:
    asked = spec(prompt=prompt)
    file = encode(noise(8, 8), asked, image_format=image_format)
    assert read_spec(file.data) == asked
    if image_format != "jxl":
        Image.open(io.BytesIO(file.data)).load()


@pytest.mark.parametrize("image_format", ["png", "webp"])
@pytest.mark.parametrize("asked", [spec(), full_spec()], ids=["plain", "full"])
def test_an_independent_parser_reads_the_parameters(image_format: ImageFormat, asked: ImageSpec) -> None:
    file = encode(noise(), asked, image_format=image_format)
    opened = Image.open(io.BytesIO(file.data))
    OPENED.append(opened)
    found = ParserManager().parse(opened)
    assert found is not None and found.generator.name == "AUTOMATIC1111"
    (sampler,) = found.samplers
    lora = " <lora:studio-tiny/style:0.8>" if asked.loras else ""
    assert [prompt.value for prompt in sampler.prompts] == [asked.prompt + lora]
    assert [prompt.value for prompt in sampler.negative_prompts] == [asked.negative_prompt]
    assert sampler.name == "DPM++ 2M"
    assert sampler.parameters["steps"] == "25"
    assert sampler.parameters["cfg_scale"] == "6.5"
    assert sampler.parameters["seed"] == str(2**53 + 1)
    assert sampler.parameters["scheduler"] == "Karras"
    assert sampler.model.name == "studio-tiny" and sampler.model.hash == "ab" * 5
    assert found.metadata["Size"] == "96x64"


def test_the_parameters_are_in_a1111s_order() -> None:
    last = make_parameters_text(full_spec(source="ef" * 32, strength=0.4, seamless="xy")).split("\n")[-1]
    order = (
        "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE",
        "Denoising strength", "Clip skip", "Init image hash", "Tiling", "ControlNet 0", "Lora hashes", "Version",
    )  # fmt: skip
    places = [last.index(f"{key}: ") for key in order]
    assert places == sorted(places)
    assert make_parameters_text(spec()).startswith(
        "a red potion, glass bottle\nNegative prompt: blurry, text\nSteps: 25,"
    )
    assert "Negative prompt" not in make_parameters_text(spec(negative_prompt=""))


def test_latin_text_is_text_that_old_readers_know_and_other_text_is_international() -> None:
    kinds = {name: kind for kind, name in _chunks(encode(noise(), spec(), image_format="png").data)}
    assert kinds["parameters"] == b"tEXt" and kinds["XML:com.adobe.xmp"] == b"iTXt"
    kinds = {name: kind for kind, name in _chunks(encode(noise(), full_spec(), image_format="png").data)}
    assert kinds["parameters"] == b"iTXt"


def _chunks(data: bytes) -> list[tuple[bytes, str]]:
    found, at = [], 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body)
        if kind in (b"tEXt", b"iTXt"):
            found.append((kind, body.split(b"\0")[0].decode()))
        at += 12 + size
    return found


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_file_says_that_a_trained_model_made_it(image_format: ImageFormat) -> None:
    data = encode(noise(), full_spec(), image_format=image_format).data
    if image_format == "jxl":
        packet = data[data.index(b"<?xpacket begin") : data.index(b'<?xpacket end="r"?>')]
    else:
        packet = Image.open(io.BytesIO(data)).info["xmp"]
    about = next(ElementTree.fromstring(packet).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"))
    said = {child.tag.split("}")[1]: child.text for child in about}
    assert said["DigitalSourceType"] == DIGITAL_SOURCE
    assert said["digest"] == full_spec().digest


@pytest.mark.parametrize("asked", [spec(), full_spec()], ids=["plain", "full"])
def test_a_snippet_is_a_manifest_that_plans_the_same_image(asked: ImageSpec) -> None:
    assert _planned(make_snippet(asked), asked) == asked


def test_a_snippet_says_what_else_made_the_image() -> None:
    ref = {"alias": "x", "digest": "77" * 32}
    sketch = {"type": "sketch", "image": "cd" * 32, "model": ref, "kind": "t2i_adapter", "precomputed": True}
    perturbed = spec(
        pag_scale=2.5, pag_applied_layers=("mid", "up_blocks.0"), controls=(sketch,), guidance_end=0.6,
        embeddings=({"alias": "word", "digest": "66" * 32, "token": "glass"},),
        references=({"image": "ab" * 32, "model": ref, "scale": 0.3},),
        hires={"width": 64, "height": 64, "strength": 0.4, "upscaler": ref}, width=128, height=128,
    )  # fmt: skip
    refined = spec(refiner={"model": ref, "denoising_start": 0.7, "aesthetic_score": 7.0})
    for asked in (perturbed, refined):
        assert _planned(make_snippet(asked), asked) == asked


def test_a_snippet_of_a_texture_names_its_source() -> None:
    asked = spec(kind="texture", source="ef" * 32, strength=0.4, seamless="xy")
    assert _planned(make_snippet(asked), asked) == asked


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "texture", "source": "ef" * 32, "strength": 0.4, "keep_colour": True},
        {"kind": "texture", "source": "ef" * 32, "strength": 0.4, "seam_repair": SeamRepair(axes="xy", strength=0.6)},
        {"kind": "repair", "source": "ef" * 32, "strength": 0.4, "mask": "aa" * 32, "padding_mask_crop": 20},
        {
            "width": 192,
            "height": 128,
            "hires": Hires(width=96, height=64, strength=0.3, num_inference_steps=9, tile=64),
            "guidance_end": 0.8,
        },
        {"approximation": {"cache_interval": 3, "cache_branch_id": 1, "tgate_after": 0.6}},
        {"storage_dtype": "float8_e4m3fn"},
        {"references": (ReferenceSpec(image="ef" * 32, model=ModelRef(alias="look", digest="12" * 32), scale=0.4),)},
    ],
    ids=["texture", "seams", "repair", "hires", "approximation", "storage", "references"],
)
def test_a_snippet_leaves_nothing_out(said: dict[str, Any]) -> None:
    asked = spec(**said, controls=full_spec().controls)
    assert _planned(make_snippet(asked), asked) == asked
    assert "CANNOT" not in make_snippet(asked)


def test_a_snippet_says_what_a_manifest_cannot() -> None:
    painted = {"kind": "repair", "source": "ef" * 32, "mask": "aa" * 32, "strength": 0.4}
    assert "CANNOT BE SAID HERE: its whole picture was painted at once" in make_snippet(spec(**painted))
    text = make_snippet(spec(**painted, padding_mask_crop=32, seamless="x", parent="bb" * 32, take=2))
    assert "CANNOT BE SAID HERE: it was seamless in x" in text
    assert "take 2 of " + "bb" * 32 in text
    assert "CANNOT" not in make_snippet(full_spec())


def _planned(text: str, asked: ImageSpec) -> ImageSpec:
    """What planning makes of the snippet, on a model whose drafts and finals would have LoRAs of their own."""
    manifest = read_manifest(text.encode(), "snippet.yaml", LIMITS)
    files = {
        f"pictures/{digest}": FrozenFile(digest=digest, width=asked.width, height=asked.height)
        for digest in asked.digests_needed()
    }
    digests = {ref.alias: ref.digest for ref in asked.models()} | {"own": "99" * 32}
    own = {tier: TierDefaults(loras={"own": 1.0}) for tier in Tier}
    known = PlannedModels(
        digests=digests,
        tiers={asked.model.alias: own},
        adapters=frozenset(control.model.alias for control in asked.adapters),
        tokens={embedding.alias: embedding.token for embedding in asked.embeddings},
    )
    (made,) = expand_manifest(manifest, files, known)
    return made


def test_previews_keep_the_shape_and_are_never_enlarged() -> None:
    for longest, size in ((384, (384, 256)), (1024, (600, 400))):
        with Image.open(io.BytesIO(make_preview(noise(400, 600), longest))) as picture:
            assert (picture.format, picture.size) == ("WEBP", size)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("side", "said"), [(13_000, "13000x13000 pixels; expected at most"), (60_000, "3600000000 pixels")]
)
def test_a_bomb_is_refused_before_it_is_decoded(side: int, said: str) -> None:
    """Its rows are missing, so that decoding it at all would complain of those instead."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    )
    with pytest.raises(InputError, match=said):
        decode(data, limits=LIMITS)


@pytest.mark.parametrize("image_format", FORMATS)
def test_pixels_and_bytes_are_held_against_the_limits(image_format: ImageFormat) -> None:
    data = encode(noise(100, 130), spec(), image_format=image_format).data
    with pytest.raises(InputError, match="130x100 pixels; expected at most 12999"):
        decode(data, limits=Limits(source_pixels=12_999))
    assert decode(data, limits=Limits(source_pixels=13_000)).shape == (100, 130, 3)
    with pytest.raises(InputError, match=f"{len(data)} bytes; expected at most"):
        decode(data, limits=Limits(source_bytes=len(data) - 1))


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (1024, 768), (1920, 1080), (8, 4000), (513, 1025), (70000, 2)])
def test_a_jpeg_xls_size_is_read_from_its_header(size: tuple[int, int]) -> None:
    import imagecodecs

    width, height = size
    stream = bytes(imagecodecs.jpegxl_encode(np.zeros((height, width, 3), np.uint8), lossless=True, effort=1))
    with pytest.raises(InputError, match=f"{width}x{height} pixels; expected at most"):
        decode(stream, limits=Limits(source_pixels=1))
    assert decode(stream, limits=LIMITS).shape == (height, width, 3)


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_broken_file_is_an_input_error(image_format: ImageFormat) -> None:
    data = encode(noise(), spec(), image_format=image_format).data
    for broken in (data[: len(data) // 2], b"", b"not a picture", data[:30]):
        with pytest.raises(InputError):
            decode(broken, limits=LIMITS)
    with pytest.raises(InputError, match=r"carries no spec|cannot be read"):
        read_spec(data[:30])


def test_a_picture_of_others_carries_no_spec() -> None:
    with pytest.raises(InputError, match="carries no spec of Dailies"):
        read_spec(saved(Image.fromarray(noise())))


def test_other_modes_become_rgb_without_loss_of_meaning() -> None:
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    grey = decode(saved(Image.fromarray(deep)), limits=LIMITS)
    assert np.abs(grey[..., 0].astype(int) - deep // 257).max() <= 1, "16 bits are scaled, not cut off"

    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decode(saved(clear), limits=LIMITS) == 255).all(), "nothing of a colour that nobody saw"

    half = Image.new("RGB", (4, 2), "black")
    half.putpixel((0, 0), (255, 255, 255))
    turned = Image.Exif()
    turned[0x0112] = 6  # shown a quarter to the right
    seen = decode(saved(half, exif=turned), limits=LIMITS)
    assert seen.shape == (4, 2, 3) and seen[0, 1].min() == 255

    palette = Image.fromarray(noise(8, 8)).quantize(4)
    assert np.array_equal(decode(saved(palette), limits=LIMITS), np.array(palette.convert("RGB")))


def test_without_imagecodecs_png_still_works_and_jxl_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = encode(noise(), spec(), image_format="jxl").data
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    file = encode(noise(), spec(), image_format="png")
    assert np.array_equal(decode(file.data, limits=LIMITS), noise()) and read_spec(file.data) == spec()
    assert read_spec(stream) == spec()
    with pytest.raises(SettingsError, match="imagecodecs"):
        encode(noise(), spec(), image_format="jxl")
    with pytest.raises(InputError, match="imagecodecs"):
        decode(stream, limits=LIMITS)


def test_pixels_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"float32 \[4, 4, 3\]; expected uint8"):
        encode(np.zeros((4, 4, 3), np.float32), spec(), image_format="png")
