"""How well vectors tell what a picture shows: pictures of the small model, and the ten nearest of each.

Prompts are worded anew for each picture, with colours, backgrounds and styles dealt at random, so that what two
pictures share is their object or material. What was asked for is taken for what the picture shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from checks.likeness import compute_perceptual_hash
from engine.diffuse import Engine
from engine.model_files import ModelFiles
from models.studio_tiny.draw import TEST_SEEDS
from models.studio_tiny.sampling import GUIDANCE
from models.studio_tiny.world import CLASHES, COLOURS, STYLES, Attributes, choose, describe
from schemas.likeness import distance
from schemas.settings import ROOT
from schemas.spec import ImageSpec, ModelRef
from storage.vectors import pack, unpack

OBJECTS = ("sword", "potion", "key", "tree", "barrel")
MATERIALS = ("brick", "scales")
NEAREST, BATCH = 10, 12
SIDE = 128


def measure(pictures: int, steps: int, dtype: str, keep: Path | None) -> None:
    """Prints precision of the ten nearest, by what they are found with."""
    file = keep / f"alike-{pictures}-{steps}.npz" if keep else None
    if file is not None and file.exists():
        made = dict(np.load(file))
    else:
        made = make(pictures, steps, dtype)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, allow_pickle=False, **made)
    names, hashes = made["names"], made["hashes"]
    is_object = np.isin(names, OBJECTS)
    by_hash = np.array([[distance(str(one), str(other)) for other in hashes] for one in hashes])
    picture, prompt = (1 - _compare(made[kind]) for kind in ("picture", "prompt"))
    print(f"{pictures} pictures of {len(OBJECTS)} objects and {len(MATERIALS)} materials, {steps} steps, {SIDE} px")
    print(f"{'precision of the 10 nearest':34}{'object':>9}{'material':>10}{'colour':>9}")
    for what, away in (
        ("perceptual hash", by_hash), ("the model's middle block", picture), ("prompt", prompt),
        ("both of them, added", picture + prompt), ("by chance", np.random.default_rng(0).random(picture.shape)),
    ):  # fmt: skip
        np.fill_diagonal(away, np.inf)
        nearest = np.argsort(away, axis=1, kind="stable")[:, :NEAREST]
        same = (names[nearest] == names[:, None]).mean(axis=1)
        colour = (made["colours"][nearest] == made["colours"][:, None]).mean()
        print(f"{what:34}{same[is_object].mean():9.3f}{same[~is_object].mean():10.3f}{colour:9.3f}")


def _compare(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of all pairs, as the ledger keeps them."""
    unit = unpack([kept for vector in vectors if (kept := pack(vector)) is not None])
    return unit @ unit.T


def make(pictures: int, steps: int, dtype: str) -> dict[str, NDArray[np.generic]]:
    """Names, colours, perceptual hashes and vectors by kind, one a picture."""
    engine = Engine(ModelFiles.read(ROOT / "models" / "catalogue.yaml"), device="auto", dtype=dtype)
    torch.set_num_threads(1)
    model = ModelRef(alias="studio-tiny", digest=engine.models.catalogue.digest("studio-tiny"))
    asked = [_ask(number) for number in range(pictures)]
    specs = [
        ImageSpec(
            project="bench", asset=about.name, variant=str(number), prompt=caption, seed=5_000 + number, width=SIDE,
            height=SIDE, num_inference_steps=steps, guidance_scale=GUIDANCE, model=model,
        )
        for number, (about, caption) in enumerate(asked)
    ]  # fmt: skip
    rows = []
    for start in range(0, pictures, BATCH):
        rows += engine.render(specs[start : start + BATCH])
        print(f"{len(rows)} of {pictures} pictures", flush=True)
    return {
        "names": np.array([about.name for about, _ in asked]),
        "colours": np.array([about.colour for about, _ in asked]),
        "hashes": np.array([compute_perceptual_hash(row.pixels) for row in rows if row.pixels is not None]),
        "picture": np.array([row.vectors["picture"] for row in rows]),
        "prompt": np.array([row.vectors["prompt"] for row in rows]),
        "pixels": np.array([row.pixels for row in rows if row.pixels is not None]),
    }


def _ask(number: int) -> tuple[Attributes, str]:
    rng = np.random.default_rng(TEST_SEEDS + 77_000 + number)
    name = (*OBJECTS, *MATERIALS)[number % (len(OBJECTS) + len(MATERIALS))]
    colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    kind = "object" if name in OBJECTS else "material"
    plain = [ground for ground in ("white", "gray", "dark") if colour not in CLASHES[ground]]
    about = Attributes(kind, name, colour, "" if kind == "material" else choose(rng, plain), choose(rng, STYLES), 0, "")
    return about, describe(about, rng)
