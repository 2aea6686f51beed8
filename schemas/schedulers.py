"""Samplers by diffusers' class names and by the names that other tools use for the same thing.

Only schedulers whose every random draw comes from a per-sample generator are here, since a row must not depend on its
batch. That leaves out `DPMSolverSDEScheduler`, whose Brownian tree is seeded once for the whole batch; and the EDM,
cosine and flow-matching ones, which walk along other noise than SDXL's checkpoints were trained on.

`use_ays_sigmas` is ours: "Align Your Steps" (arXiv 2404.14507), which diffusers has as lists of timesteps.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from schemas.errors import join_refusal

Option = bool | float | str

_SIGMAS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
AYS = "use_ays_sigmas"
SIGMAS = (*_SIGMAS, "use_lu_lambdas", AYS)
_SPACED = (*_SIGMAS, "timestep_spacing")
_ALSO = ("use_lu_lambdas", AYS)
_SOLVER = ("solver_order", "algorithm_type", "final_sigmas_type", "lower_order_final")

SCHEDULERS: dict[str, tuple[str, ...]] = {
    "DDIMParallelScheduler": ("timestep_spacing", "rescale_betas_zero_snr", "eta"),
    "DDIMScheduler": ("timestep_spacing", "rescale_betas_zero_snr", "eta"),
    "DDPMParallelScheduler": ("timestep_spacing", "rescale_betas_zero_snr", "variance_type"),
    "DDPMScheduler": ("timestep_spacing", "rescale_betas_zero_snr", "variance_type"),
    "DEISMultistepScheduler": (*_SPACED, "solver_order", "lower_order_final"),
    "DPMSolverMultistepScheduler": (*_SPACED, *_SOLVER, "euler_at_final", "rescale_betas_zero_snr", *_ALSO),
    "DPMSolverSinglestepScheduler": (*_SIGMAS, *_SOLVER, AYS),
    "EulerAncestralDiscreteScheduler": ("timestep_spacing", "rescale_betas_zero_snr"),
    "EulerDiscreteScheduler": (*_SPACED, "rescale_betas_zero_snr", "final_sigmas_type", AYS),
    "HeunDiscreteScheduler": (*_SPACED, AYS),
    "KDPM2AncestralDiscreteScheduler": _SPACED,
    "KDPM2DiscreteScheduler": _SPACED,
    "LCMScheduler": ("timestep_spacing", "rescale_betas_zero_snr", "original_inference_steps"),
    "LMSDiscreteScheduler": _SPACED,
    "PNDMScheduler": ("timestep_spacing", "skip_prk_steps"),
    "SASolverScheduler": (*_SPACED, "predictor_order", "corrector_order", "lower_order_final"),
    "TCDScheduler": ("timestep_spacing", "rescale_betas_zero_snr", "original_inference_steps", "eta"),
    "UniPCMultistepScheduler": (*_SPACED, "solver_order", "final_sigmas_type", "rescale_betas_zero_snr"),
}
"""diffusers' class name -> the options a manifest may set on it (diffusers itself drops others in silence)."""

_K: dict[str, Option] = {"use_karras_sigmas": True}
_E: dict[str, Option] = {"use_exponential_sigmas": True}
_B: dict[str, Option] = {"use_beta_sigmas": True}
_A: dict[str, Option] = {AYS: True}
_SDE: dict[str, Option] = {"algorithm_type": "sde-dpmsolver++"}
_THIRD: dict[str, Option] = {"solver_order": 3.0}

ALIASES: dict[str, tuple[str, Mapping[str, Option]]] = {
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler Karras": ("EulerDiscreteScheduler", _K),
    "Euler Exponential": ("EulerDiscreteScheduler", _E),
    "Euler Beta": ("EulerDiscreteScheduler", _B),
    "Euler AYS": ("EulerDiscreteScheduler", _A),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "Euler ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "Heun Karras": ("HeunDiscreteScheduler", _K),
    "Heun Exponential": ("HeunDiscreteScheduler", _E),
    "Heun Beta": ("HeunDiscreteScheduler", _B),
    "Heun AYS": ("HeunDiscreteScheduler", _A),
    "LMS": ("LMSDiscreteScheduler", {}),
    "LMS Karras": ("LMSDiscreteScheduler", _K),
    "DPM2": ("KDPM2DiscreteScheduler", {}),
    "DPM2 Karras": ("KDPM2DiscreteScheduler", _K),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}),
    "DPM2 a Karras": ("KDPM2AncestralDiscreteScheduler", _K),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", _K),
    "DPM++ 2M Exponential": ("DPMSolverMultistepScheduler", _E),
    "DPM++ 2M Beta": ("DPMSolverMultistepScheduler", _B),
    "DPM++ 2M AYS": ("DPMSolverMultistepScheduler", _A),
    "DPM++ 2M Lu": ("DPMSolverMultistepScheduler", {"use_lu_lambdas": True}),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", _SDE),
    "DPM++ 2M SDE Karras": ("DPMSolverMultistepScheduler", {**_SDE, **_K}),
    "DPM++ 2M SDE Exponential": ("DPMSolverMultistepScheduler", {**_SDE, **_E}),
    "DPM++ 2M SDE Beta": ("DPMSolverMultistepScheduler", {**_SDE, **_B}),
    "DPM++ 2M SDE AYS": ("DPMSolverMultistepScheduler", {**_SDE, **_A}),
    "DPM++ 3M SDE": ("DPMSolverMultistepScheduler", {**_SDE, **_THIRD}),
    "DPM++ 3M SDE Karras": ("DPMSolverMultistepScheduler", {**_SDE, **_THIRD, **_K}),
    "DPM++ 3M SDE Exponential": ("DPMSolverMultistepScheduler", {**_SDE, **_THIRD, **_E}),
    "DPM++ SDE": ("DPMSolverSinglestepScheduler", _SDE),
    "DPM++ SDE Karras": ("DPMSolverSinglestepScheduler", {**_SDE, **_K}),
    "DPM++ 2S": ("DPMSolverSinglestepScheduler", {}),
    "DPM++ 2S Karras": ("DPMSolverSinglestepScheduler", _K),
    "DPM-Solver++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM-Solver++ 2M Karras": ("DPMSolverMultistepScheduler", _K),
    "DEIS Karras": ("DEISMultistepScheduler", _K),
    "DEIS": ("DEISMultistepScheduler", {}),
    "DDIM": ("DDIMScheduler", {}),
    "DDPM": ("DDPMScheduler", {}),
    "PNDM": ("PNDMScheduler", {}),
    "PLMS": ("PNDMScheduler", {"skip_prk_steps": True}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "UniPC Karras": ("UniPCMultistepScheduler", _K),
    "UniPC Exponential": ("UniPCMultistepScheduler", _E),
    "UniPC Beta": ("UniPCMultistepScheduler", _B),
    "SA-Solver": ("SASolverScheduler", {}),
    "SA-Solver Karras": ("SASolverScheduler", _K),
    "LCM": ("LCMScheduler", {}),
    "TCD": ("TCDScheduler", {}),
}


class SchedulerError(ValueError):
    """A scheduler or an option that diffusers does not have."""

    def __init__(self, came: str, allowed: str) -> None:
        super().__init__(came, allowed)
        self.came, self.allowed = came, allowed

    def __str__(self) -> str:
        return join_refusal(self.came, self.allowed)


def resolve_scheduler(
    name: str, options: Mapping[str, Option] | None = None
) -> tuple[str, tuple[tuple[str, Option], ...]]:
    """diffusers' class and its options, sorted by name; `options` win over those that an alias brings.

    "dpmpp_2m_karras", "DPM++ 2M Karras" and "dpm-solver++ 2m karras" are one name. Raises SchedulerError
    for a name or an option that is not known.
    """
    known = _KNOWN.get(_plain(name))
    if known is None:
        near = difflib.get_close_matches(_plain(name), _KNOWN, n=3, cutoff=0.5)
        names = ", ".join(_SPELT[key] for key in near) or ", ".join(sorted(ALIASES))
        raise SchedulerError(f"got the scheduler {name!r}", f"a scheduler such as {names}")
    class_name, brought = known
    merged = {**brought, **(options or {})}
    for option in merged:
        if option not in SCHEDULERS[class_name]:
            known_options = ", ".join(sorted(SCHEDULERS[class_name]))
            raise SchedulerError(f"got the option {option!r}", f"one that {class_name} has: {known_options}")
    if sum(bool(merged.get(option)) for option in SIGMAS) > 1:
        raise SchedulerError("got several kinds of sigmas", f"at most one of {', '.join(SIGMAS)}")
    return class_name, tuple(sorted(merged.items()))


def _plain(name: str) -> str:
    """Lower case, "++" as "pp", without spaces, hyphens and underscores; "dpmsolver++" is "dpm++"."""
    return re.sub(r"[\s_\-]", "", name.lower().replace("++", "pp")).replace("dpmsolverpp", "dpmpp")


_KNOWN: dict[str, tuple[str, Mapping[str, Option]]] = {_plain(alias): entry for alias, entry in ALIASES.items()} | {
    _plain(class_name): (class_name, {}) for class_name in SCHEDULERS
}
_SPELT = {_plain(name): name for name in (*SCHEDULERS, *ALIASES)}
