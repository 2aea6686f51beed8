"""Every sampler by class and alias: its options are diffusers' own, its draws a row's own; AYS; zero terminal SNR."""

from __future__ import annotations

import inspect

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers import AysSchedules

from engine.diffuse import Engine
from engine.schedules import list_ays_timesteps, make_scheduler
from schemas.errors import RenderError
from schemas.schedulers import ALIASES, AYS, SCHEDULERS, resolve_scheduler
from tests.engine.conftest import HEIGHT, WIDTH, Studio

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
OURS = {"eta", AYS}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_option_is_one_that_diffusers_has(name: str) -> None:
    known = set(inspect.signature(getattr(diffusers, name)).parameters)
    assert set(SCHEDULERS[name]) - OURS <= known
    spacings = {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"}
    also = {"timestep_spacing", "rescale_betas_zero_snr", "final_sigmas_type"}
    assert (spacings | also) & known == (spacings | also) & set(SCHEDULERS[name]), "none of diffusers' is left out"


@pytest.mark.parametrize("alias", ALIASES)
def test_every_alias_steps_through_its_schedule(alias: str, studio: Studio) -> None:
    class_name, options = resolve_scheduler(alias)
    spec = studio.spec(0, scheduler=class_name, scheduler_options=options)
    scheduler = make_scheduler(spec, CONFIG)
    scheduler.set_timesteps(6, device="cpu")
    assert type(scheduler).__name__ == class_name and len(scheduler.timesteps) >= 6
    for name, value in options:
        assert name in OURS or scheduler.config[name] == value
    sample = torch.zeros(1, 4, 4, 4)
    for t in scheduler.timesteps:
        given = {"generator": torch.Generator()} if "generator" in inspect.signature(scheduler.step).parameters else {}
        sample = scheduler.step(scheduler.scale_model_input(sample, t) * 0.1, t, sample, **given).prev_sample
    assert torch.isfinite(sample).all()


@pytest.mark.parametrize("name", ["SA-Solver", "DDIMParallelScheduler", "DPM++ SDE Karras", "Euler AYS"])
def test_a_row_does_not_depend_on_its_batch(engine: Engine, studio: Studio, name: str) -> None:
    specs = [studio.spec(n, scheduler=name, num_inference_steps=5) for n in (0, 1)]
    together, alone = studio.render(engine, specs), studio.render(engine, specs[1:])[0]
    assert together[1].error is None, together[1].error
    assert np.abs(together[1].pixels.astype(int) - alone.pixels.astype(int)).max() <= 1


@pytest.mark.parametrize("steps", [1, 4, 10, 11, 40])
def test_align_your_steps_falls_through_the_same_noise_levels(steps: int) -> None:
    scheduler = diffusers.EulerDiscreteScheduler.from_config(CONFIG)
    ten = AysSchedules["StableDiffusionXLTimesteps"]
    found = list_ays_timesteps(scheduler, steps)
    assert len(found) == steps and found == sorted(set(found), reverse=True)
    assert found[0] == 999 and (steps == 1 or found[-1] == pytest.approx(13, abs=1))
    if steps == 10:
        assert found == ten


def test_more_aligned_steps_than_there_are_places_is_an_error() -> None:
    with pytest.raises(RenderError, match="got AYS with 1200 steps"):
        list_ays_timesteps(diffusers.EulerDiscreteScheduler.from_config(CONFIG), 1200)


def test_align_your_steps_is_diffusers_own(engine: Engine, studio: Studio) -> None:
    spec = studio.spec(1, scheduler="DPM++ 2M AYS", num_inference_steps=10)
    row = studio.render(engine, [studio.spec(0, scheduler="DPM++ 2M AYS", num_inference_steps=10), spec])[1]
    assert row.error is None, row.error
    base = engine.models._base
    pipe = diffusers.StableDiffusionXLPipeline(
        **{name: part for name, part in base.components.items() if name != "scheduler"}, add_watermarker=False,
        scheduler=diffusers.DPMSolverMultistepScheduler.from_config(base.scheduler.config),
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        spec.prompt, negative_prompt=spec.negative_prompt, height=HEIGHT, width=WIDTH, guidance_scale=4.0,
        timesteps=AysSchedules["StableDiffusionXLTimesteps"], output_type="np",
        generator=torch.Generator().manual_seed(1),
    ).images[0]  # fmt: skip
    assert np.abs(row.pixels.astype(int) - np.rint(expected * 255)).max() <= 1


def test_img2img_takes_the_last_part_of_aligned_steps(engine: Engine, studio: Studio) -> None:
    fields = {"scheduler": "Euler AYS", "num_inference_steps": 10, "source": "a" * 64, "strength": 0.5}
    steps = []
    row = studio.render(engine, [studio.spec(0, **fields)], progress=lambda done, of: steps.append((done, of)))[0]
    assert row.error is None and steps[-1] == (5, 5)


def test_zero_terminal_snr_reaches_the_scheduler(studio: Studio) -> None:
    spec = studio.spec(0, scheduler="DDIM", scheduler_options=(("rescale_betas_zero_snr", True), ("eta", 0.5)))
    scheduler = make_scheduler(spec, CONFIG | {"prediction_type": "v_prediction", "timestep_spacing": "trailing"})
    assert scheduler.alphas_cumprod[-1] == pytest.approx(0.0, abs=1e-6)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps[0] == 999 and scheduler.config.prediction_type == "v_prediction"
