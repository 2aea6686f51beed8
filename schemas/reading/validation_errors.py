"""pydantic's errors -> Problems: where it stands in the file, what came, what is allowed."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from schemas.errors import Problem
from schemas.manifest import ASSET_KINDS, Manifest, RenderAsset
from schemas.names import suggest_names
from schemas.reading.tree import Path, SourcePosition, Tree, make_problem

MEANT = {
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
    "batch_size": "seeds",
    "n_iter": "seeds",
    "checkpoint": "model",
    "ckpt_name": "model",
    "sd_model_checkpoint": "model",
    "lora": "loras",
    "negative": "negative_prompt",
    "neg_prompt": "negative_prompt",
    "positive": "prompt",
    "text": "prompt",
    "sampling_steps": "num_inference_steps",
    "resolution": "size",
    "init_image": "sources",
    "image": "sources",
    "controlnet": "controls",
    "wildcards": "values",
    "variables": "values",
    "clip_stop_at_last_layers": "clip_skip",
    "filename": "delivery_name",
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


def locate(error: ErrorDetails, tree: Tree) -> tuple[SourcePosition, Path] | None:
    """Where one of pydantic's errors is shown, and of which field; None for an echo of another one."""
    if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
        return None  # pydantic's echo of items that are wrong by themselves
    path = show_value(error["loc"])
    there, place = tree.nearest(path)
    if error["type"] == "missing":
        return place, path
    if error["type"] == "extra_forbidden":
        return tree.keys.get(path, place), path
    return place, there


def describe_error(error: ErrorDetails, tree: Tree, place: SourcePosition, there: Path) -> Problem:
    """One of pydantic's errors as a Problem, at the place that `locate` gave."""
    kind, context, path = error["type"], error.get("ctx", {}), show_value(error["loc"])
    came = _spoken(error["input"])
    if kind == "missing":
        return make_problem(place, there, "got nothing", f"a value: {_described(path, error['loc'])}")
    elif kind == "extra_forbidden":
        return make_problem(place, there, *_unknown(path, error, tree))
    elif kind == "refused":
        return make_problem(place, there, str(context["came"]), str(context["allowed"]))
    elif kind in ("enum", "literal_error"):
        expected = ", ".join(ASSET_KINDS) if path[-1] == "kind" else str(context["expected"])
        names = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return make_problem(place, there, came, suggest_names(str(error["input"]), names))
    else:
        wanted = _WANTED.get(kind) or error["msg"].replace("Input should be ", "").replace("Value should", "it should")
        if kind == "too_long":
            wanted = f"at most {context['max_length']}"
        if kind == "string_type" and isinstance(error["input"], bool | int | float):
            wanted += f" (in quotes: '{_as_written(error['input'])}')"
        elif error["input"] is None and (hidden := _hidden(place, tree)):
            came, wanted = f"got nothing, for # begins a comment: {hidden}", f'it in quotes: "{hidden}"'
        elif kind == "bool_type" and (truth := _TRUTHS.get(str(error["input"]).casefold())):
            wanted += f": {path[-1]}: {truth}"
        elif meant := _number(error["input"], kind, path):
            wanted += f": {meant}"
        return make_problem(place, there, came, wanted)


def _unknown(path: Path, error: ErrorDetails, tree: Tree) -> tuple[str, str]:
    """What came and what is allowed, for a field that the model does not have."""
    name, fields = str(path[-1]), _model_at(path[:-1], error["loc"])
    # 1. A comma that was meant as text or as a decimal point, inside braces
    beside = _value_at(tree.data, path[:-1])
    if error["input"] is None and isinstance(beside, dict) and _has_no_colon(path, tree):
        names = list(beside)
        before = names[names.index(name) - 1] if name in names[1:] else None
        value = beside.get(before) if before is not None else None
        if isinstance(value, int | float) and name.isdecimal():
            return (
                f"got {value},{name}, of which YAML makes {value} and a field {name!r}",
                f"a point: {before}: {value}.{name}",
            )
        if isinstance(value, str):
            came = f"got a comma inside braces, where it ends the text: {name!r} became a field"
            return came, f'quotes: {before}: "{value}, {name}"'
    # 2. A field of another kind of asset
    owners = [kind for kind, model in ASSET_KINDS.items() if name in model.model_fields]
    if fields in ASSET_KINDS.values() and owners:
        return f"got a field of kind: {' or '.join(owners)}", f"`kind: {owners[0]}`, or no {name}"
    near = suggest_names(name, fields.model_fields if fields else (), meant=MEANT.get(name.lower()))
    return "got an unknown field", near


def _has_no_colon(path: Path, tree: Tree) -> bool:
    """Whether this key of a mapping stands in the file without a colon, as only a comma in braces makes it."""
    place, lines = tree.keys.get(path), tree.text.split("\n")
    if place is None or not 0 < place.line <= len(lines):
        return False
    behind = lines[place.line - 1][place.column - 1 + len(str(path[-1])) :].lstrip()
    return behind.startswith((",", "}"))


def _value_at(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _as_written(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hidden(place: SourcePosition, tree: Tree) -> str:
    """What stands behind the # where a value should be."""
    lines = tree.text.split("\n") if tree.text else []
    found = re.search(r":\s*(#\S+)", lines[place.line - 1]) if 0 < place.line <= len(lines) else None
    return found[1] if found else ""


def _number(value: Any, kind: str, path: Path) -> str:
    """The number that was meant: 80%, 0,8, '20', 40 for 0.4. Empty where one cannot know."""
    parts = path[-1] in _PARTS or (len(path) > 1 and path[-2] in _PARTS)
    if isinstance(value, str):
        text = value.strip()
        if found := re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*%", text):
            return f"{float(found[1].replace(',', '.')) / 100:g} for {text}"
        if re.fullmatch(r"[-+]?\d+,\d+", text):
            return f"{text.replace(',', '.')}, with a point"
        if re.fullmatch(r"[-+]?\d+(\.\d+)?", text):
            return f"{text}, without quotes"
    elif kind in ("int_type", "int_from_float") and isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    elif kind == "less_than_equal" and parts and isinstance(value, int | float) and 1 < value <= 100:
        return f"{value / 100:g} for {value:g}%"
    return ""


_TRUTHS = dict.fromkeys(("yes", "y", "on", "1", "true"), "true") | dict.fromkeys(
    ("no", "n", "off", "0", "false"), "false"
)
"""How other tools, and YAML before 1.2, say true and false."""
_PARTS = (
    "strength", "guidance_start", "guidance_end", "control_guidance_start", "control_guidance_end", "double_share",
    "guidance_rescale", "denoising_start",
)  # fmt: skip
"""Fields that go from 0 to 1."""


def show_value(loc: tuple[int | str, ...]) -> Path:
    """Where it stands in the file: without pydantic's own marks for an asset's kind and for a key."""
    if loc[:1] == ("assets",) and len(loc) > 2 and loc[2] in ASSET_KINDS:
        loc = (*loc[:2], *loc[3:])
    return tuple(part for part in loc if part != "[key]")


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        return f"got {value if len(value) <= 60 else value[:57] + '...'!r}"
    return f"got {name_type(value)}"


def name_type(value: Any) -> str:
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
            model = ASSET_KINDS[str(loc[2])]
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _described(path: Path, loc: tuple[int | str, ...]) -> str:
    model = _model_at(path[:-1], loc)
    info = model.model_fields.get(str(path[-1])) if model else None
    return (info.description if info else None) or "see the schema"
