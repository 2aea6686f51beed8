"""The commands that look at models: models, models scan, show, check, digest. model_changes.py has the others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import model_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.model_files import ModelFiles
    from schemas.settings import Settings
    from storage.ledger import Ledger

group = typer.Typer(help="The studio's models: what is there, what fits, what is pinned.", rich_markup_mode=None)

Alias = Annotated[str, typer.Argument(help="as `dailies models` lists it", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON, for other programs")]


@group.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(help="of this kind only: checkpoint, lora, controlnet, ...")] = None,
    as_json: Json = False,
) -> None:
    """List the catalogue: alias, kind, architecture, size, and whether its files are here."""
    if context.invoked_subcommand is not None:
        return
    from tasks.models.listing import list_models

    catalogue, ledger = _opened()
    lines = list_models(catalogue, ledger.pins() if ledger else {}, kind=kind)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], ensure_ascii=False, indent=1))
        return
    rows = [("alias", "kind", "architecture", "size", "state", "digest", "pin")]
    for line in lines:
        pin = "" if not line.pin else "held" if line.pin == line.digest or not line.digest else "OTHER WEIGHTS"
        rows.append(
            (line.alias, line.kind, line.architecture, size_text(line.bytes), line.state, line.digest[:12] or "-", pin)
        )
    print_table(rows)
    gone = sum(line.state != "here" for line in lines)
    print(f"\n{len(lines)} entries" + (f", {gone} of them not on this machine" if gone else ""))


@group.command()
def scan(
    folder: Annotated[Path, typer.Argument(help="of ComfyUI, A1111, InvokeAI, diffusers, or a hub cache")],
    write: Annotated[bool, typer.Option("--write", help="write the catalogue; else only say what it would be")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="add again what you took out of the catalogue")] = False,
    as_json: Json = False,
) -> None:
    """Look at every model below a folder (headers only) and add it to the catalogue. Again later: adds what is new."""
    from flows.__main__ import settings
    from tasks.models.catalogue_file import CatalogueFile
    from tasks.models.home import adopt_catalogue, find_catalogue
    from tasks.models.scan import scan

    given = settings()
    place = find_catalogue(given)
    result = scan(folder, CatalogueFile.open(place, shipped=given.catalogue), restore=restore)
    if write:
        result.file.write()
    if as_json:
        body = {"catalogue": str(place), "written": write, "gone": result.gone}
        print(json.dumps(body | {"found": [found.as_json() for found in result.found]}, ensure_ascii=False, indent=1))
    else:
        _print_scan(result, write=write)
    if write:
        lines = adopt_catalogue(given, place)
        for line in lines if not as_json else ():
            print(line)


@group.command()
def show(alias: Alias, as_json: Json = False) -> None:
    """Everything that is known of one model: its file, where it fits, who uses it, its pin and its last use."""
    from tasks.models.listing import describe_model

    catalogue, ledger = _opened()
    said = describe_model(catalogue, alias, ledger)
    if as_json:
        print(json.dumps(said, ensure_ascii=False, indent=1))
        return
    width = max(map(len, said))
    for name, value in said.items():
        lines = _lines(value if name != "bytes" else size_text(value))
        print(f"{name:{width}}  {lines[0]}")
        for line in lines[1:]:
            print(f"{'':{width}}  {line}")


@group.command()
def check(
    alias: Annotated[str | None, typer.Argument(help="one of them; else all", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="a JSON object a line")] = False,
) -> None:
    """Compare every key and shape with what it is for, and say every problem. Exit code 1 where there is one."""
    from tasks.models.checking import check_models

    catalogue, ledger = _opened()
    count = wrong = 0
    for checked in check_models(catalogue, ledger.pins() if ledger else {}, alias=alias):
        count, wrong = count + 1, wrong + bool(checked.problems)
        if as_json:
            print(json.dumps(asdict(checked), ensure_ascii=False), flush=True)
            continue
        for problem in checked.problems:
            print(f"{checked.alias}: {problem}", flush=True)
        for remark in checked.remarks:
            print(f"{checked.alias}: note: {remark}", flush=True)
    if not as_json:
        print(f"{count} looked at, {wrong} with problems")
    raise typer.Exit(1 if wrong else 0)


@group.command()
def digest(
    quiet: Annotated[bool, typer.Option("--quiet", help="no bar: for the process that a scan starts")] = False,
) -> None:
    """Take the digests that are not known yet, each file once. It can be interrupted, and goes on where it was."""
    from flows.__main__ import settings
    from flows.commands.digest_bar import take_digests

    catalogue, _ = _opened(with_ledger=False)
    raise typer.Exit(take_digests(catalogue, folder=settings().home, quiet=quiet))


def add_to(app: typer.Typer) -> None:
    model_changes.add_to(group)
    app.add_typer(group, name="models")


def size_text(size: int) -> str:
    """ "6.9 GB", "45 MB"; as disks are sold."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.{1 if size < 10 * step else 0}f} {unit}"
    return f"{size} B" if size else "-"


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        if number == 1:
            print("  ".join("-" * width for width in widths))
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _opened(*, with_ledger: bool = True) -> tuple[ModelFiles, Ledger | None]:
    """The catalogue; the ledger where there is one, for a look must not make a database."""
    from engine.model_files import open_model_files
    from flows.__main__ import settings

    given = settings()
    return open_model_files(given), _ledger(given) if with_ledger else None


def _ledger(given: Settings) -> Ledger | None:
    local = given.database.removeprefix("sqlite:///")
    if local != given.database and not Path(local).exists():
        return None
    from storage.database import open_database
    from storage.ledger import Ledger

    return Ledger(open_database(given.database))


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        texts = {name: ", ".join(map(str, v)) if isinstance(v, list) else str(v) for name, v in value.items()}
        return [f"{name}: {text}" for name, text in texts.items() if text] or [""]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _print_scan(result: Any, *, write: bool) -> None:
    counts = {state: len(result.in_state(state)) for state in ("new", "changed", "moved", "returned", "known")}
    new = result.in_state("new", "changed", "moved", "returned")
    if new:
        print_table([("alias", "kind", "made for", "layout", "size", ""), *(_row(found) for found in new)])
        print()
    for found in result.in_state("new", "changed", "moved", "returned", "known"):
        for remark in found.remarks:
            print(f"{found.alias}: {remark}")
    _print_paths("not usable", ((found.place.path, found.refusal) for found in result.in_state("unusable")))
    _print_paths("left out, since you took it out of the catalogue (--restore adds it)",
                 ((found.place.path, "") for found in result.in_state("left out")))  # fmt: skip
    for alias in result.gone:
        print(f"{alias}: its file is gone; the entry stays, marked `gone`")
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing"
    unusable = len(result.in_state("unusable"))
    print(f"{len(result.found)} files and folders: {said}, {unusable} not usable, {len(result.gone)} gone")
    print(f"{result.file.path}: {'written' if write else 'not written; --write writes it'}")


def _print_paths(title: str, rows: Iterable[tuple[Path, str]]) -> None:
    for path, why in rows:
        print(f"{title}: {path}{f': {why}' if why else ''}")


def _row(found: Any) -> tuple[str, ...]:
    identity = found.identity
    marks = [identity.prediction_type if identity.prediction_type != "epsilon" else "", "zero SNR" * identity.zero_snr]
    marks += ["inpainting" if identity.in_channels == 9 else "", *(f"rank {rank}" for rank in identity.rank[:2])]
    kind = found.state if found.state != "new" else ""
    rest = ", ".join(filter(None, [kind, *marks, *identity.trigger_words[:2]]))
    return (found.alias, identity.kind, identity.architecture, identity.layout, size_text(identity.size), rest)
