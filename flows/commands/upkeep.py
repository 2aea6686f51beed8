"""The commands of whoever runs a studio: fsck, gc, doctor, metrics, migrate."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def fsck(
    repair: Annotated[bool, typer.Option("--repair", help="mend what follows from other records")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="do not read the bytes of every object")] = False,
    lines: Annotated[bool, typer.Option("--json", help="a JSON object a line; the last one is the summary")] = False,
) -> None:
    """Compare every record with its bytes and with every other record. Exit code 1 when something is wrong."""
    from flows.__main__ import settings
    from tasks.fsck import Fsck, as_json
    from tasks.parts import open_parts

    parts = open_parts(settings())
    check = Fsck(parts.ledger, parts.store, repair=repair, bytes_too=not quick)
    for trouble in check:
        print(json.dumps(as_json(trouble)) if lines else trouble, flush=True)
    summary = check.summary()
    if lines:
        print(json.dumps(summary))
    else:
        looked_at = ", ".join(f"{count} {what}" for what, count in summary["looked_at"].items())
        print(f"{check.wrong} wrong, {check.repaired} repaired; looked at {looked_at}")
    raise typer.Exit(0 if check.clean else 1)


def gc(
    remove: Annotated[bool, typer.Option("--remove", help="really remove; else only say what would go")] = False,
    put_back: Annotated[
        list[str] | None,
        typer.Option("--put-back", help="an image out of the trash, by its digest; say it again for several"),
    ] = None,
    lines: Annotated[bool, typer.Option("--json", help="a JSON object a line; the last one is the summary")] = False,
) -> None:
    """Make room: rejected images, unreferenced objects, conditions, by the days in `retention`. Looks only."""
    from dataclasses import asdict

    from flows.__main__ import settings
    from tasks import gc
    from tasks.parts import open_parts
    from tasks.reproduce import find_image

    parts = open_parts(settings())
    if put_back:
        for start in put_back:
            image = find_image(parts.ledger, start).image.digest
            gc.put_back(parts.ledger, parts.store, image, parts.settings.limits)
            print(f"{image[:12]}: is back")
        return
    collection = gc.GarbageCollection(parts.ledger, parts.store, parts.settings.retention, remove=remove)
    for removal in collection:
        print(json.dumps(asdict(removal)) if lines else removal, flush=True)
    if lines:
        print(json.dumps({"removed": remove, "objects": dict(collection.counts), "bytes": dict(collection.bytes)}))
        return
    for kind, count in sorted(collection.counts.items()):
        print(f"{kind}: {count:,}, {collection.bytes[kind] / 2**20:,.1f} MiB")
    print("moved to the trash" if remove else "nothing was removed; `dailies gc --remove` does")


def doctor(
    lines: Annotated[bool, typer.Option("--json", help="a JSON object a line")] = False,
) -> None:
    """Ask everything a night needs once: versions, database, clock, store, disk, server, schedule, workers."""
    from dataclasses import asdict

    from flows.__main__ import settings
    from flows.commands.doctor import examine

    wrong = False
    for examined in examine(settings()):
        print(json.dumps(asdict(examined)) if lines else examined, flush=True)
        wrong = wrong or examined.state == "wrong"
    raise typer.Exit(1 if wrong else 0)


def metrics(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on this machine")] = 9464,
    address: Annotated[str, typer.Option(help="0.0.0.0 to be reached from elsewhere")] = "127.0.0.1",
) -> None:
    """Serve Prometheus figures at /metrics, and /healthz and /readyz for probes."""
    from flows.__main__ import settings
    from flows.commands.metrics import serve

    serve(settings(), address=address, port=port)


def migrate() -> None:
    """Bring the database to this program's revision. Stop workers and the review app first, and back it up."""
    from flows.__main__ import settings
    from storage.database import HEAD, migrate, open_database, read_revision

    asked = settings()
    asked.home.mkdir(parents=True, exist_ok=True)
    engine = open_database(asked.database)
    before = read_revision(engine)
    migrate(engine)
    print(f"the database is at revision {HEAD}" + (f", it was at {before}" if before not in (HEAD, None) else ""))


def add_to(app: typer.Typer) -> None:
    for command in (fsck, gc, doctor, metrics, migrate):
        app.command()(command)
