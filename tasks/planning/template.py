"""A sheet to start from: a table with example rows, and the small manifest that names it.

An .xlsx has a second sheet that explains every column. Opens nothing but the files that it writes.
"""

from __future__ import annotations

import csv
import io
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.errors import InputError
from schemas.manifest import ASSET_KINDS, Control, Reference

ROWS = (
    ("name", "prompt", "values.colour", "seeds", "negative_prompt", "size", "tier", "note"),
    ("Potion", "a $colour potion", "red | blue", 2, "", "", "", "one image for each colour and seed"),
    ("Crown", "a yellow crown", "", 3, "", "", "draft | final", "drafts beside finals"),
    ("Sword", "a gray sword", "", 2, "blurry", "", "", ""),
)
"""A header and three assets that `dailies check` finds sound with the small model."""
MANIFEST = """\
# yaml-language-server: $schema={schema}
# What all rows share; {table} has one asset a row. `dailies check {manifest}` says what it makes and what is wrong.
project: My Project
model: studio-tiny
styles:
  icon: {{prompt: "$prompt, flat style, on a white background"}}
defaults: {{size: 128, style: icon}}
delivery: {{name: "{{tier}}/T_{{Asset}}_{{Variant}}.png"}}
assets: {table}
"""
UNFIT = ("exclude", "zip", "scheduler_options", "params")
"""Fields that a cell cannot hold, or that need the manifest."""


@dataclass(frozen=True)
class Column:
    """One column that a sheet may have."""

    header: str
    kinds: str
    """Of assets that have it; empty: all."""
    meaning: str
    example: str
    words: tuple[str, ...] = ()
    """The only words that are allowed, where that is so."""


def write_template(path: Path, *, schema: str) -> list[Path]:
    """Writes the table (.csv or .xlsx) and the manifest beside it; returns both. Raises InputError for another ending
    and where one of them exists."""
    if path.suffix not in (".csv", ".xlsx"):
        raise InputError(f"--out: got {str(path)!r}; expected a file that ends in .csv or .xlsx")
    manifest = path.with_suffix(".yaml")
    for file in (path, manifest):
        if file.exists():
            raise InputError(f"--out: {file} exists; expected a new name, such as --out more{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_csv() if path.suffix == ".csv" else make_workbook())
    text = MANIFEST.format(schema=schema, table=path.name, manifest=manifest.name)
    manifest.write_text(text, encoding="utf-8")
    return [path, manifest]


def make_csv() -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(ROWS)
    return text.getvalue().encode("utf-8-sig")  # with the mark, a spreadsheet reads it as UTF-8


def make_workbook() -> bytes:
    """Sheets `assets` and `columns`. Cells of `assets` are text, so that 01 stays 01."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    bold, grey = Font(bold=True), PatternFill("solid", fgColor="E8EBF0")
    sheets = (
        (book.active, "assets", ROWS, (22, 44, 18, 8, 24, 10, 14, 36)),
        (
            book.create_sheet(),
            "columns",
            (
                ("column", "for", "what it means", "example", "only these words"),
                *((c.header, c.kinds or "all", c.meaning, c.example, ", ".join(c.words)) for c in list_columns()),
            ),
            (34, 18, 80, 34, 34),
        ),
    )
    for sheet, title, rows, widths in sheets:
        sheet.title = title
        for row in rows:
            sheet.append(row)
        for cell in sheet[1]:
            cell.font, cell.fill = bold, grey
        sheet.freeze_panes = "A2"
        for column, width in zip(sheet.columns, widths, strict=True):
            sheet.column_dimensions[column[0].column_letter].width = width
            for cell in column[1:]:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
    assets = book.worksheets[0]
    for column in assets.iter_cols(min_row=2, max_row=500):
        if column[0].column not in (4,):
            for cell in column:
                cell.number_format = "@"
    tier = DataValidation("list", formula1='"draft,final,draft | final"', allow_blank=True)
    assets.add_data_validation(tier)
    tier.add("G2:G500")
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def list_columns() -> Iterator[Column]:
    """Every column that a sheet may have, in the order of the manifest's fields."""
    done: set[str] = set()
    for model in ASSET_KINDS.values():
        for name, field in model.model_fields.items():
            if name in done or name in UNFIT:
                continue
            done.add(name)
            if name == "kind":
                yield Column(
                    "kind",
                    "",
                    "how it is made; render, from text, where the cell is empty",
                    "texture",
                    tuple(ASSET_KINDS),
                )
                continue
            having = [kind for kind, one in ASSET_KINDS.items() if name in one.model_fields]
            kinds = "" if len(having) == len(ASSET_KINDS) else ", ".join(having)
            yield from _columns(name, field, kinds)


def _columns(name: str, field: FieldInfo, kinds: str) -> Iterator[Column]:
    if name in ("values", "loras"):
        part = "NAME" if name == "values" else "ALIAS"
        example = "values.colour: red | blue" if name == "values" else "loras.studio-tiny/style: 0.8"
        yield Column(f"{name}.{part}", kinds, _meaning(field), example)
    elif name in ("controls", "references"):
        for part, inner in (Control if name == "controls" else Reference).model_fields.items():
            if part not in UNFIT:
                yield _column(f"{name}.0.{part}", inner, kinds)
    elif (section := _section(field.annotation)) is not None:
        if name == "background":
            yield _column(name, field, kinds)
        for part, inner in section.model_fields.items():
            if _section(inner.annotation) is None and part not in UNFIT:
                yield _column(f"{name}.{part}", inner, kinds)
    else:
        yield _column(name, field, kinds)


def _column(header: str, field: FieldInfo, kinds: str) -> Column:
    example = field.examples[0] if field.examples else ""
    example = " | ".join(map(str, example)) if isinstance(example, list) else str(example)
    return Column(header, kinds, _meaning(field), example, tuple(_words(field.annotation)))


def _meaning(field: FieldInfo) -> str:
    return field.description or ""


def _section(annotation: Any) -> type[BaseModel] | None:
    """The mapping that a field holds, where it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)
    return None


def _words(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Annotated:
        yield from _words(get_args(annotation)[0])
    elif get_origin(annotation) is Literal:
        yield from (str(word) for word in get_args(annotation))
    elif get_origin(annotation) in (Union, types.UnionType, tuple):
        for part in get_args(annotation):
            yield from _words(part)
