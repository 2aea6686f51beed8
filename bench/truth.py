"""Pictures whose truth is known, for bench/quality.py: each question yields (is it bad, the finding, the measurement).

Good and bad pictures alternate in fours, so that both halves have as many of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from checks import brand, hands, technical, text
from checks.look import LookSet
from models.studio_tiny.draw import TEST_SEEDS, paint
from models.studio_tiny.pen import rgb
from models.studio_tiny.world import BACKGROUNDS, CHARACTERS, MATERIALS, OBJECTS, STYLES, WORDS, Attributes
from schemas.manifest import BrandGuide, TextRequest
from schemas.review import Finding
from schemas.spec import ImageSpec, ModelRef

Picture = NDArray[np.uint8]
Case = tuple[bool, Finding, float]

SIDE = 192
"""px of the drawings; the small model's are 128, a studio's 1024."""
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "horse", "retina", "hubble_deep_field",
               "immunohistochemistry", "moon", "grass", "gravel", "brick")  # fmt: skip
SCANS = ("page", "text")
NO_GUIDE = BrandGuide()


def spec(prompt: str, *, seamless: str = "") -> ImageSpec:
    return ImageSpec(
        project="bench", asset="checks", variant="01", prompt=prompt, seed=1, width=SIDE, height=SIDE,
        num_inference_steps=30, guidance_scale=5.0, model=ModelRef(alias="none", digest="0" * 64), seamless=seamless,
    )  # fmt: skip


def pick(options: tuple[str, ...] | list[str], number: int) -> str:
    return options[number % len(options)]


def drawn(about: Attributes, number: int, *, side: int = SIDE) -> tuple[Picture, str]:
    """The picture and its caption."""
    picture = paint(about, np.random.default_rng(TEST_SEEDS + 70_000 + number), size=side)
    return picture.image, picture.caption


def photograph(name: str, side: int) -> Picture:
    """uint8 [height, width, 3], `side` px along its longer side."""
    pixels = np.asarray(getattr(data, name)())
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    scale = side / max(pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(pixels[..., :3]), None, fx=scale, fy=scale, interpolation=how)


def hands_close_up() -> Iterator[Case]:
    """Five fingers, or three, four, six; close-ups of one hand."""
    for number in range(160):
        bad = number % 4 >= 2
        fingers = int(pick(["3", "4", "6"], number // 4)) if bad else 5
        ground = pick(["white", "gray", "sky", "dungeon", "night", "meadow"], number)
        colour = pick(["red", "blue", "green", "purple"], number // 8)
        about = Attributes("hand", "hand", colour, ground, pick(STYLES, number // 3), fingers)
        pixels, caption = drawn(about, number)
        yield _hands(bad, pixels, caption)


def hands_of_characters() -> Iterator[Case]:
    """Both hands of a character with five fingers, or with four or six."""
    for number in range(96):
        bad = number % 4 >= 2
        fingers = int(pick(["4", "6"], number // 4)) if bad else 5
        name, colour = pick(list(CHARACTERS), number // 2), pick(["red", "blue", "green"], number // 8)
        ground = pick(["white", "gray", "sky", "dungeon"], number)
        about = Attributes("character", name, colour, ground, pick(STYLES, number // 3), fingers)
        pixels, caption = drawn(about, number, side=2 * SIDE)
        yield _hands(bad, pixels, caption)


def hands_or_none() -> Iterator[Case]:
    """Wrong hands against things and photographs that have no hands."""
    for number in range(120):
        bad = number % 4 >= 2
        if not bad and number % 8 == 0:
            name = pick(PHOTOGRAPHS[1:], number // 8)
            yield _hands(False, photograph(name, 512), name)
            continue
        name = "hand" if bad else pick(list(OBJECTS), number // 2)
        about = Attributes("hand" if bad else "object", name, pick(["red", "blue", "green", "purple"], number // 4),
                           pick(BACKGROUNDS[:2], number), pick(STYLES, number // 3),
                           int(pick(["3", "4", "6"], number // 4)) if bad else 0)  # fmt: skip
        pixels, caption = drawn(about, number)
        yield _hands(bad, pixels, caption)


def _hands(bad: bool, pixels: Picture, caption: str) -> Case:
    finding = hands.check_hands(pixels, spec(caption), NO_GUIDE)
    return bad, finding, finding.score


def words_on_signs() -> Iterator[Case]:
    """The word that must be read, or it misspelt by one letter, or no sign at all."""
    for number in range(128):
        bad = number % 4 >= 2
        word = pick([w for w in WORDS if len(w) > 2], number // 4)
        shown = misspelt(word, number) if bad and number % 8 < 6 else word
        colour = pick(["brown", "red", "blue", "yellow"], number)
        about = Attributes(
            "sign", "sign", colour, pick(BACKGROUNDS[:3], number // 2), pick(STYLES[:2], number), word=shown
        )
        if bad and shown == word:
            about = Attributes("object", pick(list(OBJECTS), number), colour, "gray", "flat")
        pixels, caption = drawn(about, number)
        finding = text.check_text(pixels, spec(caption), NO_GUIDE, request=TextRequest(must_read=word.upper()))
        distance = finding.data["must_read"]["distance"]  # type: ignore[index]
        yield bad, finding, distance / len(word)


def unwanted_words() -> Iterator[Case]:
    """Signs and scans where no text is expected, against things, photographs and materials without any."""
    for number in range(96):
        bad = number % 4 >= 2
        if number % 12 == 2:
            pixels, caption = photograph(pick(SCANS, number // 12), 512), "a scan"
        elif bad:
            colour, word = pick(["brown", "red", "blue", "yellow"], number), pick(WORDS, number // 4)
            ground = pick(BACKGROUNDS, number // 2)
            about = Attributes("sign", "sign", colour, ground, pick(STYLES[:2], number), word=word)
            pixels, caption = drawn(about, number)
        elif number % 8 == 0:
            name = pick(PHOTOGRAPHS, number // 8)
            pixels, caption = photograph(name, 512), name
        else:
            kind = pick(["object", "character", "material"], number // 4)
            name = pick(list({"object": OBJECTS, "character": CHARACTERS, "material": MATERIALS}[kind]), number // 2)
            about = Attributes(kind, name, "green", "" if kind == "material" else "gray", pick(STYLES, number // 3),
                               5 if kind == "character" else 0)  # fmt: skip
            pixels, caption = drawn(about, number)
        finding = text.check_text(pixels, spec(caption), NO_GUIDE)
        yield bad, finding, finding.score


def misspelt(word: str, number: int) -> str:
    """One letter replaced by another."""
    rng = np.random.default_rng(number)
    at = int(rng.integers(len(word)))
    others = [letter for letter in "abcdefghiklmnoprstuvw" if letter != word[at]]
    return word[:at] + others[int(rng.integers(len(others)))] + word[at + 1 :]


def palette() -> Iterator[Case]:
    """Things in a colour of the palette, or in another, before a ground that is on the palette either way."""
    guide = BrandGuide(palette=("#d62828", "#2858d4", "#fad428", "#f5f5f0", "#8c9096", "#262626", "#7a4c2a"))
    for number in range(128):
        bad = number % 4 >= 2
        colour = pick(["green", "teal", "pink", "purple"] if bad else ["red", "blue", "yellow", "white"], number // 4)
        name = pick(["shield", "gem", "heart", "star", "mushroom", "book", "flag", "helmet"], number)
        about = Attributes("object", name, colour, "gray", pick(STYLES[:2], number // 2))
        pixels, caption = drawn(about, number)
        finding = brand.check_brand(pixels, spec(caption), guide)
        yield bad, finding, finding.score


def looks() -> Iterator[Case]:
    """Things that were never approved, in the approved look (flat, on white, three colours) or in another: other lines,
    another ground, other colours."""
    known, new = (
        ["shield", "gem", "heart", "star", "mushroom", "book"],
        ["flag", "helmet", "key", "crown", "chest", "coin"],
    )
    colours, others = ["red", "blue", "yellow"], ["green", "purple", "pink"]
    approved = {}
    for number in range(40):
        about = Attributes("object", pick(known, number), pick(colours, number), "white", "flat")
        approved[f"{number:064}"] = brand.measure_picture(drawn(about, 9_000 + number)[0])
    stands = LookSet(approved)
    for number in range(96):
        bad, way = number % 4 >= 2, number // 4 % 3
        style, ground = ("outlined" if bad and way == 0 else "flat"), ("dungeon" if bad and way == 1 else "white")
        colour = pick(others if bad and way == 2 else colours, number // 2)
        pixels, caption = drawn(Attributes("object", pick(new, number), colour, ground, style), 9_500 + number)
        finding = brand.check_brand(pixels, spec(caption), NO_GUIDE, approved=stands)
        yield bad, finding, float(finding.data["approved_distance"])  # type: ignore[arg-type]


def seams() -> Iterator[Case]:
    """Drawn materials that tile, or a cut from their middle, that does not; and shipped photographs of textures."""
    for number in range(96):
        bad = number % 4 >= 2
        if bad and number % 12 == 2:
            pixels = photograph(pick(["grass", "gravel", "brick"], number // 12), 256)
        else:
            name, colour = pick(list(MATERIALS), number // 4), pick(["red", "gray", "green", "brown"], number)
            about = Attributes("material", name, colour, "", pick(STYLES[:2], number // 2))
            pixels, _ = drawn(about, number, side=256 if bad else SIDE)
            if bad:
                pixels = pixels[17 : 17 + SIDE, 23 : 23 + SIDE]
        finding = technical.check_technical(pixels, spec("a texture", seamless="xy"), NO_GUIDE)
        seen: dict[str, Any] = finding.data
        measure = max(
            max(
                [
                    seen[f"seam_{axis}"] / technical.SEAM,
                    *(part / technical.SEAM_PART for part in seen[f"seam_{axis}_parts"]),
                ]
            )
            for axis in "xy"
        )
        yield bad, finding, float(measure)


def blur() -> Iterator[Case]:
    """Sharp drawings and photographs, and the same blurred by 0.5 to 2 % of their side."""
    for number in range(96):
        bad = number % 4 >= 2
        if number % 2:
            pixels = photograph(
                pick([n for n in PHOTOGRAPHS if n not in ("retina", "moon", "hubble_deep_field")], number // 2), 384
            )
        else:
            about = Attributes(
                "object",
                pick(list(OBJECTS), number // 2),
                "red",
                pick(BACKGROUNDS, number // 4),
                pick(STYLES[:2], number),
            )
            pixels, _ = drawn(about, number)
        if bad:
            share = 0.01 * (1 + number % 3) / 1.5
            pixels = cv2.GaussianBlur(pixels, (0, 0), max(1.8, share * max(pixels.shape[:2])))
        finding = technical.check_technical(pixels, spec("a thing"), NO_GUIDE)
        width = finding.data.get("edge_width")
        allowed = finding.data.get("edge_width_allowed", 1.0)
        yield bad, finding, float(width or 0.0) / float(allowed)  # type: ignore[arg-type]


def bands() -> Iterator[Case]:
    """Skies that climb smoothly behind a thing, and the same in visible stairs; and photographs."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    ways = [y, x, (x + y) / 2, np.clip(np.hypot(x - 0.5, y - 0.5) * 1.4, 0, 1)]
    for number in range(80):
        bad = number % 4 >= 2
        if not bad and number % 8 == 0:
            pixels = photograph(pick(PHOTOGRAPHS, number // 8), 384)
        else:
            low, high = (
                rgb(pick(["blue", "teal", "purple", "gray"], number // 4), np.random.default_rng(number)),
                (250, 250, 250),
            )
            slope = np.array(low) * 0.6 + (np.array(high) - np.array(low)) * 0.3 * ways[number // 2 % 4][..., None]
            step = 6 if bad else 1
            ground = np.clip(np.round(slope / step) * step, 0, 255).astype(np.uint8)
            about = Attributes("object", pick(list(OBJECTS), number // 2), "red", "white", "flat")
            picture = paint(about, np.random.default_rng(TEST_SEEDS + 71_000 + number), size=SIDE)
            pixels = np.where(picture.mask[..., None], picture.image, ground).astype(np.uint8)
        finding = technical.check_technical(pixels, spec("a thing"), NO_GUIDE)
        yield bad, finding, float(finding.data.get("banded", 0.0))  # type: ignore[arg-type]


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "hands: fingers, close-ups": hands_close_up,
    "hands: fingers, characters": hands_of_characters,
    "hands: wrong ones among things": hands_or_none,
    "text: misspelt or absent": words_on_signs,
    "text: unwanted": unwanted_words,
    "brand: off palette": palette,
    "look: unlike what is approved": looks,
    "technical: seams": seams,
    "technical: blurred": blur,
    "technical: banded": bands,
}
