"""The grid to make before a setting is trusted: the same prompts and seeds under every combination of some fields.

One contact sheet with labels, and a curve of difference and seconds: to the longest run against steps, from which the
point of saturation on this checkpoint and this device is read, or to the exact run against an approximation. Keeps
nothing in the ledger.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import TypeAdapter, ValidationError

from engine.model_files import ModelFiles
from schemas.errors import InputError
from schemas.fewstep import FewStep
from schemas.fields import Size, count_pixels
from schemas.manifest import Manifest, RenderAsset
from schemas.resolved import FEW_STEP_FIELDS, Resolved
from schemas.schedulers import SchedulerError, resolve_scheduler
from schemas.spec import Approximation, ImageSpec, LoraRef, ModelRef, Tier

if TYPE_CHECKING:
    from engine.diffuse import Engine
    from engine.rendered import Rendered

STEPS = "num_inference_steps"
FIELDS = (
    "scheduler", STEPS, "guidance_scale", "guidance_rescale", "guidance_start", "guidance_end", "clip_skip",
    "negative_prompt", "cache_interval", "cache_branch_id", "tgate_after",
)  # fmt: skip
APPROXIMATIONS = tuple(Approximation.model_fields)
MOST = {STEPS: 500, "clip_skip": 12}
SIZE: TypeAdapter[str] = TypeAdapter(Size)
SETTLED = 4.0
"""Levels of 255, root mean square: a run nearer than this to the longest one is called settled."""
COLOURS = ("#1d3557", "#d62828", "#2a9d8f", "#f4a261", "#7b2cbf", "#6c757d")

Point = tuple[float, float, float]
"""Value of the field along which the curve goes, seconds an image, difference to the longest or the exact run."""


@dataclass(frozen=True)
class Cell:
    """One picture of the grid: which combination, prompt and seed."""

    at: Mapping[str, Any]
    prompt: str
    seed: int
    spec: ImageSpec


def parse_field(vary: Sequence[str]) -> dict[str, list[Any]]:
    """`scheduler=Euler,UniPC` -> axis. Raises InputError naming what may vary."""
    axes: dict[str, list[Any]] = {}
    for text in vary:
        name, _, values = text.partition("=")
        if name not in FIELDS or not values:
            raise InputError(f"--vary: got {text!r}; expected FIELD=value,value with one of {', '.join(FIELDS)}")
        axes[name] = [_value(name, value.strip()) for value in values.split(",")]
    return axes


def find_tier(name: str) -> Tier:
    try:
        return Tier(name)
    except ValueError:
        raise InputError(f"--tier: got {name!r}; expected one of {', '.join(Tier)}") from None


def make_base(
    catalogue: ModelFiles, model: str, *, size: str | None, tier: Tier
) -> tuple[dict[str, Any], FewStep | None]:
    """What a manifest that says nothing gets from this model at this tier, as an ImageSpec's fields; and the few-step
    weights among its own, if any."""
    catalogue.entry(model, asker="sweep", kind="checkpoint")
    asset = RenderAsset(name="sweep", prompt="sweep")
    resolved, facts = Resolved(Manifest(project="sweep", model=model, assets=(asset,)), asset, tier), catalogue.facts
    at = {"model": model}
    worn = resolved.loras(at, facts)
    wanted = size or resolved.setting("size", at, facts).value
    try:
        width, height = count_pixels(
            SIZE.validate_python(int(wanted) if re.fullmatch(r"[0-9]{1,5}", wanted) else wanted)
        )
    except ValidationError as wrong:
        raise InputError(f"--size: {wrong.errors()[0]['msg']}") from None
    fields: dict[str, Any] = {"project": "sweep", "tier": tier, "width": width, "height": height}
    fields |= {name: resolved.setting(name, at, facts).value for name in FEW_STEP_FIELDS}
    fields["model"] = ModelRef(alias=model, digest=catalogue.digest(model, asker="sweep"))
    fields["loras"] = tuple(
        LoraRef(alias=alias, digest=catalogue.digest(alias, asker="sweep"), weight=weight)
        for alias, weight in sorted(worn.items())
        if weight
    )
    return fields, resolved.few(model, worn, facts)


def make_grid(
    base: Mapping[str, Any],
    axes: Mapping[str, Sequence[Any]],
    *,
    prompts: Sequence[str],
    seeds: Sequence[int],
    few: FewStep | None = None,
) -> list[Cell]:
    """Every combination with every prompt and seed; `base` has an ImageSpec's other fields. Pure.

    Few-step weights get the options that they need on each scheduler, but steps and guidance beyond what they were
    distilled for are made as asked: to see what becomes of them is what a sweep is for.
    """
    cells = []
    for values in itertools.product(*axes.values()):
        at = dict(zip(axes, values, strict=True))
        fields = {**base, **{name: value for name, value in at.items() if name not in APPROXIMATIONS}}
        needed = few.completed(fields["scheduler"], {}) if few is not None else {}
        fields["scheduler"], fields["scheduler_options"] = resolve_scheduler(fields["scheduler"], needed)
        for prompt, seed in itertools.product(prompts, seeds):
            try:
                asked = Approximation(**{name: value for name, value in at.items() if name in APPROXIMATIONS})
                fields["approximation"] = None if asked.is_exact else asked
                spec = ImageSpec(asset="sweep", variant="", prompt=prompt, seed=seed, **fields)
            except ValidationError as wrong:
                error = wrong.errors()[0]
                named = ".".join(map(str, error["loc"])) or "sweep"
                raise InputError(f"--{named}: got {error['input']!r}; {error['msg']}") from None
            cells.append(Cell(at, prompt, seed, spec))
    return cells


def make_cells(engine: Engine, cells: Sequence[Cell], *, batch_size: int, told: Any = None) -> list[Rendered]:
    """The pictures, in the cells' order. Cells of one batch key share forward passes."""
    together: dict[str, list[int]] = defaultdict(list)
    for number, cell in enumerate(cells):
        together[cell.spec.batch_key].append(number)
    made: dict[int, Rendered] = {}
    for numbers in together.values():
        for start in range(0, len(numbers), batch_size):
            some = numbers[start : start + batch_size]
            made |= dict(zip(some, engine.render([cells[number].spec for number in some]), strict=True))
            if told is not None:
                told(len(made), len(cells))
    return [made[number] for number in range(len(cells))]


def find_curve_field(cells: Sequence[Cell]) -> str:
    """Along which the curve goes: an approximation that varies, else the steps; empty where neither does."""
    varied = {name for cell in cells for name in cell.at}
    return next((name for name in (*APPROXIMATIONS, STEPS) if name in varied), "")


def compute_curves(cells: Sequence[Cell], made: Sequence[Rendered]) -> dict[str, list[Point]]:
    """Label of a combination (the curve's field left out) -> points by its values; empty where there is no such field.

    Each run is compared with the longest of its kind, or with the one of its kind that is approximated least.
    """
    field = find_curve_field(cells)
    if not field:
        return {}
    shared = APPROXIMATIONS if field in APPROXIMATIONS else (STEPS,)
    runs = [(cell, row) for cell, row in zip(cells, made, strict=True) if row.pixels is not None]
    references: dict[tuple[str, str, int], Any] = {}
    for cell, row in sorted(runs, key=lambda run: _rank(run[0].at)):
        references.setdefault((make_label(cell.at, without=shared), cell.prompt, cell.seed), row.pixels)
    gathered: dict[str, dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for cell, row in runs:
        assert row.pixels is not None
        reference = references[make_label(cell.at, without=shared), cell.prompt, cell.seed]
        away = math.sqrt(float(np.mean((row.pixels.astype(float) - reference) ** 2)))
        gathered[make_label(cell.at, without=(field,))][cell.at[field]].append((sum(row.timings.values()), away))
    lines: dict[str, list[Point]] = {}
    for name, by_value in gathered.items():
        means = [(value, np.mean(pairs, axis=0)) for value, pairs in sorted(by_value.items())]
        lines[name] = [(value, float(mean[0]), float(mean[1])) for value, mean in means]
    return lines


def _rank(at: Mapping[str, Any]) -> tuple[float, ...]:
    """The less approximated first, then the longer."""
    return at.get("cache_interval", 1), -at.get("tgate_after", 1.0), -at.get("cache_branch_id", 0), -at.get(STEPS, 0)


def find_settled_steps(points: Sequence[Point]) -> float:
    """The fewest steps from which on every run is within SETTLED of the longest."""
    return next(steps for n, (steps, _, _) in enumerate(points) if all(away <= SETTLED for _, _, away in points[n:]))


def make_summary(cells: Sequence[Cell], made: Sequence[Rendered]) -> str:
    """A line per point, and per combination the steps from which on it is settled; failures with their reasons."""
    reasons = Counter(str(row.error) for row in made if row.error is not None)
    lines = [f"{len(made)} pictures, {reasons.total()} failed"]
    lines += [f"  {count} failed: {reason}" for reason, count in reasons.most_common()]
    field = find_curve_field(cells)
    for name, points in compute_curves(cells, made).items():
        most = points[-1][0]
        if field in APPROXIMATIONS:
            lines.append(f"\n{name}, by {field}: levels away from the least approximated run")
        elif find_settled_steps(points) == most:
            lines.append(f"\n{name}: not settled at {most} steps, the most that were tried; try more")
        else:
            lines.append(
                f"\n{name}: settled from {find_settled_steps(points)} steps on"
                f" (within {SETTLED:g} levels of {most} steps)"
            )
        unit = "" if field in APPROXIMATIONS else " steps"
        lines += [f"  {at:4}{unit} {seconds:8.2f} s an image {away:7.2f} levels away" for at, seconds, away in points]
    return "\n".join(lines)


def make_label(at: Mapping[str, Any], *, without: Collection[str] = ()) -> str:
    return ", ".join(_word(name, value) for name, value in at.items() if name not in without) or "all"


def make_sheet(cells: Sequence[Cell], made: Sequence[Rendered], *, side: int = 256) -> Image.Image:
    """Columns are the values of the curve, or of what varies last; a row is one combination, prompt and seed."""
    across = find_curve_field(cells) or (list(cells[0].at) or [""])[-1]
    columns = list(dict.fromkeys(cell.at.get(across) for cell in cells))
    rows = list(dict.fromkeys((make_label(cell.at, without=(across,)), cell.prompt, cell.seed) for cell in cells))
    font, margin, left = ImageFont.load_default(13), 22, 200
    width, height = cells[0].spec.width, cells[0].spec.height
    wide, tall = (side, side * height // width) if width >= height else (side * width // height, side)
    page = Image.new("RGB", (left + len(columns) * (wide + 4), margin + len(rows) * (tall + 4)), "white")
    draw = ImageDraw.Draw(page)
    for number, value in enumerate(columns):
        draw.text((left + number * (wide + 4), 4), _word(across, value), "black", font)
    for number, (name, prompt, seed) in enumerate(rows):
        lines = [*_wrapped(name, 26), *_wrapped(prompt, 26)[:4], f"seed {seed}"]
        draw.multiline_text((4, margin + number * (tall + 4)), "\n".join(lines), "black", font)
    for cell, row in zip(cells, made, strict=True):
        x = left + columns.index(cell.at.get(across)) * (wide + 4)
        y = margin + rows.index((make_label(cell.at, without=(across,)), cell.prompt, cell.seed)) * (tall + 4)
        if row.pixels is None:
            draw.multiline_text((x + 4, y + 4), "\n".join(_wrapped(str(row.error), wide // 8)), "#d62828", font)
        else:
            page.paste(Image.fromarray(row.pixels).resize((wide, tall), Image.Resampling.LANCZOS), (x, y))
    return page


def make_chart(
    lines: Mapping[str, Sequence[Point]], *, by: int, field: str = STEPS, size: tuple[int, int] = (720, 440)
) -> Image.Image:
    """Difference to the longest or the exact run against the curve's field (`by` 0) or seconds an image (`by` 1)."""
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    x0, y0, x1, y1 = 60, 30, size[0] - 20, size[1] - 50
    most_x = max((point[by] for points in lines.values() for point in points), default=1.0) or 1.0
    most_y = max((point[2] for points in lines.values() for point in points), default=1.0) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return x0 + (x1 - x0) * x / most_x, y1 - (y1 - y0) * y / most_y

    draw.line([(x0, y0), (x0, y1), (x1, y1)], "black")
    named, run = ("steps", "longest") if field == STEPS else (field, "least approximated")
    draw.text((x0, 6), f"difference to the {run} run, levels of 255 (root mean square)", "black", font)
    draw.text((x1 - 150, y1 + 26), (named, "seconds an image")[by], "black", font)
    for part in range(5):
        value_x, value_y = most_x * part / 4, most_y * part / 4
        draw.text((place(value_x, 0)[0] - 8, y1 + 6), f"{value_x:.3g}", "black", font)
        draw.text((10, place(0, value_y)[1] - 7), f"{value_y:.3g}", "black", font)
    draw.line([place(0, SETTLED), place(most_x, SETTLED)], "#bbbbbb")
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(point[by], point[2]) for point in points]
        draw.line(places, colour, 2)
        for x, y in places:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        draw.text((x1 - 300, y0 + 16 * number), name, colour, font)
    return page


def write_sweep(folder: Path, cells: Sequence[Cell], made: Sequence[Rendered]) -> list[Path]:
    """sheet.png, pictures.csv, and where there is a curve curve.csv, seconds.png and its field as .png."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, field = compute_curves(cells, made), find_curve_field(cells)
    named = "steps" if field == STEPS else field
    make_sheet(cells, made).save(folder / "sheet.png")
    with (folder / "pictures.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["combination", "prompt", "seed", "seconds", "error"])
        for cell, row in zip(cells, made, strict=True):
            seconds = f"{sum(row.timings.values()):.4f}"
            table.writerow([make_label(cell.at), cell.prompt, cell.seed, seconds, row.error or ""])
    paths = [folder / "sheet.png", folder / "pictures.csv"]
    if lines:
        with (folder / "curve.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["combination", named, "seconds", "difference"])
            for name, points in lines.items():
                table.writerows([name, value, f"{seconds:.4f}", f"{away:.3f}"] for value, seconds, away in points)
        make_chart(lines, by=0, field=field).save(folder / f"{named}.png")
        make_chart(lines, by=1, field=field).save(folder / "seconds.png")
        paths += [folder / "curve.csv", folder / f"{named}.png", folder / "seconds.png"]
    return paths


def _value(name: str, text: str) -> Any:
    try:
        if name in ("cache_interval", "cache_branch_id"):
            return int(text)
        if name in (STEPS, "clip_skip"):
            number = int(text)
            if not 1 <= number <= MOST[name]:
                raise ValueError(f"expected 1 to {MOST[name]}")
            return number
        if name in ("scheduler", "negative_prompt"):
            if name == "scheduler":
                resolve_scheduler(text)
            return text
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("expected a finite number")
        return value
    except SchedulerError as wrong:
        raise InputError(f"--vary {name}: got {text!r}; expected {wrong.allowed}") from None
    except ValueError as wrong:
        raise InputError(f"--vary {name}: got {text!r}; {wrong}") from None


def _word(name: str, value: Any) -> str:
    short = {"scheduler": "", STEPS: "steps ", "guidance_scale": "guidance "}
    return f"{short.get(name, name + ' ')}{value}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(8, width)) or [""]
