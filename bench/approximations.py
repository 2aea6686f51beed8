"""What approximations save and cost on the small checkpoint: process time an image, and how far its latents get.

    python -m bench.approximations

Four images in one batch, 24 steps at 128 px; the error is the relative L2 of the final latents to those whose steps are
all computed whole. Process time counts every thread, so that neighbours on the machine do not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import torch

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.settings import ROOT
from schemas.spec import Approximation, ImageSpec, ModelRef

PROMPTS = ("a red potion, flat style", "a wooden chest", "a green tree in fog", "a brick wall")
CASES: dict[str, dict[str, Any]] = {
    "exact": {},
    **{f"cache_interval {n}": {"approximation": Approximation(cache_interval=n)} for n in (2, 3, 5)},
    **{
        f"cache_interval {n}, cache_branch_id 2": {"approximation": Approximation(cache_interval=n, cache_branch_id=2)}
        for n in (2, 3)
    },
    **{f"tgate_after {part}": {"approximation": Approximation(tgate_after=part)} for part in (0.8, 0.6, 0.4)},
    **{f"guidance_end {part}, for comparison": {"guidance_end": part} for part in (0.8, 0.6, 0.4)},
    "cache_interval 2, tgate_after 0.6": {"approximation": Approximation(cache_interval=2, tgate_after=0.6)},
    "storage_dtype float8_e4m3fn": {"storage_dtype": "float8_e4m3fn"},
    "storage_dtype int8": {"storage_dtype": "int8"},
    "storage_dtype int4": {"storage_dtype": "int4"},
}


def make_specs(catalogue: ModelFiles, *, steps: int, side: int, **fields: Any) -> list[ImageSpec]:
    ref = ModelRef(alias="studio-tiny", digest=catalogue.digest("studio-tiny"))
    return [
        ImageSpec(project="bench", asset=prompt, variant="1", prompt=prompt, negative_prompt="blurred", seed=seed,
                  width=side, height=side, num_inference_steps=steps, guidance_scale=5.0, model=ref, **fields)
        for seed, prompt in enumerate(PROMPTS)
    ]  # fmt: skip


def measure(engine: Engine, specs: Sequence[ImageSpec]) -> tuple[float, torch.Tensor]:
    """Seconds of process time an image, and the final latents [rows, 4, height, width]."""
    latents: list[torch.Tensor] = []
    engine.models.pipeline(specs[0], asker="bench")  # what is loaded or cast is not counted
    vae = engine.models._base.vae
    hook = vae.post_quant_conv.register_forward_pre_hook(lambda module, given: latents.append(given[0].clone()))
    started = time.process_time()
    rows = engine.render(specs)
    spent = (time.process_time() - started) / len(specs)
    hook.remove()
    for row in rows:
        if row.error is not None:
            raise row.error
    return spent, torch.cat(latents).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=2, help="the fastest counts")
    parser.add_argument("--side", type=int, default=128, help="px")
    given = parser.parse_args()
    catalogue = ModelFiles.read(ROOT / "models" / "catalogue.yaml")
    engine = Engine(catalogue, device="cpu", dtype="float32")
    engine.render(make_specs(catalogue, steps=1, side=given.side))
    exact, first = torch.zeros(()), 0.0
    print(f"{'':36} s an image  of exact  relative L2")
    for name, fields in CASES.items():
        specs = make_specs(catalogue, steps=given.steps, side=given.side, **fields)
        spent, latents = min((measure(engine, specs) for _ in range(given.repeats)), key=lambda run: run[0])
        if name == "exact":
            exact, first = latents, spent
        error = float((latents - exact).norm() / exact.norm())
        print(f"{name:36} {spent:10.2f} {spent / first:9.2f} {error:12.3f}", flush=True)


if __name__ == "__main__":
    main()
