"""A LoRA against the checkpoint that is to wear it: which module each key changes, and which keys would not apply.

The same `LoraFit` is made before the night, from the header, and at load; the engine applies exactly its patches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod

from schemas.weights import original
from schemas.weights.components import Components, list_component_shapes
from schemas.weights.header import Header, Tensor
from schemas.weights.lora_layouts import Factor, list_factors
from schemas.weights.placing import list_three_components
from schemas.weights.shapes import Shape, Shapes

_PREFIXES = {
    "unet": ("lora_unet_", "unet_", "base_model_model_unet_", "base_model_model_", "diffusion_model_",
             "model_diffusion_model_", ""),
    "text_encoder": ("lora_te1_", "lora_te_", "text_encoder_", "te1_", "te_", "clip_l_",
                     "base_model_model_text_encoder_", "base_model_model_"),
    "text_encoder_2": ("lora_te2_", "text_encoder_2_", "te2_", "clip_g_", "base_model_model_text_encoder_2_"),
}  # fmt: skip
_OLD = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
"""diffusers' first names for a text encoder's LoRA layers."""

KINDS = ("lora", "loha", "lokr", "diff")


@dataclass(frozen=True)
class Patch:
    """What one module gets. `factors`: the factor's name -> the file's key. `shape`: of the module's weight."""

    component: str
    module: str
    kind: str
    factors: Mapping[str, str]
    shape: Shape

    @property
    def plain(self) -> bool:
        """A pair of factors, with a magnitude of each output or without one: what peft can wear."""
        return self.kind == "lora" and not {"mid", "diff_b", "scalar", "diff"} & set(self.factors)


@dataclass
class LoraFit:
    """`applied`: keys that the patches use; with `unknown` and `misshapen` they are all keys of the file."""

    patches: list[Patch] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def applied(self) -> int:
        return sum(len(patch.factors) for patch in self.patches)

    def fault(self) -> str:
        """One sentence for what would not apply; "" where every key does."""
        bad = len(self.unknown) + len(self.misshapen)
        if not bad and self.patches:
            return ""
        if not self.patches and not bad:
            return "it holds no factors"
        what = f"{bad} of {bad + self.applied} keys would not apply"
        said = [list_three_components(self.unknown)] if self.unknown else []
        said += [f"of another shape: {list_three_components(self.misshapen)}"] if self.misshapen else []
        return f"{what}: {'; '.join(said)}"


def fit_lora(header: Header, components: Components) -> LoraFit:
    """Every key against a checkpoint made of these components."""
    modules, shapes = _modules(components)
    by_module: dict[str, dict[str, str]] = {}
    fit = LoraFit()
    for item in list_factors(header.tensors):
        if isinstance(item, Factor):
            by_module.setdefault(item.module, {})[item.name] = item.key
        else:
            fit.unknown.append(item)
    for module, keys in by_module.items():
        place = modules.get(_flat(module))
        if place is None:
            fit.unknown += keys.values()
            continue
        component, name = place
        shape = shapes[component].get(f"{name}.weight", ())
        tensors = {factor: header.tensors[key] for factor, key in keys.items()}
        kind, fault = _judge(tensors, shape, shapes[component].get(f"{name}.bias"))
        if fault:
            fit.misshapen += [f"{next(iter(keys.values()))} ({fault})", *list(keys.values())[1:]]
        else:
            fit.patches.append(Patch(component, name, kind, keys, shape))
    return fit


def _modules(components: Components) -> tuple[dict[str, tuple[str, str]], dict[str, Shapes]]:
    """(flat name under every convention -> component and module, shapes by component)."""
    shapes = {name: s for name, s in list_component_shapes(components).items() if name in _PREFIXES}
    modules: dict[str, tuple[str, str]] = {}
    for component in reversed(shapes):  # the UNet wins where a name says no component
        names = {key.rpartition(".")[0]: key.rpartition(".")[0] for key in shapes[component]}
        if component == "unet":
            table = original.map_original_unet(shapes[component], components[component])
            names |= {source.key.rpartition(".")[0]: name.rpartition(".")[0] for name, source in table.items()}
        else:
            names |= {f"text_model.{name}": name for name in names}
        for spelt, name in names.items():
            place = f"text_model.{name}" if component == "text_encoder_2" and name != "text_projection" else name
            for prefix in _PREFIXES[component]:
                modules[prefix + spelt.replace(".", "_")] = (component, place)
    if "text_encoder_2" in shapes:
        shapes["text_encoder_2"] = {
            name if name.startswith("text_projection") else f"text_model.{name}": shape
            for name, shape in shapes["text_encoder_2"].items()
        }
    return modules, shapes


@lru_cache(maxsize=65536)
def _flat(module: str) -> str:
    """With underscores, without processors, and with today's names for yesterday's."""
    module = module.replace(".processor", "").removeprefix("transformer.")
    if ".self_attn." in module:
        at, _, last = module.rpartition(".")
        module = f"{at}.{_OLD.get(last, last)}"
    flat = module.replace(".", "_")
    return re.sub(r"(attn[12]_to_out)$", r"\1_0", flat)


def _judge(tensors: Mapping[str, Tensor], shape: Shape, bias: Shape | None) -> tuple[str, str]:
    """(kind, what is wrong) of one module's factors."""
    given = {name: tensor.shape for name, tensor in tensors.items()}
    if "magnitude" in given and prod(given["magnitude"]) not in (shape[:1] and shape[0], prod(shape[1:2])):
        return "", f"magnitude {list(given['magnitude'])} for {list(shape)}"
    if "diff_b" in given and given["diff_b"] != bias:
        return "", f"{list(given['diff_b'])} for the bias {list(bias or ())}"
    try:
        kind, out, inner = _delta(given)
    except (KeyError, IndexError) as missing:
        return "", f"{missing} is missing"
    except ValueError as wrong:
        return "", str(wrong)
    if kind == "diff" and "diff" not in given:
        return kind, ""
    if (out, inner) != (shape[0] if shape else 0, prod(shape[1:])):
        return "", f"{out} x {inner} for {list(shape)}"
    return kind, ""


def _delta(given: Mapping[str, Shape]) -> tuple[str, int, int]:
    """(kind, outputs, inputs times kernel) of the difference that the factors make."""
    if "down" in given or "up" in given:
        down, up = given["down"], given["up"]
        middle = given.get("mid")
        rank_in, rank_out = (middle[1], middle[0]) if middle else (down[0], down[0])
        if down[0] != rank_in or up[1] != rank_out:
            raise ValueError(f"ranks {down[0]} and {up[1]} do not meet")
        kernel = prod(middle[2:]) if middle else prod(down[2:])
        return "lora", up[0] * prod(up[2:]), down[1] * kernel
    if "hada_w1_a" in given:
        a, b, t = given["hada_w1_a"], given["hada_w1_b"], given.get("hada_t1")
        other = (given["hada_w2_a"], given["hada_w2_b"])
        outputs = (a[1], other[0][1]) if t else (a[0], other[0][0])
        if outputs[0] != outputs[1] or b[1] != other[1][1] or given.get("hada_t2", ())[2:] != (t or ())[2:]:
            raise ValueError("the two halves of the LoHa differ")
        return ("loha", a[1], b[1] * prod(t[2:])) if t else ("loha", a[0], b[1])
    if "lokr_w1" in given or "lokr_w1_a" in given:
        rows, columns = given["lokr_w1"] if "lokr_w1" in given else (given["lokr_w1_a"][0], given["lokr_w1_b"][1])
        if "lokr_t2" in given:
            t = given["lokr_t2"]
            return "lokr", rows * given["lokr_w2_a"][1], columns * given["lokr_w2_b"][1] * prod(t[2:])
        if "lokr_w2" in given:
            w2 = given["lokr_w2"]
            return "lokr", rows * w2[0], columns * prod(w2[1:])
        return "lokr", rows * given["lokr_w2_a"][0], columns * prod(given["lokr_w2_b"][1:])
    if "diff" in given:
        return "diff", given["diff"][0], prod(given["diff"][1:])
    if "diff_b" in given:
        return "diff", 0, 0
    raise ValueError(f"got only {', '.join(given)}")
