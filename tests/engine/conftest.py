"""One engine for the whole session, on the CPU in float32, with few steps and small pictures."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from engine.rendered import Rendered
from schemas.spec import ControlSpec, ImageSpec, LoraRef, ModelRef
from tests.studio import catalogue_path

WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="session")
def catalogue() -> ModelFiles:
    torch.set_num_threads(1)  # small tensors, and cores that are shared with other tests
    return ModelFiles.read(catalogue_path())


@pytest.fixture(scope="session")
def engine(catalogue: ModelFiles, studio: "Studio") -> Engine:
    """With the checkpoint loaded, so that no test depends on one before it."""
    engine = Engine(catalogue, device="cpu", dtype="float32")
    engine.models.pipeline(studio.spec(0), asker="tests")
    return engine


@pytest.fixture(scope="session")
def studio(catalogue: ModelFiles) -> "Studio":
    return Studio(catalogue)


class Studio:
    """Specs over the small checkpoint, and the pictures they read."""

    def __init__(self, catalogue: ModelFiles) -> None:
        self.catalogue = catalogue
        rng = np.random.default_rng(3)
        self.sources = {
            letter * 64: np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            for letter in "ab"
        }
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[12:36, 16:44] = 255
        self.masks = {"e" * 64: mask}
        self.conditions: dict[str, np.ndarray] = {}

    def ref(self, alias: str, cls: Any = ModelRef, **fields: Any) -> Any:
        return cls(alias=alias, digest=self.catalogue.digest(alias), **fields)

    def lora(self, alias: str = "studio-tiny/style", weight: float = 1.0) -> LoraRef:
        return self.ref(alias, LoraRef, weight=weight)

    def control(self, kind: str = "canny", *, image: str = "c", **fields: Any) -> ControlSpec:
        control = ControlSpec(type=kind, image=image * 64, model=self.ref(f"studio-tiny/{kind}"), **fields)
        rng = np.random.default_rng(ord(image))
        lines = np.kron(rng.integers(0, 2, (6, 8, 1)) * 255, np.ones((8, 8, 3))).astype(np.uint8)
        self.conditions[control.condition_key(WIDTH, HEIGHT)] = lines
        return control

    def spec(self, seed: int = 0, **fields: Any) -> ImageSpec:
        words = ("a red boat", "a green tree in fog, very detailed", "brick wall")
        given = {
            "project": "test", "asset": f"asset-{seed}", "variant": "1", "prompt": words[seed % 3],
            "negative_prompt": ("", "blurred")[seed % 2], "seed": seed, "width": WIDTH, "height": HEIGHT,
            "num_inference_steps": 3, "guidance_scale": 4.0, "model": self.ref("studio-tiny"),
        }  # fmt: skip
        return ImageSpec(**(given | fields))

    def pictures(self) -> dict[str, Any]:
        """What `Engine.render` takes beside the specs."""
        return {"sources": self.sources, "masks": self.masks, "conditions": self.conditions}

    def render(self, engine: Engine, specs: list[ImageSpec], **rest: Any) -> list[Any]:
        return engine.render(specs, **self.pictures(), **rest)


def get_pixels(row: Rendered) -> np.ndarray:
    """The picture of a row that must have been made."""
    assert row.pixels is not None, row.error
    return row.pixels


@pytest.fixture
def tasks(studio: Studio) -> dict[str, Callable[[int], ImageSpec]]:
    """A maker of specs for each kind of forward pass; rows differ in prompt, seed, source and condition."""
    source = lambda seed: "ab"[seed % 2] * 64  # noqa: E731
    lines = lambda seed: "cd"[seed % 2]  # noqa: E731
    one: dict[str, Any] = {"controlnet_conditioning_scale": 0.8}
    return {
        "txt2img": lambda n: studio.spec(n),
        "img2img": lambda n: studio.spec(n, source=source(n), strength=0.7),
        "inpaint": lambda n: studio.spec(n, source=source(n), mask="e" * 64, strength=1.0),
        "control": lambda n: studio.spec(n, controls=(studio.control(image=lines(n), **one),)),
        "two controls": lambda n: studio.spec(
            n, controls=(studio.control(image=lines(n), **one), studio.control("depth", image=lines(n + 1)))
        ),
        "control img2img": lambda n: studio.spec(
            n, source=source(n), strength=0.7, controls=(studio.control(image=lines(n), **one),)
        ),
        "control inpaint": lambda n: studio.spec(
            n, source=source(n), mask="e" * 64, strength=0.8, controls=(studio.control(image=lines(n), **one),)
        ),
    }
