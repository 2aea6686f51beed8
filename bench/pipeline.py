"""Images a second of a whole night against the plain loop that a studio would write first, as a ratio.

    python -m bench.pipeline                # SeaweedFS and PostgreSQL, 32 images a run
    python -m bench.pipeline --local        # a folder and SQLite

The plain loop is diffusers as its documentation shows it: one prompt a call, `image.save`, an S3 put, one commit an
image. Both use the same checkpoint, device, dtype, sizes, steps and threads, and are warm: models are loaded and
Prefect's API is up before the clock starts. The night's clock covers everything from the call of the nightly flow to
its report: planning, Prefect, previews, records. Neither runs the advisory checks, unless the night is told to
(`--checks`), which the plain loop cannot match. Order ABBA in one process, so that drift cancels.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flows.embedded import QUIET, hide_server_output, start_orchestration

MANIFEST = """
project: Bench
model: studio-tiny
defaults: {{size: {size}}}
tiers: {{final: {{scheduler: Euler, num_inference_steps: {steps}, guidance_scale: 5.0}}}}
assets:
  - name: Potion
    prompt: a $colour potion on a white background
    values: {{colour: [red, blue]}}
    seeds: [{seeds}]
"""


def main() -> None:
    asked = _arguments()
    os.environ.update(QUIET)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dailies-bench-")))
        settings = stack.enter_context(_settings(home, asked))
        api = stack.enter_context(start_orchestration(home))

        from flows.nightly import nightly
        from tasks.parts import open_parts, use_parts

        parts = stack.enter_context(use_parts(open_parts(settings)))
        plain = Plain(parts)
        assert api is not None
        api.wait()

        on_device: list[float] = []

        def night(seeds: list[int]) -> None:
            _submit(parts, home, seeds, asked)
            with hide_server_output():
                done = nightly(by="bench", windowed=False)
            assert done["made"] == 2 * len(seeds), done
            on_device.append(done["gpu_seconds"])

        def loop(seeds: list[int]) -> None:
            for colour in ("red", "blue"):
                for seed in seeds:
                    plain.make(f"a {colour} potion on a white background", seed, asked.size, asked.steps)

        # 1. Warm: weights are on the device, memory is mapped, connections are open.
        night([0])
        loop([0])
        # 2. ABBA.
        times: dict[str, list[float]] = {"night": [], "plain loop": []}
        runs = {"night": night, "plain loop": loop}
        for number, name in enumerate(("night", "plain loop", "plain loop", "night")):
            seeds = list(range(1 + number * asked.images, 1 + number * asked.images + asked.images // 2))
            began = time.perf_counter()
            runs[name](seeds)
            times[name].append(time.perf_counter() - began)
            print(f"{name:10}  {asked.images} images in {times[name][-1]:6.1f} s", flush=True)
        # 3. The ratio.
        rates = {name: 2 * asked.images / sum(seconds) for name, seconds in times.items()}
        shape = f"{asked.size} px, {asked.steps} steps, batches of {asked.batch}"
        print(f"{parts.engine.device_name}, {parts.engine.dtype}, {shape}")
        for name, rate in rates.items():
            print(f"{name:10}  {rate:.3f} images/s")
        print(f"of the nights' time the device was at work {sum(on_device[1:]) / sum(times['night']):.0%}")
        print(f"ratio       {rates['night'] / rates['plain loop']:.2f}")


class Plain:
    """diffusers, an S3 client and a table, used as anybody would."""

    def __init__(self, parts: Any) -> None:
        from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
        from sqlalchemy import text

        engine = parts.engine
        folder = parts.catalogue.where("studio-tiny", asker="bench")
        self.pipe = StableDiffusionXLPipeline.from_pretrained(
            folder, dtype=engine.dtype, use_safetensors=True, add_watermarker=False
        ).to(engine.device)
        self.pipe.scheduler = EulerDiscreteScheduler.from_config(self.pipe.scheduler.config)
        self.pipe.set_progress_bar_config(disable=True)
        self.store, self.database, self.text = parts.store, parts.ledger.engine, text
        with self.database.begin() as connection:
            connection.execute(text("CREATE TABLE plain (sha256 TEXT, object_key TEXT, prompt TEXT, seed INTEGER)"))

    def make(self, prompt: str, seed: int, size: int, steps: int) -> None:
        import torch

        generator = torch.Generator("cpu").manual_seed(seed)
        image = self.pipe(
            prompt, height=size, width=size, num_inference_steps=steps, guidance_scale=5.0, generator=generator
        ).images[0]
        file = io.BytesIO()
        image.save(file, "PNG")
        data = file.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        self.store.put_once(key := f"plain/{digest}.png", data, media_type="image/png")
        with self.database.begin() as connection:
            row = {"sha256": digest, "object_key": key, "prompt": prompt, "seed": seed}
            connection.execute(self.text("INSERT INTO plain VALUES (:sha256, :object_key, :prompt, :seed)"), row)


def _submit(parts: Any, home: Path, seeds: list[int], asked: argparse.Namespace) -> None:
    from tasks.planning.submit import submit_manifest

    path = home / "manifest.yaml"
    path.write_text(MANIFEST.format(size=asked.size, steps=asked.steps, seeds=", ".join(map(str, seeds))))
    submit_manifest(path, settings=parts.settings, catalogue=parts.catalogue, ledger=parts.ledger, store=parts.store)


@contextmanager
def _settings(home: Path, asked: argparse.Namespace) -> Iterator[Any]:
    from schemas.settings import Settings
    from tests import servers
    from tests.studio import catalogue_path

    common = {
        "home": home,
        "catalogue": catalogue_path(),
        "checks": asked.checks,
        "batch_size": asked.batch,
        "device": asked.device,
    }
    if asked.local:
        yield Settings(**common)
        return
    with servers.seaweedfs() as s3, servers.postgres() as database:
        os.environ.update(s3.environment)
        yield Settings(
            **common, database_url=database, object_store="s3://bench/night", s3_endpoint_url=s3.endpoint_url
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32, help="in each of the four runs; even")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--local", action="store_true", help="a folder and SQLite instead of SeaweedFS and PostgreSQL")
    parser.add_argument("--checks", action="store_true", help="the night runs the advisory checks too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
