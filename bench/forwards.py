"""The sections of bench/gpu.py that time single forward passes: where a card's time goes, part by part."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

from bench import sdxl
from bench.section import Section
from engine.attention import KERNELS, measure_backends, use_attention
from engine.compiling import Compiler, count_cache_hits, use_channels_last
from engine.controlnets import Controls, Remembered
from engine.pixels import decode_latents
from engine.stored_weights import store_weights

MLPERF = ("conv_in", "time_embedding.linear_1", "conv_shortcut", "down_blocks.0.downsamplers", "conv_out", "norm")
"""What MLPerf's eight-bit SDXL keeps in 16 bits (Inference 5.1, NVIDIA's submission), as name patterns of modules, and
the norms, which diffusers leaves whole by itself."""
PICTURES = (1, 2, 4, 8, 16, 32)
"""Rows of the UNet's curve; with guidance a picture is two."""


def peak(at: Section) -> None:
    """The ceilings: a large bfloat16 matrix product on random data, and a copy."""
    with at.part("matmul"):
        sizes = [(8192, 8192, 8192), (16384, 1280, 10240), (32768, 640, 5120)] if at.true_size else [(128, 128, 128)]
        best = 0.0
        for rows, inner, columns in sizes:
            a, b = torch.randn(rows, inner, **at.where), torch.randn(inner, columns, **at.where)
            ms = at.milliseconds(partial(torch.matmul, a, b), repeats=30)
            rate = 2 * rows * inner * columns / ms / 1e9
            best = max(best, rate)
            at.note(f"{rows} x {inner} x {columns}", {"ms": round(ms, 4), "tflop_s": round(rate, 6)})
        at.note("matmul", {"tflop_s": round(best, 6)})
    with at.part("copy"):
        data = torch.empty(2**31 if at.true_size else 2**20, dtype=torch.uint8, device=at.device).random_(0, 255)
        ms = at.milliseconds(lambda: data.clone())
        at.note("copy", {"ms": round(ms, 3), "gb_s": round(2 * data.numel() / ms / 1e6, 1)})


def unet(at: Section) -> None:
    """Rows a forward pass against its speed and memory, and both layouts of convolutions."""
    network = sdxl.unet(at.shapes, **at.where)
    use_channels_last(network, at.device, "auto")
    for rows in PICTURES if at.true_size else (1, 2):
        with at.part(f"{rows} rows"):
            given = sdxl.inputs(at.shapes, rows, **at.where)
            count = at.operations(partial(network, **given))
            held = at.peak_bytes(partial(network, **given))
            ms = at.milliseconds(partial(network, **given))
            at.note(f"{rows} rows", at.speed(ms, count) | {"ms_a_row": round(ms / rows, 3), "bytes": held})
        if at.left < 20:
            break
    with at.part("8 rows, contiguous"):
        given = sdxl.inputs(at.shapes, 8, **at.where)
        network.to(memory_format=torch.contiguous_format)
        count = at.operations(lambda: network(**given))
        at.note("8 rows, contiguous", at.speed(at.milliseconds(lambda: network(**given)), count))


def controlnet(at: Section) -> None:
    """Its share of a step, its condition embedded once or every step, and what a scale of 0 costs."""
    network, net = sdxl.unet(at.shapes, **at.where), sdxl.controlnet(at.shapes, **at.where)
    for part in (network, net):
        use_channels_last(part, at.device, "auto")
    for rows in (2, 16) if at.true_size else (2,):
        with at.part(f"{rows} rows"):
            at.note(f"{rows} rows", _controlled(at, network, net, rows))


def _controlled(at: Section, network: Any, net: Any, rows: int) -> dict[str, Any]:
    given = sdxl.inputs(at.shapes, rows, **at.where)
    condition = torch.rand(rows, 3, at.shapes.side, at.shapes.side, **at.where)
    states = (given["sample"], given["timestep"], given["encoder_hidden_states"])
    more = {"added_cond_kwargs": given["added_cond_kwargs"], "return_dict": False}
    theirs, ours = MultiControlNetModel([net]), Controls([net], [None])
    embedding = net.controlnet_cond_embedding

    def step(controls: Any, scale: float) -> Any:
        downs, mid = controls(*states, [condition], [scale], **more)
        return network(**given, down_block_additional_residuals=downs, mid_block_additional_residual=mid)

    def ms(run: Callable[[], Any]) -> float:
        return round(at.milliseconds(run), 3)

    count = at.operations(lambda: step(theirs, 1.0))
    figures = {
        "unet_ms": ms(lambda: network(**given)),
        "every_step_ms": ms(lambda: step(theirs, 1.0)),
        "zero_scale_diffusers_ms": ms(lambda: step(theirs, 0.0)),
    }
    net.controlnet_cond_embedding = Remembered(embedding)
    try:
        once = ms(lambda: step(ours, 1.0))
        figures["zero_scale_ours_ms"] = ms(lambda: step(ours, 0.0))
    finally:
        net.controlnet_cond_embedding = embedding
    return figures | {"share_of_step": round(1 - figures["unet_ms"] / once, 3)} | at.speed(once, count)


def vae(at: Section) -> None:
    """Decoding four pictures: precision, pictures at once, tiles, layout."""
    many = 4 if at.true_size else 2
    for dtype in (torch.float32, at.dtype, torch.float16) if at.device.type == "cuda" else (torch.float32, at.dtype):
        network = sdxl.autoencoder(at.shapes, device=at.device, dtype=dtype)
        latents = torch.randn(many, 4, at.shapes.latent, at.shapes.latent, device=at.device, dtype=dtype)
        word = str(dtype).removeprefix("torch.")
        for layout in ("off", "on") if at.true_size else ("on",):
            use_channels_last(network, at.device, layout)
            for together in sorted({1, 2, many}):
                name = f"{word}, {together} at once" + (", channels_last" if layout == "on" else "")
                with at.part(name):

                    def run(network: Any = network, latents: Any = latents, together: int = together) -> Any:
                        return [network.decode(piece, return_dict=False)[0] for piece in latents.split(together)]

                    held = at.peak_bytes(run)
                    ms = at.milliseconds(run, repeats=5)
                    at.note(name, {"ms_a_picture": round(ms / many, 3), "bytes": held})
        with at.part(f"{word}, tiled"):
            network.enable_tiling()
            held = at.peak_bytes(partial(network.decode, latents[:1]))
            ms = at.milliseconds(partial(network.decode, latents[:1]), repeats=5)
            at.note(f"{word}, tiled", {"ms_a_picture": round(ms, 3), "bytes": held})
            network.disable_tiling()
    with at.part("engine"):
        network = sdxl.autoencoder(at.shapes, **at.where)
        latents = torch.randn(many, 4, at.shapes.latent, at.shapes.latent, **at.where)
        at.note("engine", {"ms_a_picture": round(at.milliseconds(lambda: decode_latents(network, latents)) / many, 3)})


def stored(at: Section) -> None:
    """Weights held in fewer bits: their bytes, the forward's speed, and how far its answer is from 16 bits'."""
    rows = 8 if at.true_size else 2
    given = sdxl.inputs(at.shapes, rows, **at.where)
    for name, hold in HELD.items():
        with at.part(name):
            network = sdxl.unet(at.shapes, **at.where)
            use_channels_last(network, at.device, "auto")
            true = network(**given)[0].float()
            hold(network, at.dtype)
            away = (network(**given)[0].float() - true).norm() / true.norm()
            held = sum(value.nbytes for value in network.parameters()) + sum(
                value.nbytes for value in network.buffers()
            )
            ms = at.milliseconds(partial(network, **given))
            at.note(name, {"ms": round(ms, 3), "bytes": held, "relative_l2": float(f"{away:.2e}")})
            del network, true


def _hold_float8(network: Any, dtype: torch.dtype, *, whole: tuple[str, ...] | None = None) -> None:
    patterns = {} if whole is None else {"skip_modules_pattern": whole}
    network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype, **patterns)


HELD: dict[str, Callable[[Any, torch.dtype], Any]] = {
    "float8": _hold_float8,
    "float8, MLPerf's layers whole": partial(_hold_float8, whole=MLPERF),
    "int8": lambda network, _: store_weights(network, "int8"),
    "int4": lambda network, _: store_weights(network, "int4"),
}


def attention(at: Section) -> None:
    """PyTorch's kernels on the shapes of SDXL's self-attention, and on a whole UNet."""
    levels = {"64 x 64": (10, 4096, 64), "32 x 32": (20, 1024, 64)} if at.true_size else {"8 x 8": (2, 64, 16)}
    for rows in (2, 16):
        for name, shape in levels.items():
            at.note(f"{rows} rows, {name}, ms", measure_backends(at.device, at.dtype, rows=rows, shape=shape))
    network = sdxl.unet(at.shapes, **at.where)
    use_channels_last(network, at.device, "auto")
    given = sdxl.inputs(at.shapes, 16 if at.true_size else 2, **at.where)
    for kernel in ("native", *(name for name in KERNELS if name != "math")):
        with at.part(f"unet, {kernel}"), use_attention(kernel):
            at.note(f"unet, {kernel}", {"ms": round(at.milliseconds(lambda: network(**given)), 3)})


def compiled(at: Section) -> None:
    """With nothing kept from before: seconds to the first answer, and speed after it."""
    shutil.rmtree(at.folder / "compiled", ignore_errors=True)
    cached(at)


def cached(at: Section) -> None:
    """The same in a new process, with what the one before has kept."""
    torch._dynamo.reset()
    compiler = Compiler(on=True, backend=at.backend, folder=at.folder)
    rows = 16 if at.true_size else 2
    given = sdxl.inputs(at.shapes, rows, **at.where)
    condition = torch.rand(rows, 3, at.shapes.side, at.shapes.side, **at.where)
    latents = torch.randn(1, 4, at.shapes.latent, at.shapes.latent, **at.where)
    cases: tuple[tuple[str, Any, Any], ...] = (
        (f"unet, {rows} rows", sdxl.unet, lambda n: n(**given)),
        (f"controlnet, {rows} rows", sdxl.controlnet, lambda n: n(**given, controlnet_cond=condition)),
        ("vae decoder, 1", sdxl.autoencoder, lambda n: n.decode(latents)),
    )
    for name, make, run in cases:
        with at.part(name):
            network = make(at.shapes, **at.where)
            use_channels_last(network, at.device, "auto")
            at.note(name, _first_and_rest(at, compiler, network, partial(run, network)))
            del network


def _first_and_rest(at: Section, compiler: Compiler, network: Any, run: Callable[[], Any]) -> dict[str, Any]:
    count, eager = at.operations(run), at.milliseconds(run)
    compiler.prepare(network)
    began, before = time.perf_counter(), compiler.seconds
    run()
    at.wait()
    first = {"first_s": round(time.perf_counter() - began, 2), "compiler_s": round(compiler.seconds - before, 2)}
    return first | {"eager_ms": round(eager, 3)} | at.speed(at.milliseconds(run), count) | count_cache_hits()
