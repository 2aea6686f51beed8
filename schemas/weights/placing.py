"""Which key of a checkpoint, autoencoder or ControlNet file goes to which weight of which component.

The same `Placing` decides before the night (every key and shape is compared) and at load (exactly these keys are read),
so that what is checked is what is applied.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from schemas.weights import original
from schemas.weights.adapters import list_t2i_tables
from schemas.weights.components import Components, list_component_shapes
from schemas.weights.header import Header
from schemas.weights.original import Source, Table
from schemas.weights.shapes import Shapes

PREFIXES = {
    "unet": ("model.diffusion_model.", "", "unet."),
    "vae": ("first_stage_model.", "", "vae."),
    "controlnet": ("control_model.", "", "controlnet."),
}
_TEXT = {
    "text_encoder": (
        "conditioner.embedders.0.transformer.text_model.", "cond_stage_model.transformer.text_model.",
        "cond_stage_model.transformer.", "text_encoders.clip_l.transformer.text_model.", "text_model.", "",
    ),
    "text_encoder_2": ("conditioner.embedders.1.model.", "conditioner.embedders.0.model.", ""),
}  # fmt: skip

UNREAD = re.compile(
    r"(.*\.)?(position_ids|logit_scale|num_batches_tracked)$|model_ema\.|loss\.|.*\.loss\.|denoiser\.|v_pred$|ztsnr$"
    r"|lora_controlnet$|(betas|alphas_cumprod(_prev)?|sqrt_\w+|log_one_minus_\w+|posterior_\w+|lvlb_weights|scale_factor"
    r"|logvar|global_step)$"
)
"""Keys that hold no weights of the forward pass: buffers, markers, averages and losses of the training."""


@dataclass
class Placing:
    """`sources`: by component and diffusers' name. The other lists are keys, as a sentence names them."""

    sources: dict[str, Table] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    """Components of which the file has nothing."""

    @property
    def count(self) -> int:
        return sum(map(len, self.sources.values()))

    def faults(self) -> list[str]:
        """One sentence for each kind of fault: how many, and three of them."""
        said = (
            ("would not apply", self.unknown),
            ("are missing", self.missing),
            ("have another shape", self.misshapen),
        )
        return [f"{len(names)} keys {what}: {list_three_components(names)}" for what, names in said if names]


def list_three_components(names: Collection[str]) -> str:
    """The first three, and how many more."""
    first = ", ".join(list(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def place_keys(header: Header, components: Components) -> Placing:
    """Where every key of a file goes, given what the components are made of."""
    placing = Placing()
    used: set[str] = set()
    for component, shapes in list_component_shapes(components).items():
        table = _best(component, shapes, components[component], header.tensors)
        present = {name: source for name, source in table.items() if source.key in header.tensors}
        if not present:
            placing.absent.append(component)
            continue
        placing.sources[component] = present
        used |= {source.key for source in present.values()}
        placing.missing += [table[name].key for name in shapes if name not in present]
        for name, source in present.items():
            shape = original.find_changed_shape(header.tensors[source.key].shape, source.change)
            if shape != shapes[name]:
                placing.misshapen.append(f"{source.key} {list(shape)} instead of {list(shapes[name])}")
    for key in header.tensors:
        if key not in used:
            (placing.unread if UNREAD.match(key) else placing.unknown).append(key)
    return placing


def _best(component: str, shapes: Shapes, config: Mapping[str, object], keys: Collection[str]) -> Table:
    """The naming under which most of the component is in the file."""
    return max(_tables(component, shapes, config), key=lambda table: sum(s.key in keys for s in table.values()))


def _tables(component: str, shapes: Shapes, config: Mapping[str, object]) -> list[Table]:
    if component.startswith("text_encoder"):
        named = [original.map_plain_name(shapes), original.map_open_clip(shapes)]
        if component == "text_encoder_2":
            named.insert(0, {n: Source(n if n.startswith("text_projection") else f"text_model.{n}") for n in shapes})
        return [original.map_prefixed_name(table, prefix) for prefix in _TEXT[component] for table in named]
    if component == "t2i_adapter":
        return list_t2i_tables(shapes, config)
    if component == "vae":
        named = [
            original.map_original_vae(shapes, config),
            original.map_plain_name(shapes),
            original.map_old_vae(shapes),
        ]
    else:
        named = [original.map_original_unet(shapes, config), original.map_plain_name(shapes)]
    return [original.map_prefixed_name(table, prefix) for prefix in PREFIXES[component] for table in named]
