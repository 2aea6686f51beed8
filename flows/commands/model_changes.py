"""The commands that change or use models: models pin, repin, try, convert, embed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.names import count_noun

if TYPE_CHECKING:
    from schemas.settings import Settings

Alias = Annotated[str, typer.Argument(help="as `dailies models` lists it", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON, for other programs")]


def pin(alias: Alias, as_json: Json = False) -> None:
    """Pin an alias to the weights that its files are now; a night does so when it first uses one."""
    from schemas.errors import InputError
    from tasks.parts import open_parts

    parts = open_parts(_settings())
    digest = parts.catalogue.digest(alias, asker="models pin")
    held = parts.ledger.pin(alias, digest)
    if held != digest:
        raise InputError(
            f"{alias} is pinned to {held[:12]}, and its files are {digest[:12]} now; `dailies models repin {alias}` "
            "takes the new ones from now on"
        )
    print(json.dumps({"alias": alias, "digest": digest}) if as_json else f"{alias} is pinned to {digest}")


def repin(alias: Alias, as_json: Json = False) -> None:
    """Take an alias's new weights on purpose. What is planned with the old ones must be submitted again."""
    from tasks.parts import open_parts

    parts = open_parts(_settings())
    digest = parts.catalogue.digest(alias, asker="models repin")
    before = parts.ledger.pins().get(alias, "")
    parts.ledger.repin(alias, digest)
    waiting = sum(count for other, count in parts.ledger.model_waiting(alias).items() if other != digest)
    if as_json:
        print(json.dumps({"alias": alias, "digest": digest, "before": before, "waiting_with_others": waiting}))
        return
    was = f"; it was {before[:12]}" if before and before != digest else ""
    print(f"{alias} is pinned to {digest[:12]}{was}")
    if waiting:
        print(f"{count_noun(waiting, 'image')} planned with other weights of it wait: submit their manifests again")


def try_model(
    alias: Alias,
    prompt: Annotated[str, typer.Option(help="what to make; trigger words are added")] = "a red boat on a lake",
    model: Annotated[str | None, typer.Option(help="checkpoint to try it with; else the first that fits")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT; else the checkpoint's own")] = None,
    tier: Annotated[str, typer.Option(help="draft or final")] = "final",
    out: Annotated[Path | None, typer.Option(help="PNG to write; else ALIAS.png here")] = None,
) -> None:
    """Make one picture with a model of any kind, outside of the ledger. Needs the generating install."""
    from engine.model_files import open_model_files
    from tasks.models.trial import make_trial, render_trial

    given = _settings()
    catalogue = open_model_files(given)
    spec, pictures = make_trial(catalogue, alias, base=model, prompt=prompt, seed=seed, size=size, tier=tier)
    row = render_trial(catalogue, spec, pictures, given)
    path = out or Path(f"{alias.replace('/', '-')}.png")
    from PIL import Image

    Image.fromarray(row.pixels).save(path)
    print(f"{path}: {spec.prompt}; {spec.model.alias}, {spec.width} x {spec.height}, {sum(row.timings.values()):.1f} s")


def convert(
    file: Annotated[Path, typer.Argument(help=".pth, .pt, .ckpt or .bin", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="safetensors to write; else beside the file")] = None,
    as_json: Json = False,
) -> None:
    """Make safetensors of a pickle, in a process of its own without network that loads nothing but tensors."""
    from engine.convert import convert_pickle

    done = convert_pickle(file, out)
    identity = done.identity
    if as_json:
        body = {
            "source": str(done.source), "source_sha256": done.source_sha256, "target": str(done.target),
            "sha256": done.sha256, "tensors": done.tensors, "left": list(done.left), "network": done.network,
            "kind": identity.kind, "architecture": identity.architecture, "layout": identity.layout,
        }  # fmt: skip
        print(json.dumps(body, ensure_ascii=False, indent=1))
        return
    what = " ".join(filter(None, [identity.layout, identity.kind]))
    made_for = f" for {identity.name}" if identity.architecture else ""
    print(f"{done.target}: {done.tensors} tensors, {what}{made_for}")
    if identity.refusal:
        print(f"not usable: {identity.refusal}")
    if done.left:
        print(f"not tensors, and left: {', '.join(done.left[:5])}{' and more' if len(done.left) > 5 else ''}")
    print(f"from {done.source.name}, SHA-256 {done.source_sha256}")
    print(f"SHA-256 now              {done.sha256}")
    print(f"opened with {done.network} between it and the network")


def embed(
    batch_size: Annotated[int, typer.Option(min=1, max=256, help="images at a time")] = 16,
    as_json: Json = False,
) -> None:
    """Give images from before their vectors by `search_model`. It can be interrupted, and goes on where it was."""
    from tasks.parts import open_parts
    from tasks.shift.search_vectors import Embedded, embed_images

    parts, came = open_parts(_settings()), Embedded(0, 0, 0)
    for came in embed_images(parts, batch_size=batch_size):
        if as_json:
            print(json.dumps({"done": came.done, "skipped": came.skipped, "total": came.total}), flush=True)
        elif (came.done + came.skipped) % (50 * batch_size) < batch_size:
            print(f"{came.done:,} of {came.total:,}", flush=True)
    if not as_json:
        skipped = f"; {count_noun(came.skipped, 'image')} skipped, as the log says" if came.skipped else ""
        print(f"{count_noun(came.done, 'image')} got a vector of {parts.settings.search_model}{skipped}")


def add_to(group: typer.Typer) -> None:
    for command in (pin, repin, convert, embed):
        group.command()(command)
    group.command("try")(try_model)


def _settings() -> Settings:
    from flows.__main__ import settings

    return settings()
