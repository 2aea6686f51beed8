"""Few-step weights (LCM, Turbo, Lightning, Hyper): which sampler, steps and guidance they were distilled for.

A catalogue entry of a checkpoint or a LoRA says its family. What a manifest leaves open is then set right; what it says
against the family is refused with what is allowed: elsewhere the picture would be burnt or grey, and nobody told why.
Sources: LCM-LoRA arXiv 2311.05556, SDXL-Turbo arXiv 2311.17042, SDXL-Lightning arXiv 2402.13929, Hyper-SD arXiv
2404.13686, and the sampler settings on their model cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.schedulers import Option, resolve_scheduler

FamilyName = Literal["lcm", "turbo", "lightning", "hyper"]


@dataclass(frozen=True)
class Family:
    """`schedulers`: diffusers' classes, each with the options that it needs here; the first is taken when none is
    named. `steps` and `guidance`: from, to, and what is taken when nothing is said. Guidance up to 1 is none."""

    schedulers: Mapping[str, Mapping[str, Option]]
    steps: tuple[int, int, int]
    guidance: tuple[float, float, float]


_TRAILING: Mapping[str, Option] = {"timestep_spacing": "trailing"}
FAMILIES: dict[FamilyName, Family] = {
    "lcm": Family({"LCMScheduler": {}}, (1, 12, 4), (0.0, 2.0, 1.0)),
    "turbo": Family(
        {
            "EulerAncestralDiscreteScheduler": _TRAILING,
            "EulerDiscreteScheduler": _TRAILING,
            "LCMScheduler": {},
        },
        (1, 4, 4),
        (0.0, 1.0, 1.0),
    ),
    # one-step Lightning weights predict the picture and not the noise, and Hyper's single step starts at 800
    "lightning": Family({"EulerDiscreteScheduler": _TRAILING}, (2, 8, 4), (0.0, 1.0, 1.0)),
    "hyper": Family({"DDIMScheduler": _TRAILING, "TCDScheduler": {}}, (2, 8, 8), (0.0, 1.0, 1.0)),
}


@dataclass(frozen=True)
class FewStep:
    """One alias's family, and the numbers of steps that its weights are for; empty: any of the family's."""

    alias: str
    name: FamilyName
    only: tuple[int, ...] = ()

    @property
    def family(self) -> Family:
        return FAMILIES[self.name]

    def usual(self, field: str) -> Any:
        """What is taken when neither manifest nor catalogue says anything that is allowed."""
        if field == "scheduler":
            return next(iter(self.family.schedulers))
        if field == "num_inference_steps":
            return self.only[-1] if self.only else self.family.steps[2]
        return self.family.guidance[2]

    def allowed(self, field: str, value: Any) -> str:
        """Empty when `value` suits; else what does."""
        family = self.family
        least, most, _ = family.steps
        if field == "scheduler" and resolve_scheduler(value)[0] not in family.schedulers:
            return f"{' or '.join(family.schedulers)} for {self.alias} ({self.name})"
        if field == "num_inference_steps" and not (value in self.only if self.only else least <= value <= most):
            steps = " or ".join(map(str, self.only)) if self.only else f"{least} to {most}"
            return f"{steps} steps for {self.alias} ({self.name})"
        if field == "guidance_scale" and not family.guidance[0] <= value <= family.guidance[1]:
            none = ", that is without guidance" if family.guidance[1] <= 1 else ""
            return f"{family.guidance[0]:g} to {family.guidance[1]:g} for {self.alias} ({self.name}){none}"
        return ""

    def completed(self, scheduler: str, options: Mapping[str, Option]) -> dict[str, Option]:
        """`options` with those that the family needs on this scheduler."""
        return {**options, **self.family.schedulers.get(resolve_scheduler(scheduler)[0], {})}

    def against(self, scheduler: str, options: Mapping[str, Option]) -> Iterator[tuple[str, str]]:
        """(option, what is allowed) for each that the family needs otherwise, and each spacing that it cannot have."""
        named = resolve_scheduler(scheduler, options)
        for option, value in self.family.schedulers.get(named[0], {}).items():
            if options.get(option, value) != value:
                yield option, f"{value} for {self.alias} ({self.name})"
        for option, value in named[1]:
            if option.endswith("_sigmas") and value is True:
                yield option, f"the plain spacing for {self.alias} ({self.name})"


def find_few_step(aliases: Iterable[str], known: Mapping[str, FewStep]) -> FewStep | None:
    """The few-step weights among an image's; the first, where a check has let several pass that agree."""
    return next((known[alias] for alias in aliases if alias in known), None)
