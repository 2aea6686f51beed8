"""The types that a manifest's fields are made of: one value or several, sizes, seeds, colours, paths, templates.

Each refuses with what came and what is allowed; schemas/reading/manifest_file.py adds the place. Text is only ever
text here: `$placeholders` are looked up by `string.Template`, and `{Fields}` of a file name by a regular expression,
once.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from pathlib import PurePosixPath
from string import Template
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from schemas.schedulers import SchedulerError, resolve_scheduler
from schemas.spec import ImageSpec, Real

T = TypeVar("T")


def make_refusal(came: str, allowed: str) -> PydanticCustomError:
    """An error in the shape that schemas/reading/manifest_file.py turns into a Problem."""
    return PydanticCustomError("refused", "{came}; expected {allowed}", {"came": came, "allowed": allowed})


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [value]


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    seen: set[str] = set()
    for value in values:
        if repr(value) in seen:
            raise make_refusal(f"got {value!r} twice", "each value once")
        seen.add(repr(value))
    return values


class _OneOrMany:
    """In the JSON Schema: one value, or a list of them."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        many["minItems"] = 1
        return {"anyOf": [many["items"], many]}


Several = Annotated[
    tuple[T, ...], _OneOrMany(), BeforeValidator(_listed), Field(min_length=1), AfterValidator(_distinct)
]
"""One value or a list; a list is an axis of the asset's matrix."""

Text = Annotated[str, Field(strict=True, max_length=4000)]


def _said(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Spoken = Annotated[Text, BeforeValidator(_said), WithJsonSchema({"type": ["string", "number"]})]
"""Text; a number is the text that it is written as."""
Flag = Annotated[bool, Field(strict=True)]
"""true or false; 'yes' and 1 are refused."""
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[Real, Field(strict=True)]
Part = Annotated[Number, Field(ge=0.0, le=1.0)]


def _name(value: str) -> str:
    plain = "".join("x" if _is_mark(letter) else letter for letter in value[1:])
    if not re.fullmatch(r"\w[\w .-]{0,79}", value[:1] + plain) or value.endswith((".", " ")):
        raise make_refusal(
            f"got {value!r}", "1 to 80 letters, digits, spaces, '_', '-' or '.', first a letter or digit"
        )
    return value


Name = Annotated[str, Field(strict=True), AfterValidator(_name)]
Alias = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


def _size(value: Any) -> str:
    text = f"{value}x{value}" if isinstance(value, int) and not isinstance(value, bool) else value
    found = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", text) if isinstance(text, str) else None
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(sides) < 64 or any(side % 8 for side in sides):
        raise make_refusal(
            f"got {value!r}", "a size in pixels such as 1024 or 1216x832, sides of 64 or more, multiples of 8"
        )
    return f"{sides[0]}x{sides[1]}"


Size = Annotated[
    str,
    BeforeValidator(_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 64, "multipleOf": 8},
                {"type": "string", "pattern": "^[1-9][0-9]{0,4}[x×][1-9][0-9]{0,4}$"},
            ],
            "examples": [1024, "1216x832"],
        }
    ),
]
"""WIDTHxHEIGHT in pixels; a whole number is a square. Kept as text, such as "1216x832"."""


def count_pixels(size: str) -> tuple[int, int]:
    """(width, height) of a Size."""
    width, height = size.split("x")
    return int(width), int(height)


def _seeds(value: Any) -> int | tuple[int, ...]:
    listed = list(value) if isinstance(value, list | tuple) else None
    for seed in [value] if listed is None else listed:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            if seed == -1:
                allowed = (
                    "no seeds at all, or how many (4): they follow from project and asset, and are the same each time"
                )
                raise make_refusal("got -1, by which other tools mean a random seed", allowed)
            raise make_refusal(
                f"got {str(seed).lower() if isinstance(seed, bool) else repr(seed)}",
                "how many (4), or a list of the seeds themselves ([11, 12]), 0 to 2^63 - 1",
            )
    if listed == [] or value == 0:
        raise make_refusal("got none", "how many (4), or a list of the seeds themselves ([11, 12])")
    return value if listed is None else _distinct(tuple(listed))


Seeds = Annotated[
    int | tuple[int, ...],
    BeforeValidator(_seeds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            ],
            "examples": [4, [11, 12]],
        }
    ),
]
"""A number: how many seeds, which the asset's name fixes. A list: these seeds."""


def _scheduler(value: str) -> str:
    try:
        resolve_scheduler(value)
    except SchedulerError as wrong:
        raise make_refusal(f"got {value!r}", wrong.allowed) from None
    return value


Scheduler = Annotated[
    str,
    Field(strict=True, examples=["Euler", "DPM++ 2M Karras"]),
    AfterValidator(_scheduler),
    WithJsonSchema({"type": "string", "format": "scheduler"}),  # schemas/published.py lists the names, once
]


def _colour(value: Any) -> str:
    if value is None:
        raise make_refusal("got nothing", "a colour in quotes, such as '#d62828' (bare, it is a comment in YAML)")
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise make_refusal(f"got {value!r}", "a colour such as '#d62828', in quotes")
    return value.lower()


Colour = Annotated[str, BeforeValidator(_colour), WithJsonSchema({"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"})]


def check_picture_path(value: str) -> str:
    allowed = "a file under the manifest's folder, such as sources/brick.png"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", value)
    if scheme and scheme[1].lower() == "s3":
        if not re.fullmatch(r"s3://[a-z0-9.-]{3,63}/[^\x00-\x1f]+", value) or ".." in value.split("/"):
            raise make_refusal(f"got {value!r}", "s3://bucket/key without '..'")
        return value
    if scheme:
        raise make_refusal(f"got the URL {value!r}", allowed)
    if not value or any(ord(letter) < 32 for letter in value):
        raise make_refusal(f"got {value!r}", allowed)
    if "\\" in value:
        raise make_refusal(f"got {value!r}", "forward slashes, such as sources/brick.png")
    path = PurePosixPath(value)
    if path.is_absolute() or value.startswith("~") or ".." in path.parts:
        raise make_refusal(f"got {value!r}, which leads out of the manifest's folder", allowed)
    return str(path)


Picture = Annotated[str, Field(strict=True, examples=["sources/brick.png"]), AfterValidator(check_picture_path)]
"""A picture by its path from the manifest's folder, or s3://bucket/key where the settings allow it."""


def find_placeholders(text: str) -> list[str]:
    """The names that a template asks for. Raises ValueError for a lone `$`."""
    template = Template(text)
    if not template.is_valid():
        raise ValueError("a lone $")
    return template.get_identifiers()


def _template(value: str) -> str:
    try:
        find_placeholders(value)
    except ValueError:
        raise make_refusal(f"got {value!r} with a lone $", "$name, ${name}, or $$ for a dollar sign") from None
    return value


Prompt = Annotated[Text, AfterValidator(_template)]
"""Text with `$placeholders`."""

NAME_FIELDS = {
    "Asset": "RedPotion",
    "asset": "red_potion",
    "Variant": "Red01",
    "variant": "red_01",
    "Project": "PotionShop",
    "project": "potion_shop",
    "Tier": "Final",
    "tier": "final",
    "seed": "1234",
    "width": "1024",
    "height": "1024",
    "take": "1",
    "digest": "3f9a01c2",
}
"""What a delivery name may contain in braces, each with an example."""


def check_delivery_name(value: str) -> str:
    fields = re.findall(r"\{([^{}]*)\}", value)
    for field in fields:
        if field not in NAME_FIELDS:
            raise make_refusal(f"got {{{field}}}", "{" + "}, {".join(NAME_FIELDS) + "}")
    rest = re.sub(r"\{[^{}]*\}", "x", value)
    if not re.fullmatch(r"[\w .\-/]{1,200}\.(png|webp|jxl|tiff|tga|exr)", rest) or rest.startswith("/") or ".." in rest:
        raise make_refusal(
            f"got {value!r}",
            "letters, digits, '_', '-', '.', '/' and fields in braces, ending in .png, .webp, .jxl, .tiff, .tga, .exr",
        )
    return value


DeliveryName = Annotated[
    str, Field(strict=True, examples=["T_{Asset}_{Variant}_BC.png"]), AfterValidator(check_delivery_name)
]


def fill_delivery_name(template: str, spec: ImageSpec) -> str:
    """The path under delivery/ of the image that `spec` makes."""
    values = {
        "Asset": to_pascal_case(spec.asset),
        "asset": to_snake_case(spec.asset),
        "Variant": to_pascal_case(spec.variant),
        "variant": to_snake_case(spec.variant),
        "Project": to_pascal_case(spec.project),
        "project": to_snake_case(spec.project),
        "Tier": to_pascal_case(spec.tier),
        "tier": spec.tier.value,
        "seed": str(spec.seed),
        "width": str(spec.width),
        "height": str(spec.height),
        "take": str(spec.take),
        "digest": spec.digest[:8],
    }
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)


def to_pascal_case(name: str) -> str:
    """ "red potion-2" -> "RedPotion2"."""
    return "".join(word[:1].upper() + word[1:] for word in _words(name))


def to_snake_case(name: str) -> str:
    """ "Red potion-2" -> "red_potion_2"."""
    return "_".join(word.lower() for word in _words(name))


def _words(name: str) -> list[str]:
    """Runs of letters and digits, with the marks that belong to letters (Hindi, Thai, Hebrew points)."""
    return "".join(letter if letter.isalnum() or _is_mark(letter) else " " for letter in name).split()


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise make_refusal(f"got {value!r}", "a day such as 2026-12-24")


Day = Annotated[date, BeforeValidator(_day)]
