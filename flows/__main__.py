"""The command line `dailies`.

Each command imports what it needs in its own body, so that `--help` and `check` stay quick. A command is a function
under `@app.command()`, below in the order of a day; longer ones call into the file of flows/ that does the work.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import DailiesError

if TYPE_CHECKING:
    from schemas.settings import Settings

app = typer.Typer(
    name="dailies",
    help="Overnight image assets, and a person who looks at every one of them in the morning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ManifestPath = Annotated[Path, typer.Argument(help="a manifest: YAML or JSON", metavar="MANIFEST", show_default=False)]


def main() -> None:
    """Runs the command; an expected error is a message on stderr and its exit code, never a traceback."""
    try:
        app()
    except DailiesError as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(wrong.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def settings() -> Settings:
    """Settings from the environment and dailies.toml; what is wrong with them is told by name."""
    from pydantic import ValidationError

    from schemas.errors import SettingsError
    from schemas.settings import Settings

    try:
        return Settings()
    except ValidationError as wrong:
        lines = [f"setting {'.'.join(map(str, error['loc']))}: {error['msg']}" for error in wrong.errors()]
        raise SettingsError("\n".join(lines)) from None
    except ValueError as wrong:  # dailies.toml is no TOML
        raise SettingsError(f"dailies.toml: {wrong}") from None


# --- before the night -------------------------------------------------------------------------------------------


@app.command()
def check(manifest: ManifestPath) -> None:
    """Say what a manifest would make, or everything that is wrong with it, line by line."""
    from flows.tables import print_report
    from tasks.submit import check

    print_report(check(manifest, settings()))


@app.command()
def submit(
    manifest: ManifestPath,
    submitted_by: Annotated[str, typer.Option("--by", help="who submits; else the manifest's asked_by")] = "",
) -> None:
    """Freeze a manifest and its pictures, to be made in the next night."""
    from tasks.parts import open_parts
    from tasks.submit import submit

    parts = open_parts(settings())
    submission, new = submit(
        manifest,
        settings=parts.settings,
        catalogue=parts.catalogue,
        ledger=parts.ledger,
        store=parts.store,
        submitted_by=submitted_by,
    )
    short = submission.digest[:12]
    if new:
        print(f"submitted {submission.name} for {submission.project} as {short}")
    else:
        print(f"{submission.name} was submitted before, as {short}; nothing changed")


@app.command()
def plan() -> None:
    """Plan now what was submitted, as the night would; it can be done again without effect."""
    from tasks.parts import open_parts
    from tasks.submit import plan_submission

    parts = open_parts(settings())
    waiting = parts.ledger.unplanned()
    for submission in waiting:
        counted = plan_submission(parts.ledger, parts.catalogue, submission.digest)
        print(f"{submission.name} ({submission.project}): {counted.new} new, {counted.existing} planned before")
    if not waiting:
        print("nothing to plan")


@app.command()
def sweep(
    prompt: Annotated[list[str], typer.Option(help="say it again for several", show_default=False)],
    model: Annotated[str, typer.Option(help="checkpoint, by its alias")] = "studio-tiny",
    seed: Annotated[list[int] | None, typer.Option(help="say it again for several; else 1 and 2")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=value,value: scheduler, num_inference_steps, guidance_scale, ...; say it again"),
    ] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT; else the model's own")] = None,
    tier: Annotated[str, typer.Option(help="draft or final: whose defaults the rest is taken from")] = "final",
    out: Annotated[Path, typer.Option(help="folder for the sheet and the curves")] = Path("sweep"),
) -> None:
    """Make a grid of settings on chosen prompts and seeds, to see from where on more steps change nothing."""
    from engine.catalogue import Catalogue
    from schemas.spec import Tier
    from tasks import sweep as grids

    axes = grids.parse(vary or ["scheduler=Euler,DPM++ 2M Karras", "num_inference_steps=5,10,20,40"])
    given = settings()
    catalogue = Catalogue.read(given.catalogue, digests=given.home / "digests.json")
    base = grids.base_of(catalogue, model, size=size, tier=Tier(tier))
    cells = grids.grid(base, axes, prompts=prompt, seeds=seed or [1, 2])

    from engine.diffuse import Engine

    made = grids.make(Engine(catalogue, device=given.device, dtype=given.dtype), cells, batch_size=given.batch_size)
    print(grids.summary(cells, made))
    for path in grids.write(out, cells, made):
        print(path)


@app.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help="write schemas/manifest.schema.json anew")] = False,
) -> None:
    """Print the JSON Schema of manifests, from which editors complete."""
    from schemas.published import SCHEMA_FILE, schema_text

    if write:
        SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
        print(SCHEMA_FILE.name)
    else:
        print(schema_text(), end="")


if __name__ == "__main__":
    main()
