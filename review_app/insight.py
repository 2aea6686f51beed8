"""What decisions say about settings, checks and reviewers. Pure: rows in, figures out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from schemas.review import Criterion, Result, Verdict
from storage.ledger import Judged

ENOUGH = 12
"""Judged images below which a rate is no evidence."""

ASPECTS: dict[str, Callable[[Judged], list[str]]] = {
    "Asset": lambda one: [one.spec.asset],
    "Model": lambda one: [one.spec.model.alias],
    "LoRA": lambda one: [f"{lora.alias} × {lora.weight:g}" for lora in one.spec.loras] or ["none"],
    "Control": lambda one: [f"{c.type} × {c.controlnet_conditioning_scale:g}" for c in one.spec.controls] or ["none"],
    "Sampler": lambda one: [f"{one.spec.scheduler.removesuffix('Scheduler')}, {one.spec.num_inference_steps} steps"],
    "Guidance": lambda one: [f"{one.spec.guidance_scale:g}"],
    "Strength": lambda one: [f"{one.spec.strength:g}"] if one.spec.strength is not None else [],
    "Tier": lambda one: [one.spec.tier.value],
    "Take": lambda one: [str(one.spec.take)],
    "Seeds": lambda one: [_seed_range(one.spec.seed)],
}


@dataclass(frozen=True)
class Rate:
    """How many of some images were approved. `low` and `high`: 95 % interval (Wilson, JASA 22, 1927)."""

    name: str
    judged: int
    approved: int

    @property
    def rate(self) -> float:
        return self.approved / self.judged

    @property
    def low(self) -> float:
        return self._wilson(-1)

    @property
    def high(self) -> float:
        return self._wilson(1)

    def _wilson(self, side: int, z: float = 1.96) -> float:
        n, p = self.judged, self.rate
        return (p + z * z / (2 * n) + side * z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def compute_rates(judged: Iterable[Judged], aspect: Callable[[Judged], list[str]]) -> list[Rate]:
    """By value of the aspect, most judged first."""
    seen: Counter[str] = Counter()
    good: Counter[str] = Counter()
    for one in judged:
        for name in aspect(one):
            seen[name] += 1
            good[name] += one.verdict is Verdict.APPROVE
    return [Rate(name, count, good[name]) for name, count in seen.most_common()]


def list_suggestions(judged: Sequence[Judged]) -> list[str]:
    """Sentences where one value is better than another beyond chance: their intervals do not meet."""
    found = []
    for name in ("Model", "LoRA", "Control", "Sampler", "Guidance", "Strength"):
        ranked = sorted((r for r in compute_rates(judged, ASPECTS[name]) if r.judged >= ENOUGH), key=lambda r: -r.rate)
        if len(ranked) > 1 and ranked[0].low > ranked[-1].high:
            best, worst = ranked[0], ranked[-1]
            found.append(
                f"{name} {best.name}: {best.rate:.0%} of {best.judged} approved, "
                f"against {worst.rate:.0%} of {worst.judged} with {worst.name}"
            )
    return found


@dataclass(frozen=True)
class Foresight:
    """How well one check's flags would have told what was not approved."""

    check: Criterion
    flagged: int
    right: int
    """Flagged, and not approved."""
    missed: int
    """Looked at by the check, not flagged, and not approved."""
    unchecked: int

    @property
    def precision(self) -> float | None:
        return self.right / self.flagged if self.flagged else None

    @property
    def recall(self) -> float | None:
        return self.right / (self.right + self.missed) if self.right + self.missed else None


def compute_foresight(judged: Iterable[Judged]) -> list[Foresight]:
    table: dict[Criterion, Counter[str]] = {}
    for one in judged:
        for check, result in one.results.items():
            counts = table.setdefault(check, Counter())
            bad = one.verdict is not Verdict.APPROVE
            if result is Result.FLAG:
                counts["flagged"] += 1
                counts["right"] += bad
            elif result is Result.PASS:
                counts["missed"] += bad
            else:
                counts["unchecked"] += 1
    return [
        Foresight(check, counts["flagged"], counts["right"], counts["missed"], counts["unchecked"])
        for check, counts in sorted(table.items())
    ]


def compute_kappa(pairs: Sequence[tuple[Verdict, Verdict]]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance, 1 for always, 0 for as chance would. None without pairs."""
    if not pairs:
        return None
    n = len(pairs)
    observed = sum(first == second for first, second in pairs) / n
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    expected = sum(firsts[verdict] * seconds[verdict] for verdict in Verdict) / n**2
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)


def compute_paces(judged: Iterable[Judged]) -> list[tuple[str, int, float | None, float]]:
    """Reviewer, images, median seconds an image, part approved."""
    by: dict[str, list[Judged]] = {}
    for one in judged:
        by.setdefault(one.reviewer, []).append(one)
    rows = []
    for reviewer, mine in by.items():
        seconds = [one.seconds for one in mine if one.seconds is not None and one.seconds < 300]
        part = sum(one.verdict is Verdict.APPROVE for one in mine) / len(mine)
        rows.append((reviewer, len(mine), median(seconds) if seconds else None, part))
    return sorted(rows, key=lambda row: -row[1])


def _seed_range(seed: int) -> str:
    """Ranges that grow by powers of ten: people use small seeds, retakes derive large ones."""
    top = 10
    while seed >= top:
        top *= 10
    return "0 to 9" if top == 10 else f"{top // 10:,} to {top - 1:,}"
