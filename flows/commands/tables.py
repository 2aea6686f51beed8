"""What the command line prints of a manifest. Plain text, so that it can be piped and read aloud."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas.names import count_noun

if TYPE_CHECKING:  # they import SQLAlchemy, which a broken manifest does not need
    from tasks.planning.difference import Difference
    from tasks.planning.show import Tokens
    from tasks.planning.submit import Report


def print_json(value: Any) -> None:
    """One JSON value on one line; dates and times as ISO 8601."""
    print(json.dumps(value, default=str, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, Any]], *, lines: bool, empty: str) -> None:
    """A table under the rows' names, numbers to the right; `lines`: a JSON object a line. `empty`: for no row."""
    if lines:
        for row in rows:
            print_json(row)
        return
    if not rows:
        print(empty)
        return
    cells = [[str(name) for name in rows[0]]]
    cells += [["" if value is None else str(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    columns = zip(*(row.values() for row in rows), strict=True)
    right = [all(isinstance(value, int | None) for value in column) for column in columns]
    for number, line in enumerate(cells):
        if number == 1:
            print("  ".join("-" * width for width in widths))
        parts = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(parts).rstrip())


def count_nouns(many: int, noun: str) -> str:
    """ "1 image", "12 images"."""
    return f"{many} {noun}{'s' * (many != 1)}"


def print_report(report: Report) -> None:
    """A line per asset and one for all of them, then what should be known."""
    rows = [("asset", "kind", "size", "images", "exist", "batches", "MB", "GPU time")]
    for row in report.rows:
        exist = "?" if row.made is None else str(row.made)
        megabytes, seconds = f"{row.megabytes:.1f}", format_duration(row.gpu_seconds, row.guessed)
        size = row.sizes[0] if len(row.sizes) == 1 else f"{len(row.sizes)} sizes"
        rows.append((row.asset, row.kind, size, str(row.images), exist, str(row.batches), megabytes, seconds))
    known = all(row.made is not None for row in report.rows)
    rows.append(
        (
            "all",
            "",
            "",
            str(report.images),
            str(sum(row.made or 0 for row in report.rows)) if known else "?",
            str(sum(row.batches for row in report.rows)),
            f"{sum(row.megabytes for row in report.rows):.1f}",
            format_duration(sum(row.gpu_seconds for row in report.rows), any(row.guessed for row in report.rows)),
        )
    )
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    widths[0] = min(widths[0], max(12, shutil.get_terminal_size((100, 25)).columns - sum(widths[1:]) - 16))
    for number, line in enumerate(rows):
        if number in (1, len(rows) - 1):
            print("  ".join("-" * width for width in widths))
        name = line[0] if len(line[0]) <= widths[0] else line[0][: widths[0] - 1] + "…"
        left = [name.ljust(widths[0]), line[1].ljust(widths[1]), line[2].ljust(widths[2])]
        right = [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
        print("  ".join([*left, *right]).rstrip())
    manifest = report.manifest
    due = f", due {manifest.due}" if manifest.due else ""
    print(f"\n{manifest.project}: {count_noun(report.images, 'image')}, priority {manifest.priority}{due}")
    guessed = any(row.guessed for row in report.rows)
    print(f"cost: {format_money(report, report.gpu_seconds, guessed)} at {report.price:g} {report.currency} a GPU-hour")
    for warning in report.warnings:
        print(warning)
    for note in report.notes:
        print(f"note: {note}")
    for change in report.changes:
        print(f"changes: {change}")


def print_shown(report: Report) -> None:
    """Each asset: its first image's prompt, its settings and where each comes from."""
    for shown in report.shown:
        exist = "" if shown.exist is None else f" ({shown.exist} exist)"
        time, cost = (
            format_duration(shown.gpu_seconds, shown.guessed),
            format_money(report, shown.gpu_seconds, shown.guessed),
        )
        print(f"\n{shown.asset}: {shown.kind}, {count_noun(shown.images, 'image')}{exist}, {time}, {cost}")
        lines = [("first file", shown.file_name, "")]
        for name, text in (("prompt", shown.prompt), ("negative_prompt", shown.negative_prompt)):
            if text:
                lines.append((name, text, ""))
                if name == "negative_prompt" and not shown.reads_negative:
                    lines.append(("", "not read: there is no guidance", ""))
                elif name == "prompt" and shown.weights:
                    lines.append(("", ", ".join(f"{words!r} counts {weight:g}" for words, weight in shown.weights), ""))
            lines += [("", _tokens(one), "") for one in shown.tokens if one.text.removesuffix("_2") == name and text]
        for setting in shown.settings:
            name = f"{setting.name} ({setting.tier})" if setting.tier else setting.name
            in_manifest = setting.origin not in ("catalogue", "few-step weights")
            where = setting.where if in_manifest and setting.where else f"{setting.origin} {setting.where}"
            lines.append((name, setting.value, where))
        wide = max(len(name) for name, _, _ in lines)
        deep = min(40, max((len(value) for _, value, where in lines if where), default=0))
        for name, value, where in lines:
            print(f"  {name:{wide}}  {value:{deep}}  {where}".rstrip())


def _tokens(tokens: Tokens) -> str:
    second = " in the second encoder" if tokens.text.endswith("_2") else ""
    said = f"{tokens.count} token{'s' * (tokens.count != 1)}{second}"
    if tokens.over:
        said += f", {tokens.over} over one window of 77 (75 and two marks)"
    return said + (f": encoded in {tokens.windows} windows, nothing is cut off" if tokens.windows > 1 else "")


def format_money(report: Report, gpu_seconds: float, guessed: bool = False) -> str:
    """ "~0.02 USD"; less than a hundredth is said as such."""
    amount = report.money(gpu_seconds)
    if 0 < amount < 0.01:
        return f"under 0.01 {report.currency}"
    return f"{'~' if guessed else ''}{amount:.2f} {report.currency}"


def print_difference(difference: Difference) -> None:
    """Asset by asset, without those in which nothing differs."""
    names = ("same", "new", "changed", "dropped")
    totals = ", ".join(f"{difference.count(name)} {_DIFFERS[name]}" for name in names if difference.count(name))
    renamed = sum(len(asset.renamed) for asset in difference.assets)
    print(f"{difference.old} -> {difference.new}: {totals or 'no image'}" + (f", {renamed} renamed" * bool(renamed)))
    for asset in difference.assets:
        if not (asset.new or asset.changed or asset.dropped or asset.renamed or asset.terms):
            continue
        counts = ", ".join(f"{getattr(asset, name)} {_DIFFERS[name]}" for name in names if getattr(asset, name))
        print(f"\n{asset.asset}: {counts}")
        if asset.formerly:
            print(f"  as {asset.formerly} was; the asset's name is part of what fixes an image, so all are made anew")
        for change in asset.changes:
            print(f"  {change.field}: {change.old} -> {change.new} ({change.images})")
        names_changed = Counter(asset.renamed)
        for (old, new), count in names_changed.most_common(3):
            print(f"  renamed: {old} -> {new} ({count})")
        if len(names_changed) > 3:
            print(f"  renamed: and {len(names_changed) - 3} more")
        for sentence in asset.terms:
            print(f"  {sentence}")


_DIFFERS = {"same": "the same", "new": "new", "changed": "made again", "dropped": "dropped"}


def format_duration(seconds: float, guessed: bool = False) -> str:
    """ "~1 h 05 min", "12.3 s"; the tilde marks a guess."""
    sign = "~" if guessed else ""
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    if seconds < 3600:
        return f"{sign}{int(seconds // 60)} min {int(seconds % 60):02} s"
    return f"{sign}{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"
