"""The layouts in which LoRAs are traded: a key -> the module that it changes and the factor that it holds.

Known: kohya's scripts, diffusers (old processors and new), peft, OMI; LoCon with a CP factor, LoHa, LoKr, DoRA, full
differences (`diff`, `diff_b`, `w_norm`, `b_norm`). OFT, BOFT, IA3 and GLoRA are refused by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from schemas.weights.header import Header
from schemas.weights.identity import Identity

_FACTORS = (
    (r"\.lora_down\.weight|\.lora_A(\.\w+)?\.weight|[._]lora\.down\.weight|\.lora_linear_layer\.down\.weight", "down"),
    (r"\.lora_up\.weight|\.lora_B(\.\w+)?\.weight|[._]lora\.up\.weight|\.lora_linear_layer\.up\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"\.alpha", "alpha"),
    (r"\.scalar", "scalar"),
    (r"\.dora_scale|\.lora_magnitude_vector(\.\w+)*", "magnitude"),
    (r"\.hada_(w1_a|w1_b|w2_a|w2_b|t1|t2)", ""),
    (r"\.lokr_(w1|w1_a|w1_b|w2|w2_a|w2_b|t2)", ""),
    (r"\.diff_b|\.b_norm", "diff_b"),
    (r"\.diff|\.w_norm", "diff"),
)
_FACTOR = [(re.compile(rf"(.+?)(?:{pattern})"), name) for pattern, name in _FACTORS]
_REFUSED = {
    "OFT": re.compile(r"\.(oft_(blocks|diag|R|r)|boft_\w+)(\.|$)", re.MULTILINE),
    "IA3": re.compile(r"\.(on_input$|ia3_)", re.MULTILINE),
    "GLoRA": re.compile(r"^(lora|lycoris)_.*\.b2\.weight$", re.MULTILINE),
    "a LoRA with biases": re.compile(r"\.lora_([AB](\.\w+)?|up|down)\.bias$", re.MULTILINE),
}
_MARKS = re.compile(
    r"[._]lora[._](down|up|linear)|\.lora_[AB]\.|\.hada_w|\.lokr_w|\.diff(_b)?$|\.[wb]_norm$|^lora_unet_|^lora_te",
    re.MULTILINE,
)


class Factor(NamedTuple):
    module: str
    """As the file names it."""
    name: str
    key: str


def is_lora(keys: Collection[str]) -> bool:
    text = "\n".join(keys)
    return bool(_MARKS.search(text)) or any(mark.search(text) for mark in _REFUSED.values())


def find_refused_layout(keys: Collection[str]) -> str:
    """The name of a layout that is not applied; "" for any other."""
    text = "\n".join(keys)
    return next((name for name, mark in _REFUSED.items() if mark.search(text)), "")


def list_factors(keys: Collection[str]) -> Iterator[Factor | str]:
    """Each key as a Factor; as it is, where it is of no layout."""
    for key in keys:
        for pattern, name in _FACTOR:
            if match := pattern.fullmatch(key):
                yield Factor(match[1], name or key.rsplit(".", 1)[1], key)
                break
        else:
            yield key


def identify_lora(header: Header) -> Identity:
    """Layout, rank, and the architecture by keys and shapes where they say it."""
    keys = header.tensors
    identity = Identity("lora", find_architecture(header), find_layout(keys))
    ranks = {header.tensors[f.key].shape[0] for f in list_factors(keys) if isinstance(f, Factor) and f.name == "down"}
    ranks |= {header.tensors[k].shape[-1] for k in keys if k.endswith(".hada_w1_a")}
    identity.rank = tuple(sorted(ranks))
    if refused := find_refused_layout(keys):
        identity.refusal = f"it is {refused}, which is not applied here; LoRA, DoRA, LoHa, LoKr and differences are"
    elif identity.architecture in ("flux", "sd3"):
        identity.refusal = (
            f"it is made for {'Flux' if identity.architecture == 'flux' else 'SD 3'}, not for SDXL or SD 1.5"
        )
    return identity


def find_layout(keys: Collection[str]) -> str:
    """For a person: which tool's names, and which kind of factors."""
    if refused := find_refused_layout(keys):
        return refused.lower()
    parts = []
    for name, mark in (("dora", ".dora_scale"), ("dora", "magnitude_vector"), ("loha", ".hada_"), ("lokr", ".lokr_"),
                       ("locon-cp", ".lora_mid."), ("difference", ".diff"), ("difference", "w_norm")):  # fmt: skip
        if any(mark in key for key in keys) and name not in parts:
            parts.append(name)
    for name, start in (
        ("kohya", ("lora_unet_", "lora_te")),
        ("peft", ("base_model.",)),
        ("omi", ("clip_l.", "clip_g.")),
    ):
        if any(key.startswith(start) for key in keys):
            return " ".join([name, *parts])
    return " ".join(["diffusers", *parts])


def find_architecture(header: Header) -> str:
    """By what only one architecture has; "" where nothing decides."""
    keys = header.tensors
    flat = {key: key.replace(".", "_") for key in keys}
    for key in flat.values():
        if "double_blocks" in key or "single_blocks" in key or "single_transformer_blocks" in key:
            return "flux"
        if "joint_blocks" in key or "transformer_transformer_blocks" in key:
            return "sd3"
    widths = Counter(
        shape[1]
        for key, name in flat.items()
        if "attn2_to_k" in name and len(shape := keys[key].shape) == 2 and _is_down(key)
    )
    if widths:
        return {768: "sd15", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}.get(widths.most_common(1)[0][0], "")
    for name in flat.values():
        if re.match(r"lora_te2_|text_encoder_2_|clip_g_", name) or re.search(r"transformer_blocks_[2-9]_", name):
            return "sdxl"
        if re.search(r"(down_blocks_0|up_blocks_3)_attentions|input_blocks_[12]_1_", name):
            return "sd15"
    return ""


def _is_down(key: str) -> bool:
    return bool(re.search(r"lora_down\.weight$|lora_A(\.\w+)?\.weight$|lora\.down\.weight$|hada_w1_b$", key))
