# ruff: noqa: E501 (a table, a file a line)
"""Pictures as artists have them: each file is read right, by the word of another library or refused."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image
from skimage.color import lab2xyz

from schemas.errors import InputError
from schemas.manifest import PictureReading
from schemas.settings import Limits
from storage.conversion import Converted, convert_mask, convert_source, open_artwork
from storage.pictures import decode
from tests.storage.icc import ADOBE_RGB, DISPLAY_P3, cmyk_profile, from_d50, gray_profile, rgb_profile, through

LIMITS = Limits()
HEIGHT, WIDTH = 24, 32
RNG = np.random.default_rng(10)
RGB = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (HEIGHT, 1))
DEEP = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
UNIT = RNG.random((HEIGHT, WIDTH, 3), np.float32)
INKS = {
    (c, m, y, k): (100.0 - 20 * (c + m + y) - 35 * k, 30.0 * (m - c), 30.0 * (y - m))
    for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)
}  # fmt: skip


def saved(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def png(pixels: np.ndarray, **options: Any) -> bytes:
    return saved(Image.fromarray(pixels), **options)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def exr(channels: dict[str, np.ndarray], **header: Any) -> bytes:
    kinds = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with tempfile.NamedTemporaryFile(suffix=".exr") as place:
        OpenEXR.File(kinds | header, channels).write(place.name)
        return place.read()


def on(pixels: np.ndarray, alpha: np.ndarray, ground: int | np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return np.rint(pixels * share + ground * (1 - share)).astype(np.uint8)


def to_8(values: np.ndarray, low: float, high: float) -> np.ndarray:
    levels = np.rint((values.astype(np.float64) - low) / (high - low) * 255).astype(np.uint8)
    return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, 2)


def srgb(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return np.rint(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255).astype(
        np.uint8
    )


def grey3(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, 2)


def exif(orientation: int) -> Image.Exif:
    turned = Image.Exif()
    turned[0x0112] = orientation
    return turned


def upright(orientation: int) -> np.ndarray:
    """By OpenCV, which turns JPEGs as EXIF says."""
    data = saved(Image.fromarray(SMOOTH), "JPEG", quality=98, subsampling=0, exif=exif(orientation))
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


SMOOTH = np.dstack(
    [grey3(GREY)[..., 0], np.tile(np.arange(0, 240, 10, dtype=np.uint8)[:, None], (1, WIDTH)), GREY // 2]
)
P3, ADOBE = rgb_profile(DISPLAY_P3, gamma=2.2, name="Display P3"), rgb_profile(ADOBE_RGB, gamma=2.2, name="Adobe RGB")
CORNERS = np.array([[[255 * part for part in inks] for inks in INKS]], np.uint8)
LIGHT = (RNG.random((HEIGHT, WIDTH, 4), np.float32) * 1.6).astype(np.float16)
LIGHT[..., 3] = ALPHA / 255.0
PREMULTIPLIED = (LIGHT[..., :3] * LIGHT[..., 3:]).astype(np.float16)
RGBA_DEEP = np.dstack([DEEP, ALPHA.astype(np.uint16) * 257])
FILES: list[tuple[str, Callable[[], bytes], np.ndarray | str, dict[str, Any], int]] = [
    # 8 bits, in every wrapping: bytes stay, the answer is OpenCV's or the array itself
    ("rgb png", lambda: png(RGB), RGB, {}, 0),
    ("grey png", lambda: png(GREY), grey3(GREY), {}, 0),
    ("one bit", lambda: saved(Image.fromarray(GREY > 99)), grey3(np.where(GREY > 99, 255, 0)), {}, 0),
    ("palette", lambda: saved(Image.fromarray(RGB).quantize(8)), np.array(Image.fromarray(RGB).quantize(8).convert("RGB")), {}, 0),
    ("webp", lambda: saved(Image.fromarray(RGB), "WEBP", lossless=True), RGB, {}, 0),
    ("bmp", lambda: saved(Image.fromarray(RGB), "BMP"), RGB, {}, 0),
    ("lzw tiff", lambda: saved(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"), RGB, {}, 0),
    ("white is zero", lambda: tiff(GREY, photometric="miniswhite"), grey3(255 - GREY), {}, 0),
    # EXIF
    *((f"exif {n}", lambda n=n: saved(Image.fromarray(SMOOTH), "JPEG", quality=98, subsampling=0, exif=exif(n)), upright(n), {}, 3) for n in range(1, 9)),
    ("tiff orientation 6", lambda: tiff(UNIT, photometric="rgb", extratags=[(274, "H", 1, 6, True)]), np.rot90(to_8(UNIT, 0, 1), 3), {}, 1),
    # alpha
    ("alpha on white", lambda: png(np.dstack([RGB, ALPHA])), on(RGB, ALPHA, 255), {}, 1),
    ("alpha on black", lambda: png(np.dstack([RGB, ALPHA])), on(RGB, ALPHA, 0), {"on": "black"}, 1),
    ("alpha on its edge", lambda: png(np.dstack([np.full_like(RGB, 90), ALPHA])), np.full_like(RGB, 90), {"on": "edge"}, 1),
    ("grey and alpha", lambda: png(np.dstack([GREY, ALPHA])), on(grey3(GREY), ALPHA, 0), {"on": "black"}, 1),
    ("palette and alpha", lambda: saved(Image.fromarray(GREY).convert("P"), transparency=0), np.where(grey3(GREY) == 0, 255, grey3(GREY)), {}, 0),
    ("opaque alpha", lambda: png(np.dstack([RGB, np.full_like(ALPHA, 255)])), RGB, {"on": "black"}, 0),
    ("16-bit alpha", lambda: bytes(imagecodecs.png_encode(RGBA_DEEP)), on(np.rint(DEEP / 257), ALPHA, 0), {"on": "black"}, 2),
    ("premultiplied tiff", lambda: tiff(np.dstack([np.rint(UNIT * ALPHA[..., None] * 257).astype(np.uint16), RGBA_DEEP[..., 3]]), photometric="rgb", extrasamples=["assocalpha"]), on(to_8(UNIT, 0, 1), ALPHA, 0), {"on": "black"}, 2),
    # colour
    ("srgb profile", lambda: png(SMOOTH, icc_profile=imagecodecs.cms_profile("srgb")), SMOOTH, {}, 1),
    ("display p3", lambda: png(SMOOTH, icc_profile=P3), through(SMOOTH, DISPLAY_P3, gamma=2.2), {}, 2),
    ("adobe rgb", lambda: saved(Image.fromarray(SMOOTH), "TIFF", icc_profile=ADOBE), through(SMOOTH, ADOBE_RGB, gamma=2.2), {}, 2),
    ("p3 and alpha", lambda: png(np.dstack([SMOOTH, ALPHA]), icc_profile=P3), on(through(SMOOTH, DISPLAY_P3, gamma=2.2), ALPHA, 0), {"on": "black"}, 2),
    ("16-bit adobe rgb", lambda: tiff(SMOOTH.astype(np.uint16) * 257, photometric="rgb", iccprofile=ADOBE), through(SMOOTH, ADOBE_RGB, gamma=2.2), {}, 2),
    ("grey profile", lambda: png(GREY, icc_profile=gray_profile(gamma=1.0)), grey3(srgb(GREY / 255.0)), {}, 2),
    ("cmyk profile", lambda: saved(Image.fromarray(CORNERS, mode="CMYK"), "TIFF", icc_profile=cmyk_profile(INKS)), from_d50(lab2xyz(np.array([list(INKS.values())]), illuminant="D50")), {}, 2),
    ("cmyk without one", lambda: saved(Image.fromarray(CORNERS, mode="CMYK"), "TIFF"), np.array([[[(255 - i) * (255 - k) // 255 for i in (c, m, y)] for c, m, y, k in CORNERS[0].astype(int)]], np.uint8), {}, 1),
    ("broken profile", lambda: png(SMOOTH, icc_profile=b"not a profile"), SMOOTH, {}, 0),
    ("a profile of another space", lambda: png(SMOOTH, icc_profile=gray_profile(gamma=1.0)), SMOOTH, {}, 0),
    # more than 8 bits
    ("16-bit grey png", lambda: bytes(imagecodecs.png_encode(DEEP[..., 0].copy())), to_8(DEEP[..., 0], 0, 65535), {}, 1),
    ("16-bit rgb png", lambda: bytes(imagecodecs.png_encode(DEEP)), to_8(DEEP, 0, 65535), {}, 1),
    ("16-bit grey tiff", lambda: tiff(DEEP[..., 0].copy()), to_8(DEEP[..., 0], 0, 65535), {}, 1),
    ("16-bit rgb tiff", lambda: tiff(DEEP, photometric="rgb"), to_8(DEEP, 0, 65535), {}, 1),
    ("16-bit planar tiff", lambda: tiff(np.moveaxis(DEEP, 2, 0).copy(), photometric="rgb", planarconfig="separate"), to_8(DEEP, 0, 65535), {}, 1),
    ("int32 of 8 bits", lambda: tiff(GREY.astype(np.int32)), grey3(GREY), {}, 0),
    ("int32 of 200", lambda: tiff(np.full((8, 8), 200, np.int32)), np.full((8, 8, 3), 200), {}, 0),
    ("int32 of 16 bits", lambda: tiff(DEEP[..., 0].astype(np.int32)), to_8(DEEP[..., 0], 0, 65535), {}, 1),
    ("int32 below zero", lambda: tiff(GREY.astype(np.int32) * 1000 - 5000), to_8(GREY.astype(np.int32) * 1000 - 5000, -5000, 243000), {}, 1),
    ("uint32", lambda: tiff(GREY.astype(np.uint32) * 2**24), to_8(GREY, 0, 248), {}, 1),
    ("int16", lambda: tiff(GREY.astype(np.int16) - 100), to_8(GREY, 0, 248), {}, 1),
    ("float of 0 to 1", lambda: tiff(UNIT[..., 0].copy()), to_8(UNIT[..., 0], 0, 1), {}, 1),
    ("float rgb", lambda: tiff(UNIT, photometric="rgb"), to_8(UNIT, 0, 1), {}, 1),
    ("float of 200", lambda: tiff(np.full((8, 8), 200, np.float32)), np.full((8, 8, 3), 200), {}, 0),
    ("float of metres", lambda: tiff(UNIT[..., 0] * 1e6 - 10), to_8(UNIT[..., 0], UNIT[..., 0].min(), UNIT[..., 0].max()), {}, 1),
    ("float16", lambda: tiff(UNIT[..., 0].astype(np.float16)), to_8(UNIT[..., 0].astype(np.float16), 0, 1), {}, 1),
    ("float64, lzw", lambda: tiff(UNIT[..., 0].astype(np.float64), compression="lzw"), to_8(UNIT[..., 0], 0, 1), {}, 1),
    ("float nan", lambda: tiff(np.full((8, 8), np.nan, np.float32)), "NaN or infinity", {}, 0),
    ("complex", lambda: tiff(np.ones((8, 8), np.complex64)), "format 6", {}, 0),
    ("lab tiff", lambda: saved(Image.new("LAB", (8, 8)), "TIFF"), "colours are LAB", {}, 0),
    # several frames
    ("apng", lambda: saved(Image.fromarray(RGB), save_all=True, append_images=[Image.fromarray(255 - RGB)]), RGB, {}, 0),
    ("animated webp", lambda: saved(Image.fromarray(RGB), "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(255 - RGB)]), RGB, {}, 0),
    ("tiff pages", lambda: tiff(np.stack([UNIT, 1 - UNIT]), photometric="rgb"), to_8(UNIT, 0, 1), {}, 1),
    ("gif", lambda: saved(Image.fromarray(GREY), "GIF"), "no picture that can be read", {}, 0),
    # OpenEXR
    ("exr half", lambda: exr({"RGB": LIGHT[..., :3].copy()}), srgb(LIGHT[..., :3].astype(np.float64)), {}, 1),
    ("exr float", lambda: exr({"RGB": UNIT}), srgb(UNIT), {}, 1),
    ("exr grey", lambda: exr({"Y": UNIT[..., 0].copy()}), srgb(grey3(UNIT[..., 0])), {}, 1),
    ("exr raw", lambda: exr({"RGB": UNIT}), to_8(UNIT, 0, 1), {"view": "raw"}, 1),
    ("exr exposure", lambda: exr({"RGB": UNIT}), srgb(UNIT / 4), {"exposure": -2.0}, 1),
    ("exr alpha", lambda: exr({"RGBA": np.dstack([PREMULTIPLIED, LIGHT[..., 3]])}), srgb(PREMULTIPLIED + 1.0 - LIGHT[..., 3:].astype(np.float64)), {}, 2),
    ("exr nan", lambda: exr({"RGB": np.full((8, 8, 3), np.nan, np.float32)}), "NaN or infinity", {}, 0),
    ("exr depth", lambda: exr({"Z": UNIT[..., 0].copy()}), "channels are Z", {}, 0),
    ("exr cut off", lambda: exr({"RGB": UNIT})[:200], "no picture that can be read", {}, 0),
    ("text", lambda: b"no picture", "no picture that can be read", {}, 0),
]  # fmt: skip


def read(data: bytes, **reading: Any) -> tuple[np.ndarray, Converted]:
    """The pixels that a night would see."""
    how = PictureReading(**reading)
    converted = convert_source(data, open_artwork(data, reading=how, limits=LIMITS), reading=how, limits=LIMITS)
    return decode(converted.data or data, limits=LIMITS), converted


def test_there_are_at_least_forty() -> None:
    assert len(FILES) >= 40 and len({name for name, *_ in FILES}) == len(FILES)


@pytest.mark.parametrize(
    ("make", "expected", "reading", "most"), [row[1:] for row in FILES], ids=[row[0] for row in FILES]
)
def test_a_picture_is_read_right_or_refused(
    make: Callable[[], bytes], expected: np.ndarray | str, reading: dict[str, Any], most: int
) -> None:
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read(make(), **reading)
        return
    pixels, converted = read(make(), **reading)
    assert (converted.height, converted.width) == pixels.shape[:2] == expected.shape[:2]
    assert np.abs(pixels.astype(int) - expected).max() <= most


@pytest.mark.parametrize("name", ["rgb png", "grey png", "palette", "webp", "lzw tiff", "exif 6", "alpha on white", "srgb profile", "16-bit rgb png", "apng"])  # fmt: skip
def test_bytes_that_are_read_right_stay_and_so_do_digests(name: str) -> None:
    make, _, reading, _ = next(row[1:] for row in FILES if row[0] == name)
    assert read(make(), **reading)[1].data is None


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("display p3", "its profile 'Display P3' was converted to sRGB"),
        ("alpha on white", "its alpha was composited on white, #ffffff"),
        ("alpha on its edge", "on edge, #5a5a5a"),
        ("exif 6", "turned as its EXIF orientation says"),
        ("apng", "2 frames; the first is taken"),
        ("int32 below zero", "int32 levels of -5000 to 243000 became 8 bits"),
        ("broken profile", "its colour profile is broken; read as sRGB"),
        ("a profile of another space", "is for GRAY and was left out"),
        ("cmyk without one", "no profile; read by the plain formula"),
        ("exr exposure", "view 'standard', exposure -2"),
        ("exr half", "of its values are over 1 and were cut"),
    ],
)
def test_what_was_changed_is_remarked_on(name: str, remark: str) -> None:
    make, _, reading, _ = next(row[1:] for row in FILES if row[0] == name)
    assert any(remark in sentence for sentence in read(make(), **reading)[1].remarks)


@pytest.mark.parametrize("name", ["rgb png", "grey png", "srgb profile", "exif 1"])
def test_nothing_is_remarked_on_a_plain_picture(name: str) -> None:
    assert read(next(row[1] for row in FILES if row[0] == name)())[1].remarks == ()


def test_an_exrs_data_window_lies_in_its_display_window() -> None:
    window = (np.array([-4, -2], np.int32), np.array([WIDTH + 3, HEIGHT + 5], np.int32))
    data = exr({name: UNIT[..., index].copy() for index, name in enumerate("RGB")}, displayWindow=window)
    pixels, _ = read(data)
    assert pixels.shape == (HEIGHT + 8, WIDTH + 8, 3)
    assert np.abs(pixels[2:-6, 4:-4].astype(int) - srgb(UNIT)).max() <= 1 and (pixels[:2] == 255).all()


def test_an_exr_of_other_primaries_is_refused() -> None:
    aces = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    with pytest.raises(InputError, match=r"not those of Rec\. 709"):
        read(exr({name: UNIT[..., 0].copy() for name in "RGB"}, chromaticities=aces))


@pytest.mark.parametrize("make", [lambda side: tiff(np.zeros((side, side), np.float32)), lambda side: exr({"Y": np.zeros((side, side), np.float16)})])  # fmt: skip
def test_pixels_are_counted_before_they_are_decoded(make: Callable[[int], bytes]) -> None:
    with pytest.raises(InputError, match="100x100 pixels"):
        open_artwork(make(100), reading=PictureReading(), limits=Limits(source_pixels=9999))


BLOT = np.zeros((HEIGHT, WIDTH), np.uint8)
BLOT[5:15, 8:20] = 255


def mask(data: bytes) -> tuple[np.ndarray, Converted]:
    converted = convert_mask(data, open_artwork(data, reading=PictureReading(), limits=LIMITS), limits=LIMITS)
    return decode(converted.data or data, limits=LIMITS)[:, :, 0], converted


@pytest.mark.parametrize(
    ("data", "expected", "stays"),
    [
        (png(BLOT), BLOT, True),
        (png(grey3(BLOT)), BLOT, True),
        (saved(Image.fromarray(BLOT > 0)), BLOT, True),
        (png(np.dstack([np.full_like(RGB, 255), BLOT])), BLOT, False),
        (png(np.dstack([grey3(BLOT), np.full_like(BLOT, 255)])), BLOT, True),
        (png(np.dstack([np.full_like(RGB, 255), BLOT // 2])), BLOT // 2, False),
        (png(np.dstack([BLOT // 2, BLOT // 2])), np.rint(127.0 * (BLOT // 2) / 255), False),
        (png(np.dstack([BLOT * 0, BLOT * 0, BLOT])), np.where(BLOT, 29, 0), False),
        (png(np.dstack([BLOT, BLOT * 0, BLOT * 0])), np.where(BLOT, 76, 0), False),
        (tiff(BLOT.astype(np.float32) / 255), BLOT, True),
        (tiff(BLOT.astype(np.int32)), BLOT, False),
    ],
    ids=[
        "grey",
        "rgb",
        "one bit",
        "white paint",
        "opaque",
        "half paint",
        "grey alpha",
        "blue",
        "red",
        "float",
        "int32",
    ],
)
def test_a_mask_is_alpha_times_luminance(data: bytes, expected: np.ndarray, stays: bool) -> None:
    read_as, converted = mask(data)
    assert np.abs(read_as.astype(int) - expected).max() <= 1
    assert (converted.data is None) == stays


@pytest.mark.parametrize(
    ("pixels", "remark"),
    [
        (np.full_like(BLOT, 255), "white everywhere"),
        (np.zeros_like(BLOT), "black everywhere"),
        (np.dstack([np.full_like(RGB, 255), np.zeros_like(BLOT)]), "all of the mask is transparent"),
        (np.dstack([BLOT * 0, BLOT * 0, BLOT]), "black everywhere: nothing would be painted"),
    ],
)
def test_a_mask_that_says_nothing_is_warned_of(pixels: np.ndarray, remark: str) -> None:
    assert any(remark in sentence for sentence in mask(png(pixels))[1].doubts)
    assert mask(png(BLOT))[1].doubts == mask(png(BLOT))[1].remarks == ()
