"""pydantic's errors -> Problems: where it stands in the file, what came, what is allowed."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from schemas.errors import Problem
from schemas.manifest import Manifest, RenderAsset, Repair, TextureVariants
from schemas.rules import nearest
from schemas.tree import Path, Tree, problem

_KINDS: dict[str, type[BaseModel]] = {"render": RenderAsset, "texture": TextureVariants, "repair": Repair}
_MEANT = {
    "cfg": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "denoise": "strength",
    "denoising_strength": "strength",
    "guidance": "guidance_scale",
    "height": "size",
    "sampler": "scheduler",
    "sampler_name": "scheduler",
    "seed": "seeds",
    "steps": "num_inference_steps",
    "weight": "controlnet_conditioning_scale",
    "width": "size",
}
"""What other tools call our fields."""
_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of fields to values",
    "model_attributes_type": "a mapping of fields to values",
    "tuple_type": "a list",
    "list_type": "a list",
    "too_short": "at least one",
}


def complaint(error: ErrorDetails, tree: Tree) -> Problem | None:
    """One of pydantic's errors as a Problem; None for an echo of another one."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "too_short" and len(error["input"]) >= context["min_length"]:
        return None  # pydantic's echo of items that are wrong by themselves
    path = plain(error["loc"])
    there, place = tree.nearest(path)
    came = _spoken(error["input"])
    if kind == "missing":
        return problem(place, path, "came nothing", f"it is needed: {_described(path, error['loc'])}")
    elif kind == "extra_forbidden":
        place = tree.keys.get(path, place)
        fields = _model_at(path[:-1], error["loc"])
        allowed = nearest(str(path[-1]), fields.model_fields if fields else (), meant=_MEANT.get(str(path[-1]).lower()))
        return problem(place, path, "came an unknown field", allowed)
    elif kind == "refused":
        return problem(place, there, str(context["came"]), str(context["allowed"]))
    elif kind in ("enum", "literal_error"):
        expected = ", ".join(_KINDS) if path[-1] == "kind" else str(context["expected"])
        names = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return problem(place, there, came, nearest(str(error["input"]), names))
    else:
        wanted = _WANTED.get(kind) or error["msg"].replace("Input should be ", "").replace("Value should", "it should")
        if kind == "string_type" and isinstance(error["input"], bool | int | float):
            wanted += f" (in quotes: '{error['input']}')"
        return problem(place, there, came, wanted)


def plain(loc: tuple[int | str, ...]) -> Path:
    """Where it stands in the file: without pydantic's own marks for an asset's kind and for a key."""
    if loc[:1] == ("assets",) and len(loc) > 2 and loc[2] in _KINDS:
        loc = (*loc[:2], *loc[3:])
    return tuple(part for part in loc if part != "[key]")


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        return f"came {value if len(value) <= 60 else value[:57] + '...'!r}"
    return f"came {kind_of(value)}"


def kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _model_at(path: Path, loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model whose fields stand at `path`. `loc` is pydantic's, which has the kind of the asset in it."""
    model: type[BaseModel] | None = Manifest
    for part in path:
        if isinstance(part, int) or model is None or part not in model.model_fields:
            continue
        model = _inner(model.model_fields[part].annotation)
        if model is RenderAsset:
            model = _KINDS[str(loc[2])]
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _described(path: Path, loc: tuple[int | str, ...]) -> str:
    model = _model_at(path[:-1], loc)
    info = model.model_fields.get(str(path[-1])) if model else None
    return (info.description if info else None) or "see the schema"
