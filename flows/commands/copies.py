"""The commands that take a studio elsewhere: backup, restore, move."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from storage.ledger import Ledger
    from tasks.copying import StudioCopy
    from tasks.fsck import Trouble

Quick = Annotated[bool, typer.Option("--quick", help="do not read the copied bytes back")]


def backup(
    folder: Annotated[Path, typer.Argument(help="where to; a second backup into it copies only what is new")],
    quick: Quick = False,
) -> None:
    """Copy database and objects into a folder, as SQLite and files, while the studio works; verified by fsck."""
    from flows.__main__ import settings
    from tasks.copying import make_backup
    from tasks.parts import open_parts

    parts = open_parts(settings())
    copy: list[StudioCopy] = []
    _tell(make_backup(parts.ledger, parts.store, folder, copy, quick=quick), copy, f"backed up to {folder}")


def restore(
    folder: Annotated[Path, typer.Argument(help="of `dailies backup`")],
    quick: Quick = False,
) -> None:
    """Copy a backup into the database and the store that the settings name. The database must be empty."""
    from flows.__main__ import settings
    from storage.database import migrate
    from storage.objects import open_store
    from tasks.copying import StudioCopy, check_apart, open_backup

    asked = settings()
    ledger, store = open_backup(folder)
    migrate(ledger.engine)  # a backup of an older release
    to_store = open_store(asked)
    check_apart(store, to_store)
    copy = [StudioCopy(ledger, store, _open_ledger(asked.database), to_store, bytes_too=not quick)]
    _tell(copy[0], copy, f"restored from {folder}")


def move(
    to_database: Annotated[str, typer.Option(help="postgresql://... or sqlite:///...; else it stays")] = "",
    to_store: Annotated[str, typer.Option(help="s3://bucket/prefix or a folder; else it stays")] = "",
    to_s3_endpoint_url: Annotated[str, typer.Option(help="of the new store, where it is not s3_endpoint_url")] = "",
    quick: Quick = False,
) -> None:
    """Copy everything to another database, another store, or both. Stop workers and the review app first."""
    from flows.__main__ import settings
    from schemas.errors import LedgerError, SettingsError
    from storage.objects import open_store
    from tasks.copying import StudioCopy, check_apart
    from tasks.parts import open_parts
    from tasks.shift.leases import free_dead

    if not to_database and not to_store:
        raise SettingsError("got neither --to-database nor --to-store; expected one of them, or both")
    asked = settings()
    parts = open_parts(asked)
    free_dead(parts.ledger, folder=asked.home / "workers")
    if at_work := parts.ledger.work_in_hand():
        raise LedgerError(f"{at_work}; stop nights, workers and the review app, and try again")
    ledger = _open_ledger(to_database) if to_database else parts.ledger
    store = parts.store
    if to_store:
        changes = {"object_store": to_store, "s3_endpoint_url": to_s3_endpoint_url or asked.s3_endpoint_url}
        store = open_store(asked.model_copy(update=changes))
        check_apart(parts.store, store)
    copy = [StudioCopy(parts.ledger, parts.store, ledger, store, bytes_too=not quick)]
    new = [name for name, given in (("database_url", to_database), ("object_store", to_store)) if given]
    _tell(copy[0], copy, f"moved; now set {' and '.join(new)} on every machine. The old place is as it was")


def _open_ledger(url: str) -> Ledger:
    from storage.database import open_database
    from storage.ledger import Ledger

    return Ledger(open_database(url))


def _tell(troubles: Iterable[Trouble], copy: list[StudioCopy], done: str) -> None:
    wrong = 0
    for trouble in troubles:
        wrong += 1
        print(trouble, flush=True)
    counts = copy[0].counts
    print(f"{counts['objects']:,} objects, {counts['bytes'] / 2**20:,.1f} MiB, {counts['rows']:,} rows copied")
    print(f"{wrong} wrong: what is whole was copied, the rest is named above" if wrong else f"0 wrong; {done}")
    raise typer.Exit(1 if wrong else 0)


def add_to(app: typer.Typer) -> None:
    for command in (backup, restore, move):
        app.command()(command)
