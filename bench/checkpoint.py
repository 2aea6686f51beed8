"""Does studio-tiny do what its words, controls and sliders say? Each line is one question and one number.

    python -m bench.checkpoint                     about 200 pictures a line
    python -m bench.checkpoint --images 48 --only "right colour,draft"

Prompts and seeds were not used in training. On a CPU with AMX the networks compute in bf16 autocast. Objects are named
by models/studio_tiny/judge.py, fingers counted by models/studio_tiny/fingers.py, words read by the OCR of checks/; what
each makes of drawn pictures is printed beside its verdicts.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench.questions import Bench, Line

FOLDER = Path("models/studio-tiny")

QUESTIONS: dict[str, Callable[[Bench], list[Line]]] = {
    "colour": Bench.colour,
    "objects": Bench.objects,
    "control": Bench.control,
    "negative": Bench.negative,
    "strength": Bench.strength,
    "inpaint": Bench.inpaint,
    "tiles": Bench.tiles,
    "draft": Bench.draft,
    "hands": Bench.hands,
    "words": Bench.words,
    "blank": Bench.blank,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--images", type=int, default=204, help="pictures a line")
    parser.add_argument("--steps", type=int, default=20, help="num_inference_steps, but for the draft tier")
    parser.add_argument("--only", default=",".join(QUESTIONS), help=f"some of {','.join(QUESTIONS)}")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    bench, lines = Bench(args.folder, args.images, steps=args.steps), []
    print(f"{'question':34}{'value':>7}  {'aim':10}{'':6}beside", flush=True)
    for name in args.only.split(","):
        began = time.monotonic()
        for line in QUESTIONS[name](bench):
            verdict = {None: "", True: "yes", False: "no"}[line.met]
            took = f"  [{time.monotonic() - began:.0f} s]"
            print(f"{line.question:34}{line.value:7.2f}  {line.aim:10}{verdict:6}{line.beside}{took}", flush=True)
            lines.append({**asdict(line), "met": line.met, "images": args.images, "steps": args.steps})
    if args.json:
        args.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
