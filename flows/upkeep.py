"""The commands that look after what is stored: fsck."""

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


def add_to(app: typer.Typer) -> None:
    app.command()(fsck)
