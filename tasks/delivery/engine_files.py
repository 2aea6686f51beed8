"""What a game engine imports a file with: a Unity `.meta`, a Godot `.import`, an Unreal import JSON. Pure.

Each says only what matters for this kind of picture, and engines fill in the rest: linear or sRGB, normal maps and the
direction of their green, tiling, transparency. Written from public descriptions of the formats (Unity's YAML of
TextureImporter, Godot 4's ResourceImporterTexture, Unreal's AutomatedAssetImportData); no engine has read them here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator

from tasks.delivery.out_files import OutFile
from tasks.delivery.parcel import Parcel


def make_engine_files(parcel: Parcel, files: Iterable[OutFile]) -> Iterator[OutFile]:
    """Beside `files`, the picture and its maps; none where the manifest asks for none."""
    files, engine = list(files), parcel.engine
    if engine == "unreal":
        text = _write_unreal(parcel, files)
        yield OutFile(parcel.engine_names[parcel.name], "engine", text.encode(), "application/json")
    elif engine is not None:
        write, media_type = (_write_unity, "text/yaml") if engine == "unity" else (_write_godot, "text/plain")
        for file in files:
            yield OutFile(parcel.engine_names[file.name], "engine", write(parcel, file).encode(), media_type)


def is_rewritten(name: str, own: bytes, there: bytes) -> bool:
    """Whether `there` is what an engine made of `own` when it imported the file: engines add what they leave out, and
    artists change settings in them. Unity keeps the guid, Godot the importer; Unreal reads its file and no more."""
    if name.endswith(".meta"):
        guid = re.search(rb"^guid: [0-9a-f]{32}$", own, re.MULTILINE)
        return guid is not None and re.search(rb"^" + guid.group() + rb"\r?$", there, re.MULTILINE) is not None
    return name.endswith(".import") and re.search(rb"^importer=\"texture\"\r?$", there, re.MULTILINE) is not None


def _is_colour(file: OutFile) -> bool:
    """Colours are sRGB, but for OpenEXR's; every map holds numbers."""
    return file.role == "picture" and not file.name.endswith(".exr")


def _write_unity(parcel: Parcel, file: OutFile) -> str:
    is_normal = file.kind in ("normal_gl", "normal_dx")
    is_clear = file.role == "picture" and parcel.spec.background is not None
    fades = is_clear and parcel.manifest.delivery.alpha == "straight"
    wrap = [int(axis not in parcel.spec.seamless) for axis in "xy"]
    # Unity knows an asset by this for ever, so it follows from the name and is the same in every delivery.
    guid = hashlib.sha256(f"dailies/{parcel.spec.project}/{file.name}".encode()).hexdigest()[:32]
    return f"""fileFormatVersion: 2
guid: {guid}
TextureImporter:
  serializedVersion: 11
  mipmaps:
    enableMipMap: 1
    sRGBTexture: {int(_is_colour(file))}
  bumpmap:
    convertToNormalMap: 0
    flipGreenChannel: {int(file.kind == "normal_dx")}
  textureSettings:
    serializedVersion: 2
    wrapU: {wrap[0]}
    wrapV: {wrap[1]}
    wrapW: {wrap[0]}
  alphaIsTransparency: {int(fades)}
  textureType: {int(is_normal)}
"""


def _write_godot(parcel: Parcel, file: OutFile) -> str:
    is_normal = file.kind in ("normal_gl", "normal_dx")
    is_texture = bool(parcel.spec.seamless) or file.role == "map"
    roughness = {"roughness": 6}.get(file.kind, 1)  # grey; else no channel is roughness
    fades = parcel.manifest.delivery.alpha == "straight"
    return f"""[remap]

importer="texture"
type="CompressedTexture2D"

[params]

compress/mode={2 if is_texture else 0}
compress/normal_map={1 if is_normal else 2}
mipmaps/generate={str(is_texture).lower()}
roughness/mode={roughness}
process/fix_alpha_border={str(fades).lower()}
process/premult_alpha=false
process/normal_map_invert_y={str(file.kind == "normal_dx").lower()}
"""


def _write_unreal(parcel: Parcel, files: Iterable[OutFile]) -> str:
    """A group of the image's files for each way of reading them. Paths are relative to the folder of this file."""
    groups = []
    for file in files:
        settings: dict[str, object] = {"CompressionSettings": "TC_Default", "LODGroup": "TEXTUREGROUP_World"}
        if file.kind in ("normal_gl", "normal_dx"):
            settings = {"CompressionSettings": "TC_Normalmap", "LODGroup": "TEXTUREGROUP_WorldNormalMap"}
            settings["bFlipNormalMapGreenChannel"] = file.kind == "normal_gl"
        elif not _is_colour(file):
            settings["CompressionSettings"] = "TC_HDR" if file.name.endswith(".exr") else "TC_Masks"
        settings["ColorSpaceMode"] = "SRGB" if _is_colour(file) else "Linear"
        folder, _, name = file.name.rpartition("/")
        groups.append(
            {
                "GroupName": f"{parcel.spec.asset} {file.kind or 'picture'}",
                "Filenames": [name],
                "DestinationPath": f"/Game/{folder}",
                "FactoryName": "TextureFactory",
                "bReplaceExisting": True,
                "bSkipReadOnly": True,
                "ImportSettings": settings,
            }
        )
    return json.dumps({"ImportGroups": groups}, indent=1, ensure_ascii=False) + "\n"
