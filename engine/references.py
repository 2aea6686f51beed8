"""Reference pictures (IP-Adapter): a style or a brand shown instead of told, one picture a row.

The adapters' weights go into the UNet's cross-attention for the batches that ask for them and are taken off after; the
image encoder's answer is remembered by picture. arXiv 2308.06721.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from cachetools import LRUCache
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.model_files import ModelFiles
from engine.pixels import Picture
from schemas.errors import ModelMissing, UnfitWeights
from schemas.spec import ReferenceSpec
from schemas.weights.adapters import read_vision_config
from schemas.weights.files import read_header_at
from schemas.weights.placing import UNREAD

KEPT = 64


class References:
    """Which adapters a pipeline's UNet wears, and what their image encoder said."""

    def __init__(self, catalogue: ModelFiles) -> None:
        self.catalogue = catalogue
        self._worn: tuple[str, ...] = ()
        self._known: LRUCache[Hashable, tuple[Tensor, Tensor]] = LRUCache(KEPT)

    def forget(self) -> None:
        self._worn = ()
        self._known.clear()

    def wear(self, base: Any, wanted: Sequence[ReferenceSpec], paths: Sequence[Path], *, asker: str) -> None:
        """Exactly these adapters at these scales; with none, attention is diffusers' own again."""
        digests = tuple(reference.model.digest for reference in wanted)
        if digests != self._worn:
            if self._worn:
                base.unload_ip_adapter()
            self.forget()
            if wanted:
                base.register_modules(image_encoder=self._image_encoder(base, wanted, asker=asker))
                many = [""] * len(wanted)
                base.load_ip_adapter([_weights(path, asker) for path in paths], subfolder=many, weight_name=many)
            self._worn = digests
        if wanted:
            base.set_ip_adapter_scale([reference.scale for reference in wanted])

    @torch.inference_mode()
    def embeddings(self, base: Any, rows: Sequence[Sequence[tuple[str, Picture]]], *, guided: bool) -> list[Tensor]:
        """One tensor an adapter, as diffusers' pipelines hold them: the rows' negatives first when guided.

        `rows`: for each row its pictures, by digest, in the order of the adapters.
        """
        out = []
        for number, projection in enumerate(base.unet.encoder_hid_proj.image_projection_layers):
            plain = isinstance(projection, ImageProjection)
            pairs = [self._said(base, *pictures[number], plain=plain) for pictures in rows]
            positive = torch.stack([pair[0] for pair in pairs])
            negative = torch.stack([pair[1] for pair in pairs])
            out.append(torch.cat([negative, positive]) if guided else positive)
        return out

    def _said(self, base: Any, digest: str, picture: Picture, *, plain: bool) -> tuple[Tensor, Tensor]:
        key = (digest, plain)
        if key not in self._known:
            self._known[key] = base.encode_image(Image.fromarray(picture), base.device, 1, not plain)
        return self._known[key]

    def _image_encoder(self, base: Any, wanted: Sequence[ReferenceSpec], *, asker: str) -> Any:
        aliases = {self.catalogue.entry(reference.model.alias, asker=asker).image_encoder for reference in wanted}
        if len(aliases) != 1 or None in aliases:
            names = ", ".join(sorted(str(alias) for alias in aliases))
            raise ModelMissing(f"{asker}: IP-Adapters used together share one image encoder; these have {names}")
        path = self.catalogue.where(str(aliases.pop()), asker=asker)
        if path.is_file():
            encoder = _single_file(path, base.unet.dtype)
        else:
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                path, dtype=base.unet.dtype, use_safetensors=True, local_files_only=True
            )
        return encoder.to(base.device).eval()


def _single_file(path: Path, dtype: torch.dtype) -> Any:
    """As ComfyUI has them: transformers' names, the configuration by their shapes. Raises UnfitWeights."""
    with init_empty_weights(include_buffers=False):
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**read_vision_config(read_header_at(path))))
    with safe_open(path, framework="pt") as opened:
        names = [key for key in opened.keys() if not UNREAD.match(key)]  # noqa: SIM118  (safe_open is no mapping)
        weights = {name: opened.get_tensor(name).to(dtype) for name in names}
    missing, unexpected = encoder.load_state_dict(weights, assign=True, strict=False)
    if missing or unexpected:
        raise UnfitWeights(
            f"{path}: {len(missing)} keys are missing and {len(unexpected)} would not apply: "
            f"{', '.join([*missing, *unexpected][:3])}"
        )
    return encoder.to(dtype)


def _weights(path: Path, asker: str) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    with safe_open(path, framework="pt") as opened:
        for key in opened.keys():  # noqa: SIM118  (safe_open is no mapping)
            part, _, name = key.partition(".")
            if part not in parts:
                raise ModelMissing(f"{asker} asks for the IP-Adapter {path}, which is none: it holds {key}")
            parts[part][name] = opened.get_tensor(key)
    return parts
