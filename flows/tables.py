"""What the command line prints of a manifest. Plain text, so that it can be piped and read aloud."""

from __future__ import annotations

import shutil

from tasks.submit import Report


def print_report(report: Report) -> None:
    """A line per asset and one for all of them, then what should be known."""
    rows = [("asset", "kind", "size", "images", "exist", "batches", "MB", "GPU time")]
    for row in report.rows:
        exist = "?" if row.made is None else str(row.made)
        megabytes, seconds = f"{row.megabytes:.1f}", duration(row.gpu_seconds, row.guessed)
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
            duration(sum(row.gpu_seconds for row in report.rows), any(row.guessed for row in report.rows)),
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
    print(f"\n{manifest.project}: {report.images} images, priority {manifest.priority}{due}")
    for warning in report.warnings:
        print(warning)
    for note in report.notes:
        print(f"note: {note}")
    for change in report.changes:
        print(f"changes: {change}")


def duration(seconds: float, guessed: bool = False) -> str:
    """ "~1 h 05 min", "12.3 s"; the tilde marks a guess."""
    sign = "~" if guessed else ""
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    if seconds < 3600:
        return f"{sign}{int(seconds // 60)} min {int(seconds % 60):02} s"
    return f"{sign}{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"
