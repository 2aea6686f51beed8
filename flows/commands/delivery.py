"""The commands on what leaves: deliver, kitsu, atlas, disclosure.

As in flows/__main__.py, each imports what it needs in its own body.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.ordering import JsonOption


def deliver(
    project: Annotated[str | None, typer.Option(help="of this project only")] = None,
    template: Annotated[
        str | None, typer.Option(help="instead of the manifests', to get out of a collision: {Asset}_{digest}.png")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="deliver anew what a newer order gave another name; the old files stay")
    ] = False,
    to: Annotated[Path | None, typer.Option(help="copy everything that left, now and before, into this folder")] = None,
) -> None:
    """Deliver what was approved, under its names. Doing it again changes nothing."""
    from flows.__main__ import settings
    from schemas.errors import InputError
    from schemas.fields import check_delivery_name
    from tasks.delivery.copying import copy_delivered
    from tasks.delivery.deliver import deliver
    from tasks.delivery.publish import publish_delivered
    from tasks.delivery.signing import Signing
    from tasks.parts import open_parts

    parts = open_parts(settings())
    try:
        template = template and check_delivery_name(template)
    except ValueError as wrong:
        raise InputError(f"--template: {wrong}") from None
    done = deliver(
        parts.ledger, parts.store,
        project=project, folder=parts.settings.delivery_folder, template=template, again=again,
        signing=Signing.from_settings(parts.settings), catalogue=parts.catalogue,
    )  # fmt: skip
    print(done)
    if (published := publish_delivered(parts.ledger, parts.store, parts.settings.kitsu, project=project)) is not None:
        print(published)
    code = done.exit_code
    if to is not None:
        copied = copy_delivered(to, ledger=parts.ledger, store=parts.store, project=project)
        print(copied)
        code = max(code, int(bool(copied.problems)))
    raise typer.Exit(code)


def atlas(
    project: Annotated[str, typer.Argument(help="a project with approved images", show_default=False)],
    asset: Annotated[
        list[str] | None,
        typer.Option(help="of this asset only, or a pattern such as 'ui *'; may be given several times"),
    ] = None,
    out: Annotated[Path, typer.Option(help="a .png; the frames go into a .json beside it")] = Path("atlas.png"),
    padding: Annotated[int, typer.Option(min=0, max=64, help="clear pixels between two frames")] = 2,
    extrude: Annotated[int, typer.Option(min=0, max=16, help="how often a frame's border is repeated")] = 1,
    trim: Annotated[bool, typer.Option(help="leave out clear edges")] = True,
    max_size: Annotated[int, typer.Option(min=64, max=16384, help="longest side of a page, px")] = 4096,
    power_of_two: Annotated[bool, typer.Option("--power-of-two", help="sides of 2, 4, 8, ... px")] = False,
) -> None:
    """Pack approved images into one sheet with a JSON of frames (TexturePacker's shape)."""
    from flows.__main__ import settings
    from schemas.errors import InputError
    from tasks.delivery.atlas import Layout, list_sprites, pack_sprites, write_atlas
    from tasks.parts import open_parts

    if out.suffix.lower() != ".png":
        raise InputError(f"--out: got {str(out)!r}; expected a name that ends in .png")
    parts = open_parts(settings())
    found = list_sprites(parts.ledger, parts.store, project, assets=asset or (), trim=trim)
    pages = pack_sprites([sprite for sprite, _ in found], Layout(padding, extrude, max_size, power_of_two))
    for file in write_atlas(out, pages, {spec.digest: spec for _, spec in found}):
        print(file)


def disclosure(
    project: Annotated[str, typer.Argument(help="a project of which something was delivered", show_default=False)],
    out: Annotated[Path, typer.Option(help="folder for the two files")] = Path(),
) -> None:
    """Write what stores ask for of a project's delivered images: AI or composite, models, licences, where used."""
    from flows.__main__ import settings
    from tasks.delivery.disclosure import list_disclosure, write_csv, write_markdown
    from tasks.delivery.names import make_safe_name
    from tasks.parts import open_parts

    parts = open_parts(settings())
    rows = list_disclosure(project, ledger=parts.ledger, catalogue=parts.catalogue)
    out.mkdir(parents=True, exist_ok=True)
    for ending, data in (("csv", write_csv(rows)), ("md", write_markdown(project, rows))):
        path = out / f"{make_safe_name(project)}-disclosure.{ending}"
        path.write_bytes(data)
        print(path)


def kitsu(
    project: Annotated[str | None, typer.Option(help="of this project only")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what was published in Kitsu, with the status that it has there now. Information only: nothing is decided."""
    from flows.__main__ import settings
    from flows.commands.tables import print_rows
    from schemas.errors import SettingsError
    from tasks.delivery.publish import open_kitsu, read_statuses
    from tasks.parts import open_parts

    given = settings()
    server = open_kitsu(given.kitsu)
    if server is None:
        raise SettingsError("kitsu: got no url and no token; expected both, as in docs/delivery.md")
    parts = open_parts(given)
    rows = read_statuses(parts.ledger, parts.store, server, project=project)
    print_rows(rows, lines=as_json, empty="nothing was published in Kitsu")


def add_to(app: typer.Typer) -> None:
    app.command()(kitsu)
    app.command()(deliver)
    app.command()(atlas)
    app.command()(disclosure)
