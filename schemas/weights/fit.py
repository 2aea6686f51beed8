"""Whether weights fit what they are named for: every key and shape, before the night. One sentence where not.

`own_fault` looks at an entry alone, `wearing_fault` at an entry and the checkpoint that is to wear it. Both read
headers only; "" means sound, or that the files are not on this machine, which others say.
"""

from __future__ import annotations

from pathlib import Path

from schemas.catalogue import Catalogue, Entry
from schemas.errors import UnfitWeights
from schemas.weights.adapters import ip_adapter_fault, ip_adapter_input, read_vision_config
from schemas.weights.components import Components, list_component_shapes, load_shipped, read_folder_configs, read_json
from schemas.weights.configs import controlnet_config, t2i_config, vae_config
from schemas.weights.control_lora import MARK, fit_control_lora
from schemas.weights.dual_encoders import find_dual_encoder_fault
from schemas.weights.entry_faults import list_entry_faults, list_mode_faults
from schemas.weights.examine import examine_weights, find_contradiction, list_components
from schemas.weights.files import list_weight_files, read_files, read_header_at
from schemas.weights.header import Header
from schemas.weights.identity import NAMES, Identity
from schemas.weights.lora import fit_lora
from schemas.weights.placing import Placing, place_keys

_SAME = {"ssd-1b": "sdxl", "segmind-vega": "sdxl"}
"""What these are called in a catalogue."""
_KINDS = {"unet": "checkpoint", "taesd": "vae"}


def files_fault(catalogue: Catalogue, alias: str) -> str:
    """What is wrong with the files of one entry, whoever asks for it."""
    entry, path = catalogue.entries[alias], catalogue.local(alias)
    if path is None or entry.kind == "matting":  # ONNX, which has no header to read
        return ""
    key = _key(catalogue, entry)
    if key not in _known:
        try:
            if entry.kind == "dual_encoder":
                _known[key] = find_dual_encoder_fault(path)
                return _known[key]
            identity = examine_weights(path)
            _known[key] = _kind_fault(entry, identity) or _by_kind(catalogue, entry, path, identity)
        except UnfitWeights as wrong:
            _known[key] = str(wrong)
    return _known[key]


def find_faults(catalogue: Catalogue, alias: str) -> list[str]:
    """Everything that is wrong with one entry, a sentence each: what it says, and its files."""
    said = list(list_entry_faults(catalogue, alias))
    if fault := files_fault(catalogue, alias):
        said.append(fault)
    return said


def find_own_fault(catalogue: Catalogue, alias: str) -> str:
    """`find_faults` in one sentence; "" where nothing is wrong."""
    return "; ".join(find_faults(catalogue, alias))


def find_lora_fault(catalogue: Catalogue, alias: str, base: str) -> str:
    """What of this entry would not apply to the checkpoint `base`."""
    entry, path = catalogue.entries[alias], catalogue.local(alias)
    if path is None or entry.kind not in ("lora", "embedding", "controlnet", "t2i_adapter", "ip_adapter"):
        return ""
    key = (*_key(catalogue, entry), *_key(catalogue, catalogue.entries[base]))
    if key not in _known:
        try:
            components = list_components(catalogue, catalogue.entries[base])
            _known[key] = (
                "" if components is None else _against(catalogue, path, entry, components, catalogue.entries[base])
            )
        except UnfitWeights as wrong:
            _known[key] = str(wrong)
    return _known[key]


_known: dict[tuple[object, ...], str] = {}
"""By entry and by the times and sizes of its files: the Submit page asks again at every change of a letter."""


def _key(catalogue: Catalogue, entry: Entry) -> tuple[object, ...]:
    places = [catalogue.local(entry.alias), catalogue.folder / entry.config.expanduser() if entry.config else None]
    stamps: list[object] = []
    for at in filter(None, places):
        files = [at] if at.is_file() else sorted(file for file in at.rglob("*") if file.is_file())
        stamps += [(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
    return (entry.model_dump_json(), *stamps)


def _kind_fault(entry: Entry, identity: Identity) -> str:
    if identity.kind == "unknown" and entry.kind in ("upscaler", "image_encoder") and not identity.layout:
        return ""  # spandrel knows more upscalers by their weights than are known here
    if identity.refusal:
        return identity.refusal
    kind = _KINDS.get(identity.kind, identity.kind)
    if kind != entry.kind:
        return f"it is a {identity.kind}; the catalogue says {entry.kind}"
    architecture = _SAME.get(identity.architecture, identity.architecture)
    if architecture and architecture != entry.architecture and entry.kind != "embedding":
        said = f"made for {identity.name}; the catalogue says {NAMES[entry.architecture]}"
        return (
            f"{said}: write `architecture: {architecture}`"
            if architecture in ("sdxl", "sd15", "sdxl-refiner")
            else said
        )
    return ""


def _by_kind(catalogue: Catalogue, entry: Entry, path: Path, identity: Identity) -> str:
    if entry.kind == "checkpoint":
        return _checkpoint_fault(catalogue, entry, path, identity)
    if entry.kind == "vae":
        return _faults(place_keys(read_header_at(path), {"vae": vae_config(catalogue, entry, path)}))
    header = read_header_at(path)
    if entry.kind == "controlnet" and identity.layout == "control-lora":
        return (
            fit_control_lora(header, load_shipped(entry.architecture)["unet"]).fault() if not entry.checkpoints else ""
        )
    if entry.kind == "controlnet":
        fault = _faults(place_keys(header, {"controlnet": controlnet_config(catalogue, entry, path, header)}))
        return fault or "; ".join(list_mode_faults(entry, identity))
    if entry.kind == "t2i_adapter":
        return _faults(place_keys(header, {"t2i_adapter": t2i_config(catalogue, entry, path, header)}))
    if entry.kind == "image_encoder" and path.is_file():
        read_vision_config(header)
    if entry.kind == "ip_adapter" and entry.image_encoder is not None:
        return encoder_fault(catalogue, entry.image_encoder, header)
    return ""


def encoder_fault(catalogue: Catalogue, alias: str, adapter: Header) -> str:
    """An image encoder whose answer has another width than an IP-Adapter takes."""
    path = catalogue.local(alias) if alias in catalogue.entries else None
    part, width = ip_adapter_input(adapter)
    if path is None or not part:
        return ""
    folder = path.is_dir() and (path / "config.json").is_file()
    config = read_json(path / "config.json") if folder else read_vision_config(read_header_at(path))
    came = config.get("projection_dim" if part == "projection" else "hidden_size", width)
    return (
        "" if came == width else f"it takes pictures {width} wide; its `image_encoder` {alias} makes them {came} wide"
    )


def _checkpoint_fault(catalogue: Catalogue, entry: Entry, path: Path, identity: Identity) -> str:
    if path.is_dir():
        return _folder_fault(path)
    if identity.lacks and entry.base is None:
        return f"it holds no {' and no '.join(identity.lacks)}; give `base:`, the alias of a checkpoint that does"
    components = list_components(catalogue, entry)
    assert components is not None
    config = read_folder_configs(catalogue.place(entry.config)) if entry.config else None
    if fault := find_contradiction(identity, entry, config):
        return fault
    placing = place_keys(read_header_at(path), components)
    if (
        placing.absent
        and entry.base is None
        and not (entry.architecture == "sdxl-refiner" and placing.absent == ["vae"])
    ):
        return f"it holds no {' and no '.join(placing.absent)}; give `base:`, the alias of a checkpoint that does"
    fault = _faults(placing)
    return f"{fault}; for another size give `config:`, a diffusers folder" if fault and entry.config is None else fault


def _folder_fault(path: Path) -> str:
    components = read_folder_configs(path)
    for name in list_component_shapes(components):
        if not (path / name).is_dir():
            continue
        files = list_weight_files(path / name)
        if not files:
            return f"{name} holds no safetensors"
        if fault := _faults(place_keys(read_files(files), {name: components[name]})):
            return f"{name}: {fault}"
    return ""


def _faults(placing: Placing) -> str:
    if not placing.count:
        return f"none of its {len(placing.unknown)} keys would apply"
    return "; ".join(placing.faults())


def _against(catalogue: Catalogue, path: Path, entry: Entry, components: Components, base: Entry) -> str:
    header = read_header_at(path)
    own = NAMES[base.architecture]
    if entry.kind == "lora":
        identity = examine_weights(path)
        if identity.refusal:
            return identity.refusal
        architecture = _SAME.get(identity.architecture, identity.architecture)
        if architecture and architecture != base.architecture:
            return f"made for {identity.name}; this checkpoint is {own}"
        return fit_lora(header, components).fault()
    if entry.kind == "embedding":
        return _embedding_fault(header, components)
    unet = components["unet"]
    if entry.kind == "t2i_adapter":
        came = list(dict.fromkeys(t2i_config(catalogue, entry, path, header)["channels"]))
        needed = list(dict.fromkeys(unet["block_out_channels"]))
        return "" if came == needed else f"its features are {came} wide; this checkpoint's are {needed}"
    if entry.kind == "controlnet" and MARK in header.tensors:
        return fit_control_lora(header, unet).fault()
    if entry.kind == "controlnet":
        return _cross_fault(header, components, ".attn2.to_k.weight")
    width = _cross_fault(header, components, ".to_k_ip.weight")
    return width or ip_adapter_fault(header, list_component_shapes({"unet": unet})["unet"])


def _embedding_fault(header: Header, components: Components) -> str:
    widths = {components[name]["hidden_size"] for name in ("text_encoder", "text_encoder_2") if name in components}
    for key, tensor in header.tensors.items():
        if tensor.shape and tensor.shape[-1] not in widths:
            takes = " and ".join(map(str, sorted(widths)))
            return f"{key} is {tensor.shape[-1]} wide; this checkpoint's text encoders take {takes}"
    return ""


def _cross_fault(header: Header, components: Components, end: str) -> str:
    """By the width of the text that cross-attention reads."""
    width = components["unet"].get("cross_attention_dim")
    for key, tensor in header.tensors.items():
        if key.endswith(end) and isinstance(width, int) and tensor.shape[1] != width:
            return f"its cross-attention is {tensor.shape[1]} wide; this checkpoint's text is {width} wide"
    return ""
