"""What a file says of itself: A1111's parameter text, the whole spec, XMP, and a manifest that makes it again.

Pure text from a spec; storage/pictures.py puts it into files.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Literal

import yaml

from schemas.schedulers import ALIASES, SIGMAS
from schemas.spec import ENGINE_VERSION, AssetKind, ControlSpec, ImageSpec, to_canonical_json

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE = f"{SOURCE_TYPES}trainedAlgorithmicMedia"
"""IPTC's word for media made by a trained model (IPTC NewsCodes, Digital Source Type)."""
COMPOSITE_SOURCE = f"{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""And for a given picture that such a model changed."""

Detail = Literal["full", "label", "none"]
"""What a delivered file says of itself: everything; that a model made it, which, and the digest; only the first."""

NAMESPACE = "urn:dailies:1.0/"
_SCHEDULES = dict(zip(SIGMAS, ("Karras", "Exponential", "Beta", "Lu", "Align Your Steps"), strict=True))


def make_spec_text(spec: ImageSpec) -> str:
    """The canonical form, whose SHA-256 is the spec's digest."""
    return to_canonical_json(spec.body()).decode()


def make_parameters_text(spec: ImageSpec, *, architecture: str = "sdxl") -> str:
    """A1111's `parameters`, keys in the order of its own `create_infotext` (AUTOMATIC1111, modules/processing.py).

    Hashes are the first ten letters of ours, over every file of a model, so they match no other tool's hash of one.
    A1111 counts `Clip skip` from the last layer: 1 is SD 1.5's own, 2 is SDXL's; a spec counts the layers left out.
    """
    sampler, schedule = _sampler(spec)
    settings: dict[str, Any] = {
        "Steps": spec.num_inference_steps,
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": spec.guidance_scale,
        "Seed": spec.seed,
        "Size": f"{spec.width}x{spec.height}",
        "Model hash": spec.model.digest[:10],
        "Model": spec.model.alias,
        "VAE hash": spec.vae.digest[:10] if spec.vae else None,
        "VAE": spec.vae.alias if spec.vae else None,
        "Denoising strength": spec.strength,
        "Clip skip": None if spec.clip_skip is None else to_a1111_clip_skip(spec.clip_skip, architecture),
        "Init image hash": spec.source[:10] if spec.source else None,
        "Tiling": "True" if spec.seamless else None,
    }
    settings |= {f"ControlNet {index}": _controlnet(control) for index, control in enumerate(spec.controls)}
    settings["CFG rescale"] = spec.guidance_rescale or None
    settings["Lora hashes"] = ", ".join(f"{lora.alias}: {lora.digest[:10]}" for lora in spec.loras) or None
    settings["Version"] = f"Dailies engine {spec.engine_version}"
    loras = "".join(f" <lora:{lora.alias}:{lora.weight:g}>" for lora in spec.loras)
    lines = [spec.prompt + loras]
    if spec.negative_prompt:
        lines.append(f"Negative prompt: {spec.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value is not None))
    return "\n".join(lines).replace("\0", "\ufffd")  # a text chunk ends at a zero


def to_a1111_clip_skip(clip_skip: int, architecture: str) -> int:
    """Layers left out, as diffusers counts them -> the number that A1111 and its kin have for the same layer."""
    return clip_skip + (1 if architecture == "sd15" else 2)


def find_digital_source(spec: ImageSpec) -> str:
    """A texture or a repair starts from a picture that somebody gave; whatever else starts from one, from our own. An
    import is what its manifest or its file says."""
    if spec.digital_source is not None:
        return SOURCE_TYPES + spec.digital_source
    return COMPOSITE_SOURCE if spec.kind in (AssetKind.TEXTURE, AssetKind.REPAIR) else DIGITAL_SOURCE


def make_xmp_packet(
    spec: ImageSpec, *, with_spec: bool = False, detail: Detail = "full", prompt_writer: str = "", source: str = ""
) -> bytes:
    """XMP (ISO 16684-1) with IPTC 2025.1's fields on AI; the whole spec if wanted. The source type always: the spec's
    or, of a picture composed of several, `source`."""
    fields = {"Iptc4xmpExt:DigitalSourceType": source or find_digital_source(spec)}
    if detail != "none" and not spec.is_imported:
        fields |= {
            "Iptc4xmpExt:AISystemUsed": spec.model.alias,
            "Iptc4xmpExt:AISystemVersionUsed": spec.model.digest,
            "xmp:CreatorTool": f"Dailies engine {spec.engine_version}",
        }
    if detail != "none":
        fields["dailies:digest"] = spec.digest
    if detail == "full" and not spec.is_imported:
        fields["Iptc4xmpExt:AIPromptInformation"] = spec.prompt
        if prompt_writer:
            fields["Iptc4xmpExt:AIPromptWriterName"] = prompt_writer
    if with_spec and detail == "full":
        fields["dailies:spec"] = make_spec_text(spec)
    lines = "\n".join(f"   <{name}>{_xml(text)}</{name}>" for name, text in fields.items())
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dailies="{NAMESPACE}">
{lines}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>""".encode()


def make_snippet(spec: ImageSpec) -> str:
    """A manifest (YAML) that makes this picture again: same words, seed, sampling, models and pictures.

    Pictures are named by their SHA-256, to be put beside it. What a manifest cannot say (weights by
    digest) stands in comments at its head; nothing is left out without a word.
    """
    if spec.is_imported:
        return _make_import_snippet(spec)
    remarks = [f"makes image {spec.digest} again"]
    remarks += [f"{ref.alias} was {ref.digest}" for ref in spec.models()]
    if spec.engine_version != ENGINE_VERSION:
        remarks.append(f"it was made by engine {spec.engine_version}; this one is {ENGINE_VERSION}")
    if spec.parent:
        remarks.append(f"it was take {spec.take} of {spec.parent}, which a manifest does not say")

    kind = AssetKind.RENDER if not spec.source else AssetKind.REPAIR if spec.mask else AssetKind.TEXTURE
    asset: dict[str, Any] = {"name": spec.asset, "kind": kind.value}
    asset |= _words(spec)
    asset |= {"tier": spec.tier.value, "seeds": [spec.seed]}
    if kind is not AssetKind.REPAIR:
        asset["size"] = f"{spec.width}x{spec.height}"
    asset |= {"scheduler": spec.scheduler, "num_inference_steps": spec.num_inference_steps}
    asset |= {"guidance_scale": spec.guidance_scale, "guidance_rescale": spec.guidance_rescale}
    if spec.scheduler_options:
        asset["scheduler_options"] = dict(spec.scheduler_options)
    if spec.clip_skip is not None:
        asset["clip_skip"] = spec.clip_skip
    asset |= _passes(spec)
    asset["loras"] = {lora.alias: lora.weight for lora in spec.loras}
    if spec.source:
        asset |= {"sources": f"pictures/{spec.source}", "strength": spec.strength}
    if kind is AssetKind.TEXTURE:
        asset["seamless"] = {"": "none", "xy": "both"}.get(spec.seamless, spec.seamless)
    elif kind is AssetKind.REPAIR:
        asset |= {"mask": f"pictures/{spec.mask}", "padding_mask_crop": spec.padding_mask_crop}
    if kind is not AssetKind.TEXTURE and spec.seamless:
        remarks.append(f"CANNOT BE SAID HERE: it was seamless in {spec.seamless}")
    if spec.mask and spec.padding_mask_crop is None:
        remarks.append("CANNOT BE SAID HERE: its whole picture was painted at once, without cutting the place out")
    if spec.keep_colour and kind is AssetKind.TEXTURE:
        asset["keep_colour"] = True
    if spec.seam_repair and kind is AssetKind.TEXTURE:
        axes = {"xy": "both"}.get(spec.seam_repair.axes, spec.seam_repair.axes)
        asset["seam_repair"] = {"axes": axes, "strength": spec.seam_repair.strength}
    if spec.controls:
        asset["controls"] = [_control(control) for control in spec.controls]
    if spec.kind == AssetKind.RENDER and spec.source:
        remarks.append("it was a render asset, started from a picture")
    remarks += [
        f"put the picture with SHA-256 {digest} at pictures/{digest}" for digest in sorted(spec.digests_needed())
    ]

    body: dict[str, Any] = {"version": 1, "project": spec.project, "model": spec.model.alias}
    if spec.vae:
        body["vae"] = spec.vae.alias
    body["tiers"] = {spec.tier.value: {"loras": {}}}  # every LoRA is the asset's own here, the tier's included
    body["assets"] = [asset]
    head = "".join(f"# {remark}\n" for remark in remarks)
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)


def _make_import_snippet(spec: ImageSpec) -> str:
    asset = {"name": spec.asset, "kind": spec.kind.value, "sources": f"pictures/{spec.source}"}
    asset |= {"digital_source_type": spec.digital_source or "", **({"prompt": spec.prompt} if spec.prompt else {})}
    body = {"version": 1, "project": spec.project, "model": "CHECKPOINT", "assets": [asset]}
    head = (
        f"# imports image {spec.digest} again\n# put the picture with SHA-256 {spec.source} at pictures/{spec.source}\n"
        "# CANNOT BE SAID HERE: the checkpoint that repairs it is the order's\n"
    )
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)


def _words(spec: ImageSpec) -> dict[str, str]:
    names = ("prompt", "negative_prompt", "prompt_2", "negative_prompt_2")
    said = {name: getattr(spec, name) for name in names}
    return {name: text.replace("$", "$$") for name, text in said.items() if text is not None}


def _passes(spec: ImageSpec) -> dict[str, Any]:
    """Guidance beyond its scale, approximations, words with vectors of their own, pictures of a style, passes."""
    said: dict[str, Any] = {}
    if (spec.guidance_start, spec.guidance_end) != (0.0, 1.0):
        said |= {"guidance_start": spec.guidance_start, "guidance_end": spec.guidance_end}
    if spec.pag_scale:
        said |= {"pag_scale": spec.pag_scale, "pag_applied_layers": list(spec.pag_applied_layers)}
    if spec.approximation is not None:
        said["approximation"] = spec.approximation.model_dump(exclude_defaults=True)
    if spec.storage_dtype:
        said["storage_dtype"] = spec.storage_dtype
    if spec.embeddings:
        said["embeddings"] = [embedding.alias for embedding in spec.embeddings]
    if spec.references:
        said["references"] = [
            {"image": f"pictures/{shown.image}", "model": shown.model.alias, "scale": shown.scale}
            for shown in spec.references
        ]
    if spec.background is not None:
        model = spec.background.model
        said["background"] = {"by": "model", "model": model.alias} if model else {"by": "key"}
        said["background"] |= {} if model or spec.background.holes else {"holes": False}
    if spec.refiner is not None:
        said["refiner"] = spec.refiner.model_dump() | {"model": spec.refiner.model.alias}
    if spec.hires is not None:
        more: dict[str, Any] = {"num_inference_steps": spec.hires.num_inference_steps, "tile": spec.hires.tile}
        more |= {"upscaler": spec.hires.upscaler.alias if spec.hires.upscaler else None}
        said["hires"] = {"first_size": f"{spec.hires.width}x{spec.hires.height}", "strength": spec.hires.strength}
        said["hires"] |= {name: value for name, value in more.items() if value is not None}
    return said


def _control(control: ControlSpec) -> dict[str, Any]:
    said: dict[str, Any] = {"type": control.type, "model": control.model.alias}
    said["condition" if control.precomputed else "image"] = f"pictures/{control.image}"
    if control.params:
        said["params"] = dict(control.params)
    for name in ("controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end"):
        said[name] = getattr(control, name)
    return said


def _sampler(spec: ImageSpec) -> tuple[str, str | None]:
    """A1111's names of the sampler and of its schedule; diffusers' class name where A1111 has none."""
    options = dict(spec.scheduler_options)
    schedule = next((_SCHEDULES[name] for name in SIGMAS if options.get(name)), None)
    rest = {name: value for name, value in options.items() if name not in SIGMAS}
    exact = (alias for alias, (name, brought) in ALIASES.items() if name == spec.scheduler and dict(brought) == rest)
    loose = (alias for alias, (name, brought) in ALIASES.items() if name == spec.scheduler and not brought)
    return next(exact, None) or next(loose, spec.scheduler), schedule


def _controlnet(control: ControlSpec) -> str:
    """Without the ControlNet extension's own "Model: ...", which simpler readers take for the checkpoint's."""
    scale, start, end = (
        control.controlnet_conditioning_scale,
        control.control_guidance_start,
        control.control_guidance_end,
    )
    made = "precomputed " if control.precomputed else ""
    name = f"{control.model.alias} [{control.model.digest[:10]}]"
    return f"{made}{control.type} by {name} weight {scale:g} from {start:g} to {end:g}"


def _quoted(value: Any) -> str:
    """A1111's quoting: JSON where the text has a comma, a colon or a line break."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def _xml(text: str) -> str:
    """Escaped, without the characters that XML 1.0 forbids."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", escape(text, quote=False))
