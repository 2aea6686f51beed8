"""SDXL and a ControlNet in their true shapes on one GPU, in under 20 minutes, with random weights and no network.

    python -m bench.gpu                                  every section; figures in bench/results/
    python -m bench.gpu --only peak,unet,compile,cached  some of them, into the same file
    python -m bench.gpu --tiny                           a rehearsal on the CPU, at tiny size

Each section is a process of its own with its own budget: what runs over it is ended, what has no room is noted, and
every figure is in the file as soon as it is known. Times are medians after a warm-up, by device events; operations are
counted while the networks run, and given as a share of the largest matrix product's rate on the same card.

A machine with torch, transformers, accelerate, peft, safetensors, OpenCV, Pillow, PyYAML and nothing of ours also needs
diffusers and pydantic, which can be brought as wheels, 9 MB in all (docs/performance.md has the commands).
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from bench import forwards, jobs
from bench.sdxl import SDXL, TINY
from bench.section import Section
from schemas.settings import ROOT

SECTIONS: dict[str, tuple[Callable[[Section], None], int]] = {
    "peak": (forwards.peak, 45),
    "unet": (forwards.unet, 110),
    "stored": (forwards.stored, 80),
    "controlnet": (forwards.controlnet, 70),
    "vae": (forwards.vae, 100),
    "attention": (forwards.attention, 60),
    "compile": (forwards.compiled, 200),
    "cached": (forwards.cached, 90),
    "jobs": (jobs.jobs, 440),
}
"""Seconds each, under 20 minutes in all: starting the process and drawing the weights are within them."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    arguments.add_argument("--tiny", action="store_true", help="on the CPU, in this process")
    arguments.add_argument("--out", type=Path, help="JSON; else bench/results/<date>-<device>.json, added to")
    arguments.add_argument("--folder", type=Path, help="for 10 GB of weights and compiled code; else a temporary one")
    arguments.add_argument("--jobs", type=int, default=64)
    arguments.add_argument("--steps", type=int, default=30)
    arguments.add_argument("--backend", default="inductor", help="torch.compile's")
    arguments.add_argument("--processes", action="store_true", help="rehearse that too: a process a section")
    arguments.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # a section in its own process
    given = arguments.parse_args()
    names = given.only.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        arguments.error(f"--only: got {', '.join(unknown)}; expected {', '.join(SECTIONS)}")
    if not given.tiny and not torch.cuda.is_available():
        arguments.error("no CUDA device is here; --tiny rehearses on the CPU")
    device = torch.device("cpu" if given.tiny else "cuda")
    file = given.out or _file(device)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as temporary:
        folder = given.folder or Path(temporary)
        for name in names:
            section = Section(
                name, TINY if given.tiny else SDXL, device, torch.bfloat16, file, folder, SECTIONS[name][1],
                backend=given.backend, jobs=given.jobs, steps=given.steps,
            )  # fmt: skip
            if given.alone or (given.tiny and not given.processes):
                SECTIONS[name][0](section)
                section.note("seconds", round(section.seconds - section.left, 1))
            else:
                _apart(section, folder)
    if not given.alone:
        Section("machine", SDXL, device, torch.bfloat16, file, Path(), 0).note("versions", _versions(device))
        print(file)


def _apart(section: Section, folder: Path) -> None:
    """In a process of its own, with the compilers it starts; ended when its budget is spent."""
    command = [sys.executable, "-m", "bench.gpu", "--alone", "--only", section.name, "--out", str(section.file)]
    command += ["--folder", str(folder), "--jobs", str(section.jobs), "--steps", str(section.steps)]
    command += ["--backend", section.backend, *(() if section.true_size else ("--tiny",))]
    started = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        code = started.wait(timeout=section.seconds)
        if code:
            section.note("ended", f"exit code {code}")
    except subprocess.TimeoutExpired:
        section.note("ended", f"its budget of {section.seconds:.0f} s was spent")
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def _file(device: torch.device) -> Path:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu-tiny"
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return ROOT / "bench" / "results" / f"{day}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}.json"


def _versions(device: torch.device) -> dict[str, str]:
    import diffusers
    import transformers

    found = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
        found["memory"] = f"{torch.cuda.get_device_properties(device).total_memory / 2**30:.1f} GiB"
    return found


if __name__ == "__main__":
    main()
