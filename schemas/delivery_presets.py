"""What engines call textures: the naming template of an image, and what stands for its kind in the names of maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.delivery_files import MapKind, PictureFormat

PresetName = Literal["unreal", "unity", "godot"]


@dataclass(frozen=True)
class Preset:
    """`base`: the letters of a base colour at the end of a name, in whose place those of a map are put."""

    template: str
    base: str
    suffixes: Mapping[MapKind, str]
    is_lower: bool = False
    """Names of packed maps in small letters."""
    formats: tuple[PictureFormat, ...] = ("png", "tga", "exr", "tiff")
    """Of pictures, that the engine imports."""

    def map_stem(self, stem: str) -> str:
        return stem.removesuffix(f"_{self.base}")

    def packed_suffix(self, name: str) -> str:
        return name.lower() if self.is_lower else name


HOUSE = Preset(
    "T_{Asset}_{Variant}_BC.png",
    "BC",
    {"height": "H", "normal_gl": "N", "normal_dx": "NDX", "roughness": "R", "ao": "AO", "metallic": "M"},
)
PRESETS: dict[PresetName, Preset] = {
    "unreal": Preset(HOUSE.template, "BC", {**HOUSE.suffixes, "normal_gl": "NGL", "normal_dx": "N"}),
    "unity": Preset(
        "{Asset}_{Variant}_BaseMap.png",
        "BaseMap",
        {
            "height": "Height", "normal_gl": "Normal", "normal_dx": "NormalDX", "roughness": "Roughness",
            "ao": "Occlusion", "metallic": "Metallic",
        },
    ),
    "godot": Preset(
        "{asset}_{variant}_albedo.png",
        "albedo",
        {
            "height": "height", "normal_gl": "normal", "normal_dx": "normal_dx", "roughness": "roughness",
            "ao": "ao", "metallic": "metallic",
        },
        is_lower=True,
        formats=("png", "webp", "tga", "exr"),
    ),
}  # fmt: skip
"""Unreal: Epic's prefix T_ and DirectX normals. Unity: URP's and HDRP's map names, OpenGL normals. Godot: its style
guide's snake_case, OpenGL normals."""


def find_preset(name: PresetName | None) -> Preset:
    return HOUSE if name is None else PRESETS[name]
