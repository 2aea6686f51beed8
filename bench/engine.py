"""The engine against diffusers: images a second on the small checkpoint, by kind of job, in one run, as ratios.

    python -m bench.engine                             every kind, five repeats
    python -m bench.engine --backend onnxruntime       the engine with a graph (docs/performance.md)
    python -m bench.engine --threads 1 --threads all   both
    python -m bench.engine --dtype bfloat16            what `auto` is on a processor with AMX
    python -m bench.engine --only ControlNet --repeats 1 --steps 2 --share 1    a rehearsal of one kind
    python -m bench.engine --machine                   only says on what it would run

A  plain: one prompt a call, in the manifest's order, LoRAs loaded and unloaded as they come.
B  diffusers at its best: jobs sorted so that equal settings meet, prompts and generators in lists, every LoRA loaded
   once and switched by name, the batch size that was fastest in a probe.
C  the engine, with B's order and batch size.

All three hold one set of parts, compute in float32 (or in what `--dtype` says), do the same work (A and B pad
circularly where a job is seamless), and hand back uint8 pixels. They take turns A B C C B A, so that a machine that
warms up or is shared favours none; a ratio is the median over the repeats of the ratio within one repeat, and the
summary their geometric mean over kinds.
What a graph costs to export and open comes before the clock and is told apart.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from bench.kinds import KINDS, MIXED, Jobs, grouped
from bench.plain_diffusers import Diffusers
from engine.diffuse import Engine
from engine.model_files import ModelFiles
from engine.pixels import Sources
from engine.processor import read_processor
from engine.prompts import Encoder
from engine.runtime_options import RuntimeOptions
from schemas.names import count_noun
from schemas.settings import ROOT, Backend
from schemas.spec import ImageSpec


def ours(engine: Engine, jobs: Jobs, specs: Sequence[ImageSpec], batch: int) -> None:
    """C, knowing no prompt and no source from an earlier turn."""
    engine.encoder, engine.sources = Encoder(), Sources()
    for group in grouped(specs, batch):
        for row in engine.render(group, sources=jobs.sources, conditions=jobs.conditions):
            assert row.error is None, row.error


def probe(theirs: Diffusers, specs: Sequence[ImageSpec]) -> int:
    """The batch size at which B is fastest."""
    speed = {}
    for batch in (1, 2, 4, 8):
        some = list(specs[:8])
        theirs.best(some, batch)
        speed[batch] = min(_seconds(partial(theirs.best, some, batch)) for _ in range(2))
    return min(speed, key=lambda batch: speed[batch])


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_clock = time.perf_counter


def _seconds(run: Callable[[], object]) -> float:
    started = _clock()
    run()
    return _clock() - started


def compare(runs: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, list[float]]:
    """Seconds of each, repeat by repeat, in turns A B C C B A."""
    for run in runs.values():
        run()  # nothing is timed cold
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        both = dict.fromkeys(runs, 0.0)
        for name in [*runs, *reversed(runs)]:
            both[name] += _seconds(runs[name])
        for name, seconds in both.items():
            spent[name].append(seconds / 2)
    return spent


def measure(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One table, with as many threads as PyTorch now has; as far as it has come, after each kind."""
    catalogue = ModelFiles.read(given.catalogue)
    jobs = Jobs(catalogue, steps=given.steps, share=given.share)
    with torch.inference_mode():
        theirs = Diffusers(jobs, dtype=given.dtype)
        batch = given.batch or probe(theirs, jobs.list_kind("text-to-image"))
    levers = RuntimeOptions(backend=given.backend, folder=folder)
    engine = Engine(catalogue, device="cpu", dtype=given.dtype, levers=levers)
    threads = torch.get_num_threads()
    on = f"{count_noun(threads, 'thread')}, {given.dtype}, {given.backend}"
    print(f"\n{on}, {given.steps} steps, batches of {batch}, {given.clock} seconds\n")
    print(f"{'kind':18} images   A img/s   B img/s   C img/s   C/A (spread)        C/B (spread)")
    kinds: dict[str, Any] = {}
    for kind in given.only or KINDS:
        specs = jobs.list_kind(kind)
        engine.expect(specs * 1000)  # of a night, which repays a graph
        runs: dict[str, Callable[[], object]] = {
            "A": partial(theirs.plain, specs),
            "B": partial(theirs.best, specs, batch),
            "C": partial(ours, engine, jobs, specs, batch),
        }
        kinds[kind] = _summarise(kind, len(specs), compare(runs, repeats=given.repeats))
        yield {"threads": threads, "batch": batch, "kinds": kinds}
    mean = {ratio: statistics.geometric_mean(kinds[kind][ratio] for kind in kinds) for ratio in ("C/A", "C/B")}
    worst = min(kinds, key=lambda kind: kinds[kind]["C/B"])
    print(f"\ngeometric mean: C/A {mean['C/A']:.2f}, C/B {mean['C/B']:.2f}; lowest C/B: {worst}")
    graphs = {name: body for name, body in _read(folder / "graphs.json").items() if f" {threads} threads" in name}
    for body in graphs.values():
        print("the graph, in seconds: " + ", ".join(f"{name} {value:.3g}" for name, value in body.items()))
    yield {"threads": threads, "batch": batch, "kinds": kinds, "geometric mean": mean, "graphs": graphs}


def _summarise(kind: str, images: int, spent: dict[str, list[float]]) -> dict[str, Any]:
    speed = {run: images / statistics.median(seconds) for run, seconds in spent.items()}
    ratios = {f"C/{run}": [s / c for s, c in zip(spent[run], spent["C"], strict=True)] for run in "AB"}
    middle = {name: statistics.median(values) for name, values in ratios.items()}
    said = [f"{middle[name]:.2f} ({min(values):.2f}-{max(values):.2f})" for name, values in ratios.items()]
    row = "".join(f"{speed[run]:10.2f}" for run in "ABC")
    print(f"{kind:18} {images:6}{row}   {said[0]:19} {said[1]}", flush=True)
    return {"images": images, "seconds": spent, "ratios": ratios, **middle}


def _read(file: Path) -> dict[str, dict[str, float]]:
    return json.loads(file.read_text()) if file.is_file() else {}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--catalogue", type=Path, default=ROOT / "models" / "catalogue.yaml")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--share", type=int, default=2, help="a quarter of the images of a kind")
    arguments.add_argument("--batch", type=int, help="instead of the probe's")
    arguments.add_argument("--only", action="append", choices=(*KINDS, MIXED), help="of this kind; may be repeated")
    arguments.add_argument("--threads", action="append", choices=("1", "all"), help="a table for each")
    arguments.add_argument("--backend", choices=get_args(Backend), default="auto", help="of the engine")
    arguments.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of all three")
    arguments.add_argument("--machine", action="store_true", help="the processor's name and abilities, and no more")
    arguments.add_argument("--out", type=Path, help="JSON of every figure; a folder: a file with date and processor")
    arguments.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where other work shares the cores")
    given = arguments.parse_args()
    processor, abilities = read_processor()
    said = ", ".join(abilities) or "abilities unknown"
    print(f"{processor}: {said}; {count_noun(torch.get_num_threads(), 'thread')}")
    if given.machine:
        return
    global _clock
    _clock = CLOCKS[given.clock]
    today, every = datetime.now(UTC).date().isoformat(), torch.get_num_threads()
    figures: dict[str, Any] = {"date": today, "processor": processor, "abilities": abilities, "steps": given.steps}
    figures |= {
        "clock": given.clock,
        "dtype": given.dtype,
        "backend": given.backend,
        "repeats": given.repeats,
        "tables": [],
    }
    named = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    file = given.out
    if file is not None and file.is_dir():
        file /= f"{today}-engine-{given.dtype}-{given.backend}-{named}.json"
    with tempfile.TemporaryDirectory() as folder:
        for threads in given.threads or ["all"]:
            torch.set_num_threads(every if threads == "all" else int(threads))
            done = list(figures["tables"])
            for table in measure(given, Path(folder)):
                figures["tables"] = [*done, table]
                if file is not None:  # after each kind: what was measured stays, whatever happens to the rest
                    file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
