"""The commands of whoever orders images: template, check, diff, preview, submit, plan, import.

As in flows/__main__.py, each imports what it needs in its own body.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ManifestError

JsonOption = Annotated[bool, typer.Option("--json", help="the same as JSON, for programs")]
ManifestPath = Annotated[Path, typer.Argument(help="a manifest: YAML or JSON", metavar="MANIFEST", show_default=False)]


def check(
    manifest: ManifestPath,
    strict: Annotated[bool, typer.Option("--strict", help="warnings are errors")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="each asset's prompt, tokens, settings and where each comes from, file name")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a manifest would make and cost, or everything that is wrong with it, line by line."""
    from flows.__main__ import settings
    from flows.commands.tables import print_json, print_report, print_shown
    from tasks.planning.submit import check_manifest

    try:
        report = check_manifest(manifest, settings(), strict=strict, show=show)
    except ManifestError as wrong:
        if not as_json:
            raise
        print_json({"problems": [problem.as_json() for problem in wrong.problems]})
        raise typer.Exit(wrong.exit_code) from None
    if as_json:
        print_json(report.as_json())
        return
    print_report(report)
    print_shown(report)


def diff(
    old: Annotated[str, typer.Argument(help="a manifest, or a submission's digest", metavar="OLD", show_default=False)],
    new: Annotated[str, typer.Argument(help="the same", metavar="NEW", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Say what a change to a manifest makes new, makes again, drops and renames."""
    from engine.model_files import open_model_files
    from flows.__main__ import settings
    from flows.commands.tables import count_nouns, format_duration, print_difference, print_json
    from tasks.planning.difference import compare_orders, find_order
    from tasks.planning.estimate import make_table
    from tasks.planning.submit import open_history

    given = settings()
    catalogue = open_model_files(given)
    ledger, _ = open_history(given)
    pins = ledger.pins() if ledger else {}
    orders = [find_order(text, given, catalogue) for text in (old, new)]
    difference = compare_orders(*orders, catalogue=catalogue, pins=pins, ending=given.image_format)
    if as_json:
        print_json(difference.as_json())
        return
    print_difference(difference)
    made = ledger.made(spec.digest for spec in difference.to_make) if ledger else set()
    pace = ledger.pace() if ledger else {}
    rows = make_table(difference.to_make, pace=pace, made=made, batch_size=given.batch_size)
    seconds = sum(row.gpu_seconds for row in rows)
    if rows:
        price = f"{given.gpu_hour_price * seconds / 3600:.2f} {given.currency}"
        images = count_nouns(len(difference.to_make) - len(made), "image")
        print(f"\nto make: {images}, {format_duration(seconds, any(row.guessed for row in rows))}, {price}")
    waiting = ledger.claimable(spec.digest for spec in difference.dropped) if ledger else set()
    if waiting:
        print(
            f"note: NEW drops {count_nouns(len(waiting), 'image')} that an earlier submission still asks for; "
            "`dailies cancel` takes that one back"
        )


def preview(
    manifest: ManifestPath,
    assets: Annotated[list[str] | None, typer.Argument(help="only these", metavar="[ASSET]...")] = None,
    out: Annotated[Path, typer.Option(help="the contact sheet: .png or .pdf")] = Path("preview.png"),
) -> None:
    """Make one draft of each asset now, on this machine, into a contact sheet; nothing is kept in the ledger."""
    import time

    from engine.model_files import open_model_files
    from flows.__main__ import settings
    from flows.commands.tables import count_nouns
    from tasks.contact_sheet import check_ending, write_sheet
    from tasks.planning.preview import make_drafts, make_tiles, plan_drafts
    from tasks.planning.submit import open_history, read_sound_manifest

    began = time.monotonic()
    check_ending(out)
    given = settings()
    catalogue = open_model_files(given)
    looked, sound = read_sound_manifest(manifest, given, catalogue)
    ledger, _ = open_history(given)
    pins = ledger.pins() if ledger else {}
    planned = plan_drafts(sound, looked, catalogue, pins=pins, names=assets or ())

    from engine.diffuse import Engine
    from engine.runtime_options import RuntimeOptions

    engine = Engine(catalogue, device=given.device, dtype=given.dtype, pins=pins, levers=RuntimeOptions.of(given))
    drafts = make_drafts(
        engine, planned, looked, given, told=lambda done, all_: print(f"{done} of {all_}", file=sys.stderr)
    )
    for file in write_sheet(out, [make_tiles(drafts)], title=f"{sound.project}: {manifest.name}", side=320):
        print(file)
    failed = [draft for draft in drafts if draft.made.error is not None]
    for draft in failed:
        print(f"{draft.spec.asset}: {draft.made.error}", file=sys.stderr)
    print(f"{count_nouns(len(drafts) - len(failed), 'draft')} in {time.monotonic() - began:.1f} s")
    raise typer.Exit(int(bool(failed)))


def submit(
    manifest: ManifestPath,
    submitted_by: Annotated[str, typer.Option("--by", help="who submits; else the manifest's asked_by")] = "",
) -> None:
    """Freeze a manifest and its pictures, to be made in the next night."""
    from flows.__main__ import settings
    from tasks.parts import open_parts
    from tasks.planning.submit import submit_manifest

    parts = open_parts(settings())
    submission, new = submit_manifest(
        manifest,
        settings=parts.settings,
        catalogue=parts.catalogue,
        ledger=parts.ledger,
        store=parts.store,
        submitted_by=submitted_by,
        told=print,
    )
    short = submission.digest[:12]
    if new:
        print(f"submitted {submission.name} for {submission.project} as {short}")
    else:
        print(f"{submission.name} was submitted before, as {short}; nothing is made twice")
    for path, file in submission.files.items():
        for remark in file.get("remarks", ()):
            print(f"note: {path.removeprefix('mask:').removeprefix('import:')}: {remark}")


def plan() -> None:
    """Plan now what was submitted, as the night would; it can be done again without effect."""
    from flows.__main__ import settings
    from tasks.parts import open_parts
    from tasks.planning.renew import renew
    from tasks.planning.submit import plan_submission

    parts = open_parts(settings())
    waiting = parts.ledger.unplanned()
    for submission in waiting:
        counted = plan_submission(parts.ledger, parts.catalogue, submission.digest)
        print(f"{submission.name} ({submission.project}): {counted.new} new, {counted.existing} planned before")
    if not waiting:
        print("nothing to plan")
    if (renewed := renew(parts)).images:
        print(renewed)
    for problem in renewed.problems:
        print(problem, file=sys.stderr)


def template(
    as_csv: Annotated[bool, typer.Option("--csv", help="assets.csv, a table as text")] = False,
    as_xlsx: Annotated[bool, typer.Option("--xlsx", help="assets.xlsx, a workbook that explains its columns")] = False,
    out: Annotated[Path | None, typer.Option(help="another name; the manifest beside it ends in .yaml")] = None,
) -> None:
    """Write a spreadsheet of assets to start from, and the small manifest that names it."""
    from schemas.errors import InputError
    from schemas.published import SCHEMA_FILE
    from tasks.planning.template import write_template

    if as_csv + as_xlsx + (out is not None) == 0 or (as_csv and as_xlsx):
        raise InputError(f"got {'both --csv and --xlsx' if as_csv else 'no format'}; expected --csv or --xlsx")
    ending = ".csv" if as_csv else ".xlsx"
    if out is None:
        out = Path(f"assets{ending}")
    elif (as_csv or as_xlsx) and out.suffix != ending:
        raise InputError(f"--out: got {str(out)!r}; expected a file that ends in {ending}")
    table, manifest = write_template(out, schema=SCHEMA_FILE.as_uri())
    print(f"{table}: the assets, one a row")
    print(f"{manifest}: what they share; next: dailies check {manifest}")


def import_pictures(
    place: Annotated[str, typer.Argument(metavar="FOLDER", help="of pictures, or s3://bucket/prefix/")],
    project: Annotated[str, typer.Option(help="that they belong to", show_default=False)],
    digital_source_type: Annotated[
        str, typer.Option(help="how they were made (IPTC's word); left out where each file says it", show_default=False)
    ] = "",
    model: Annotated[str, typer.Option(help="checkpoint that repairs them")] = "studio-tiny",
    out: Annotated[Path | None, typer.Option(help="the manifest; else import.yaml in the folder")] = None,
) -> None:
    """Write the manifest that takes pictures made elsewhere into the inbox: one asset a folder."""
    from flows.__main__ import settings
    from schemas.names import count_noun
    from tasks.planning.import_list import BUCKET, choose_start, list_pictures, read_source_type, write_import_manifest

    source = read_source_type(digital_source_type)
    found = list_pictures(place, settings())
    if out is None:
        out = Path("import.yaml") if place.startswith(BUCKET) else Path(place) / "import.yaml"
    name = place.rstrip("/").rpartition("/")[2] if place.startswith(BUCKET) else Path(place).resolve().name
    groups = write_import_manifest(
        out, found,
        start=choose_start(place, out), name=name, project=project, model=model, source=source,
    )  # fmt: skip
    others = [name for name in found.others if name != out.name]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        print(f"left out, as no pictures: {', '.join(others[:3])}{more}")
    assets = count_noun(len(groups), "asset")
    print(f"{out}: {count_noun(len(found.pictures), 'picture')} in {assets}; next: dailies check {out}")


def add_to(app: typer.Typer) -> None:
    for command in (template, check, diff, preview, submit, plan):
        app.command()(command)
    app.command("import")(import_pictures)
