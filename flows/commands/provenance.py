"""The commands on provenance: provenance init, verify."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.ordering import JsonOption

group = typer.Typer(help="Certificates with which delivered files are signed (C2PA).", no_args_is_help=True)


@group.callback()
def provenance() -> None:
    """Certificates with which delivered files are signed (C2PA)."""


@group.command()
def init(
    studio: Annotated[str, typer.Option(help="the studio's name, as readers of the signature see it")],
) -> None:
    """Make a local authority and a signing certificate. Everything that is delivered from now on is signed."""
    from flows.__main__ import settings
    from storage.provenance import make_authority

    folder = make_authority(settings().home, studio=studio)
    print(f"{folder}: authority.pem to hand out, certificate.pem and key.pem to sign with; keep key.pem secret")


def verify(
    file: Annotated[Path, typer.Argument(help="a delivered file; its .c2pa beside it is read too", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Say what a delivered file is, from which record, and whether a byte of it changed. Exit code 1 when one did."""
    from flows.__main__ import settings
    from flows.commands.tables import print_json
    from schemas.errors import InputError
    from storage.provenance import MANIFEST_ENDING, open_signer
    from tasks.delivery.verify import verify_file
    from tasks.parts import open_parts

    given = settings()
    beside = file if file.suffix == MANIFEST_ENDING else file.with_name(file.name + MANIFEST_ENDING)
    file = beside.with_suffix("")
    try:
        data = file.read_bytes()
        manifest = beside.read_bytes() if beside.is_file() else None
    except OSError as wrong:
        raise InputError(f"{wrong.filename}: {wrong.strerror}; expected a delivered image") from None
    signer = open_signer(certificate=given.signing_certificate, key=given.signing_key, home=given.home)
    parts = open_parts(given)
    authority = signer.authority if signer else None
    result = verify_file(
        data, file_name=file.name, ledger=parts.ledger, store=parts.store, authority=authority, manifest=manifest
    )
    if as_json:
        print_json(asdict(result) | {"sound": result.is_sound})
    else:
        print(result)
    raise typer.Exit(0 if result.is_sound else 1)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="provenance")
    app.command()(verify)
