"""What is done on cards of every size; and that parts which come and go make the same pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.diffuse import Engine
from engine.memory import (
    GIB,
    UNLIMITED,
    Placement,
    Policy,
    Weights,
    choose_policy,
    measure_device_memory,
    read_shapes,
    weigh_models,
)
from tests.engine.conftest import Studio

SDXL = Weights(unet=5_135_000_000, text=1_634_000_000, vae=167_000_000)
WITH_CONTROL = replace(SDXL, controlnets=2_502_000_000)
HD: dict[str, Any] = {"width": 1024, "height": 1024}


@pytest.mark.parametrize(
    ("memory", "plain", "controlled"),
    [
        ("8gb", Placement.BY_PART, Placement.STREAMED),
        ("12gb", Placement.RESIDENT, Placement.RESIDENT),
        ("24gb", Placement.RESIDENT, Placement.RESIDENT),
        ("80gb", Placement.RESIDENT, Placement.RESIDENT),
    ],
)
def test_the_quickest_way_that_fits_is_taken(memory: str, plain: Placement, controlled: Placement) -> None:
    room = measure_device_memory(memory, free=None)
    for weights, wanted in ((SDXL, plain), (WITH_CONTROL, controlled)):
        found = choose_policy(weights, room=room, **HD)
        assert found.placement is wanted, str(found)
        assert found.tiled_pixels >= 1024 * 1024  # none of them needs tiles for that


def test_a_large_picture_on_a_small_card_is_decoded_in_tiles() -> None:
    found = choose_policy(SDXL, room=measure_device_memory("8gb", free=None), width=2048, height=2048)
    assert found.tiled_pixels == 0
    assert "in tiles of 512 px" in str(found)
    assert choose_policy(SDXL, room=measure_device_memory("80gb", free=None), width=2048, height=2048).tiled_pixels > 0


def test_more_memory_is_never_used_for_a_slower_way() -> None:
    """Tiles come last: they change a picture a little. With or without them, what fits stays where it is."""
    order = list(Placement)
    for weights in (SDXL, WITH_CONTROL):
        for size in (512, 1024, 1536, 2048):
            ways = [choose_policy(weights, room=n * GIB, width=size, height=size) for n in range(2, 81)]
            tiled = [way.tiled_pixels == 0 for way in ways]
            assert tiled == sorted(tiled, reverse=True), (weights, size)
            for state in (True, False):
                ranks = [order.index(way.placement) for way in ways if (way.tiled_pixels == 0) is state]
                assert ranks == sorted(ranks, reverse=True), (weights, size)
            assert ways[-1].placement is Placement.RESIDENT and not tiled[-1]


def test_it_says_what_was_chosen_and_why() -> None:
    said = str(choose_policy(WITH_CONTROL, room=measure_device_memory("8gb", free=None), **HD))
    for part in ("7.4 GiB to plan with", "8.8 GiB of weights", "UNet 4.8 GiB", "layer by layer", "would need 11.2 GiB"):
        assert part in said
    assert "expect out-of-memory" in str(choose_policy(SDXL, room=GIB // 4, **HD))


def test_a_cpu_needs_nothing() -> None:
    assert choose_policy(WITH_CONTROL, room=measure_device_memory("auto", free=None), **HD) is UNLIMITED
    assert "nothing is needed" in str(UNLIMITED)


def test_weights_are_counted_in_the_files(studio: Studio, engine: Engine) -> None:
    spec = studio.spec(controls=(studio.control(),))
    found = weigh_models(studio.catalogue, spec, itemsize=4)
    pipe = engine.models.pipeline(spec, asker="test")
    size = lambda part: 4 * sum(p.numel() for p in part.parameters())  # noqa: E731
    assert found.unet == size(pipe.unet) and found.vae == size(pipe.vae)
    assert found.text == size(pipe.text_encoder) + size(pipe.text_encoder_2)
    assert found.controlnets == size(pipe.controlnet.nets[0])
    assert read_shapes(studio.catalogue.folder / "studio-tiny" / "unet" / "config.json") == {}


@pytest.mark.parametrize("placement", [Placement.BY_PART, Placement.STREAMED])
def test_parts_that_come_and_go_make_the_same_pictures(studio: Studio, engine: Engine, placement: Placement) -> None:
    """On a CPU nothing moves, but every hook of accelerate and diffusers runs, between LoRAs and ControlNets too."""
    moving = Engine(studio.catalogue, device="cpu", dtype="float32")
    now = [Policy(placement, 4 * 2**20)]
    moving.models.policy = lambda spec: now[0]  # type: ignore[method-assign]
    few = {"num_inference_steps": 2}
    cases = [
        studio.spec(1, **few),
        studio.spec(1, **few, controls=(studio.control(),)),
        studio.spec(1, **few, loras=(studio.lora(),)),
        studio.spec(1, **few, source="a" * 64, strength=0.9),
    ]
    for spec in cases:
        mine, plain = studio.render(moving, [spec])[0], studio.render(engine, [spec])[0]
        assert mine.error is None
        assert np.abs(mine.pixels.astype(int) - plain.pixels).max() <= 1
        assert "vae" in moving.models.placed.moving
        assert ("denoiser" in moving.models.placed.moving) is (placement is Placement.BY_PART)
    now[0] = UNLIMITED
    assert studio.render(moving, [cases[0]])[0].error is None
    assert moving.models.placed.moving == ()
