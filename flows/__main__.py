"""The command line `dailies`.

Each command imports what it needs in its own body, so that `--help` and `check` stay quick. A command is a function
under `@app.command()`, below in the order of a day; longer ones call into the file of flows/ that does the work.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import copies, delivery, lists, models, ordering, provenance, upkeep
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

ordering.add_to(app)
lists.add_to(app)


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
    finally:
        gc.freeze()  # else Python looks through all that torch and diffusers are before it leaves: a second


def settings() -> Settings:
    """Settings from the environment and dailies.toml; what is wrong with them is told by name."""
    from pydantic import ValidationError

    from schemas.errors import SettingsError
    from schemas.settings import Settings, spell_settings, unknown_variables

    try:
        asked = Settings()
        if complaints := unknown_variables(os.environ):
            raise SettingsError("\n".join(complaints))
        return asked
    except ValidationError as wrong:
        raise SettingsError("\n".join(spell_settings(wrong))) from None
    except ValueError as wrong:  # dailies.toml is no TOML
        raise SettingsError(f"dailies.toml: {wrong}") from None


# --- before the night -------------------------------------------------------------------------------------------


@app.command()
def preflight(lines: lists.JsonLines = False) -> None:
    """Say which device renders, with which levers, and how each checkpoint will fit into its memory."""
    from engine.model_files import open_model_files
    from flows.commands.tables import print_json
    from tasks.planning.preflight import fits_device

    given = settings()
    found = fits_device(given, open_model_files(given))
    if not lines:
        print("\n".join(found))
        return
    starts = [number for number, line in enumerate(found) if not line.startswith(" ")]
    for start, end in zip(starts, [*starts[1:], len(found)], strict=True):
        print_json({"what": found[start], "lines": [line.strip() for line in found[start + 1 : end]]})


@app.command()
def reproduce(
    digest: Annotated[str, typer.Argument(help="an image's digest, or its first letters", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="keep what was made now in this PNG")] = None,
) -> None:
    """Make an image again from its record alone, and say whether it is identical, or how far off and why."""
    from tasks.parts import open_parts
    from tasks.reproduce import find_image, reproduce, settings_as_made

    parts = open_parts(settings())
    picture = find_image(parts.ledger, digest)
    parts.settings = settings_as_made(picture, parts.settings)
    found = reproduce(picture, store=parts.store, engine=parts.engine, cut_outs=parts.cut_outs, settings=parts.settings)
    print(found)
    if out is not None:
        from PIL import Image

        Image.fromarray(found.pixels).save(out)
    raise typer.Exit(0 if found.identical else 1)


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
    from engine.model_files import open_model_files
    from tasks.planning import sweep as grids

    axes = grids.parse_field(vary or ["scheduler=Euler,DPM++ 2M Karras", "num_inference_steps=5,10,20,40"])
    given = settings()
    catalogue = open_model_files(given)
    base, few = grids.make_base(catalogue, model, size=size, tier=grids.find_tier(tier))
    cells = grids.make_grid(base, axes, prompts=prompt, seeds=seed or [1, 2], few=few)

    from engine.diffuse import Engine
    from engine.runtime_options import RuntimeOptions

    engine = Engine(catalogue, device=given.device, dtype=given.dtype, levers=RuntimeOptions.of(given))
    made = grids.make_cells(engine, cells, batch_size=given.batch_size)
    print(grids.make_summary(cells, made))
    for path in grids.write_sweep(out, cells, made):
        print(path)
    raise typer.Exit(int(any(row.error is not None for row in made)))


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


# --- the night ---------------------------------------------------------------------------------------------------


@app.command()
def run(
    manifest: Annotated[Path | None, typer.Option("--manifest", "-m", help="submit this first")] = None,
    by: Annotated[str, typer.Option("--by", help="who asks for it; for the record")] = "",
) -> None:
    """Have a night now, whatever the hour: make all that was submitted and sent back."""
    from flows.commands.status import print_night
    from flows.one_machine import run_night

    asked = settings()
    if manifest is not None:
        ordering.submit(manifest, submitted_by=by)
    raise typer.Exit(print_night(run_night(asked, by=by or "dailies run", windowed=False), asked))


@app.command()
def now(by: Annotated[str, typer.Option("--by", help="who asks for it; for the record")] = "") -> None:
    """Begin a night and return: on the Prefect server where there is one, else as a process of its own."""
    from flows.at_once import begin

    print(begin(settings(), by=by or "dailies now"))


@app.command()
def night() -> None:
    """Have tonight's night on this machine, within the working window; for cron, where there is no Prefect server."""
    from flows.commands.status import print_night
    from flows.one_machine import run_night

    asked = settings()
    raise typer.Exit(print_night(run_night(asked, by="dailies night", windowed=True), asked))


@app.command()
def status(as_json: ordering.JsonOption = False) -> None:
    """Say what is submitted, waiting, in hand, set aside and to be reviewed."""
    from flows.commands.status import collect_status, print_status
    from flows.commands.tables import print_json
    from tasks.parts import open_parts

    status = collect_status(open_parts(settings()))
    if as_json:
        print_json(status)
    else:
        print_status(status)


@app.command()
def report(
    number: Annotated[int | None, typer.Argument(help="night; else the last one", metavar="[N]")] = None,
    html: Annotated[bool, typer.Option("--html", help="one HTML file with thumbnails, to be mailed")] = False,
    as_json: ordering.JsonOption = False,
) -> None:
    """Print the morning report of a night."""
    from flows.commands.status import collect_report, find_report
    from flows.commands.tables import print_json
    from tasks.parts import open_parts

    parts = open_parts(settings())
    night, text = find_report(parts, number)
    if as_json:
        print_json(collect_report(parts, night))
    elif html:
        from tasks.report_page import make_page

        print(make_page(night, text, ledger=parts.ledger, store=parts.store, settings=parts.settings), end="")
    else:
        print(text, end="")


@app.command("set-aside")
def set_aside(lines: lists.JsonLines = False) -> None:
    """List what failed too often and waits for somebody to look."""
    from flows.commands.status import print_set_aside
    from tasks.parts import open_parts

    print_set_aside(open_parts(settings()), lines=lines)


@app.command()
def release(
    digests: Annotated[list[str] | None, typer.Argument(help="as `set-aside` lists them; beginnings will do")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all of them")] = False,
    by: Annotated[str, typer.Option("--by", help="who; for the record")] = "",
) -> None:
    """Put what was set aside back into the queue."""
    from flows.commands.status import release
    from storage.intake import make_local_name
    from tasks.parts import open_parts

    print(
        f"{release(open_parts(settings()), digests or [], everything=everything, by=by or make_local_name())} released"
    )


# --- the day -----------------------------------------------------------------------------------------------------


@app.command()
def review(
    port: Annotated[int, typer.Option(help="port on this machine")] = 8501,
    address: Annotated[str, typer.Option(help="0.0.0.0 to be reached from elsewhere")] = "127.0.0.1",
) -> None:
    """Serve the review app."""
    settings()  # what is wrong with them is better said here than in a browser
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "review_app", "--port", str(port), "--address", address])


@app.command()
def retake() -> None:
    """Plan now what reviewers sent back, as the night would."""
    from tasks.parts import open_parts
    from tasks.planning.retake import plan_retakes

    retakes = plan_retakes(open_parts(settings()))
    print(f"{retakes.planned} planned")
    for refused in retakes.refused:
        print(f"not planned: {refused}")


@app.command()
def demo(
    serve: Annotated[bool, typer.Option(help="serve the review app afterwards")] = True,
    port: Annotated[int, typer.Option(help="of the review app")] = 8501,
) -> None:
    """Submit manifests/demo, have a night, say what was made and where, and serve the review app over it."""
    from flows.commands.demonstration import demonstrate

    demonstrate(settings())
    if serve:
        review(port=port, address="127.0.0.1")


# --- a studio ----------------------------------------------------------------------------------------------------


@app.command()
def deploy(
    gpus: Annotated[
        int | None, typer.Option(min=1, help="shifts that may render at once; else as the server has it")
    ] = None,
) -> None:
    """Set up the Prefect server of PREFECT_API_URL: pools, deployments, schedule, zombie watch."""
    from flows.deployment import deploy

    for line in deploy(settings(), gpus=gpus):
        print(line)


@app.command()
def worker(
    gpu: Annotated[str | None, typer.Option(help="which GPU makes shifts; without it the worker runs nights")] = None,
    name: Annotated[str, typer.Option(help="as Prefect shows it")] = "",
) -> None:
    """Take work from the Prefect server: one worker a GPU, and one without for nights."""
    from flows.worker import work

    raise typer.Exit(work(settings(), gpu=gpu, name=name))


delivery.add_to(app)
upkeep.add_to(app)
copies.add_to(app)
provenance.add_to(app)
models.add_to(app)

if __name__ == "__main__":
    main()
