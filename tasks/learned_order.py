"""The inbox in the order that this studio's own decisions teach: likely rejections first, within a priority.

A logistic regression over what the checks measured and how the image was made; asset names and prompts are left out, so
that it learns of pictures and not of orders. It is measured on decisions that it has not seen, with all images of an
asset on one side. Where it has too few decisions, or is no better than chance there, the order stays as it is. It hides
nothing and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from schemas.review import Criterion, Mark, Reason, Result, Verdict
from storage.ledger import Ledger, Lesson
from tasks.parts import current_parts

ENOUGH = 30
"""Of approved and of rejected images each, below which nothing is learned."""
MOST = 5_000
"""Newest decisions that are learned from."""
FOLDS = 5
SURE = 1.64
"""Standard errors of the AUC by which it must lie above chance (one-sided, 95%)."""
ALL = "all"
REASONS = {
    Reason.HANDS: Criterion.HANDS,
    Reason.TEXT: Criterion.TEXT,
    Reason.TEXT_WRONG: Criterion.TEXT,
    Reason.OFF_BRAND: Criterion.BRAND,
    Reason.COMPOSITION: Criterion.COMPOSITION,
    Reason.ARTEFACT: Criterion.TECHNICAL,
    Reason.SEAM: Criterion.TECHNICAL,
}

Features = dict[str, float]


@dataclass(frozen=True)
class Learned:
    """What became of a training. `report`: by criterion, as the ledger keeps it and Insights shows it."""

    outcome: str
    decisions: int
    report: dict[str, dict[str, Any]] = field(default_factory=dict)
    ordered: int = 0
    """Waiting images that were given a place."""


@task(name="learn order", cache_policy=NO_CACHE, persist_result=False)
def learn_waiting_order() -> Learned | None:
    """The night's own call; None where the settings switch it off, which gives back the order without it."""
    parts = current_parts()
    if parts.settings.learned_order:
        return learn_order(parts.ledger)
    parts.ledger.reset_order()
    return None


def learn_order(ledger: Ledger) -> Learned:
    """Learns from the newest decisions, orders what waits, and keeps the report."""
    # 1. Enough of both, or nothing: the count costs one query, the rest some seconds.
    counts = ledger.count_lessons()
    wrong = sum(count for verdict, count in counts.items() if verdict is not Verdict.APPROVE)
    if min(counts.get(Verdict.APPROVE, 0), wrong) < ENOUGH:
        short = {"approved": counts.get(Verdict.APPROVE, 0), "rejected": wrong, "wanted": ENOUGH}
        learned = Learned("too few decisions", sum(counts.values()), {ALL: short})
    else:
        learned = _learn(ledger, ledger.lessons(limit=MOST))
    # 2. What it came to, whatever it was.
    ledger.keep_training(decisions=learned.decisions, outcome=learned.outcome, report=learned.report)
    return learned


def _learn(ledger: Ledger, lessons: Sequence[Lesson]) -> Learned:
    features, groups = [list_features(lesson) for lesson in lessons], [lesson.spec.asset for lesson in lessons]
    report: dict[str, dict[str, Any]] = {}
    models: dict[str, Any] = {}
    wanted = list_targets(lessons)
    for name, targets in wanted.items():
        if min(sum(targets), len(targets) - sum(targets)) < ENOUGH:
            report[name] = {"approved": len(targets) - sum(targets), "rejected": sum(targets), "wanted": ENOUGH}
            continue
        report[name] = measure(features, targets, groups)
        if report[name]["better_than_chance"]:
            models[name] = model = _make_model().fit(features, targets)
            report[name]["weights"] = _list_weights(model)
    if ALL not in models:
        outcome = "no better than chance" if "auc" in report[ALL] else "too few decisions"
        return Learned(outcome, len(lessons), report)
    report[ALL]["auc_of_flags"] = compute_auc(wanted[ALL], [score_flags(lesson) for lesson in lessons])
    return Learned("in use", len(lessons), report, _order(ledger, models))


def _order(ledger: Ledger, models: Mapping[str, Any]) -> int:
    """`models`: scikit-learn's, by criterion."""
    ordered, after = 0, ""
    while page := ledger.waiting_lessons(after=after):
        features = [list_features(lesson) for lesson in page]
        said = {name: model.predict_proba(features)[:, 1] for name, model in models.items()}
        chances = {
            lesson.image: {name: round(float(values[number]), 4) for name, values in said.items()}
            for number, lesson in enumerate(page)
        }
        ledger.reorder(chances)
        ordered, after = ordered + len(page), page[-1].image
    return ordered


def list_targets(lessons: Iterable[Lesson]) -> dict[str, list[int]]:
    """1 where an image was not approved, and by criterion where it was the reason, else 0."""
    lessons = list(lessons)
    targets = {ALL: [int(lesson.verdict is not Verdict.APPROVE) for lesson in lessons]}
    for criterion in Criterion:
        targets[criterion.value] = [
            int(
                (lesson.marks or {}).get(criterion) is Mark.BAD
                or any(REASONS.get(reason) is criterion for reason in lesson.reasons)
            )
            for lesson in lessons
        ]
    return targets


def list_features(lesson: Lesson) -> Features:
    """What the checks measured, and how it was made: numbers by name. What was not measured is absent."""
    spec, found = lesson.spec, Features()
    for finding in lesson.findings:
        name = finding.check.value
        found[f"{name} score"] = finding.score
        found[f"{name} {finding.result.value}"] = 1.0
        for key, value in finding.data.items():
            if isinstance(value, bool | int | float) and math.isfinite(value):
                found[f"{name}: {key}"] = max(-1e6, min(1e6, float(value)))
                found[f"{name}: {key} measured"] = 1.0
    found |= {"take": min(spec.take, 5), "guidance_scale": spec.guidance_scale, "controls": len(spec.controls)}
    found |= {"strength": spec.strength or 0.0, "references": len(spec.references)}
    found |= {f"kind {spec.kind.value}": 1.0, f"tier {spec.tier.value}": 1.0, f"model {spec.model.alias}": 1.0}
    return found


def measure(features: Sequence[Features], targets: Sequence[int], groups: Sequence[str]) -> dict[str, Any]:
    """On decisions that each of FOLDS models had not seen: AUC with its standard error, Brier score, calibration."""
    from sklearn.metrics import brier_score_loss
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

    by_group = min(len({group for group, one in zip(groups, targets, strict=True) if one == said}) for said in (0, 1))
    folds: Any = StratifiedGroupKFold if by_group >= FOLDS else StratifiedKFold
    chances = cross_val_predict(
        _make_model(), list(features), list(targets),
        groups=list(groups), cv=folds(FOLDS, shuffle=True, random_state=0), method="predict_proba",
    )[:, 1]  # fmt: skip
    auc, wrong = compute_auc(targets, chances), sum(targets)
    error = compute_auc_error(auc, wrong, len(targets) - wrong)
    return {
        "approved": len(targets) - wrong,
        "rejected": wrong,
        "auc": round(auc, 4),
        "auc_error": round(error, 4),
        "better_than_chance": bool(auc - SURE * error > 0.5),
        "brier": round(float(brier_score_loss(list(targets), chances)), 4),
        "calibration": _calibrate(targets, [float(chance) for chance in chances]),
    }


def compute_auc(targets: Sequence[int], scores: Sequence[float]) -> float:
    """The share of pairs of a rejected and an approved image in which the rejected one has the higher score."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(list(targets), list(scores)))


def compute_auc_error(auc: float, wrong: int, right: int) -> float:
    """Hanley and McNeil (1982), formula 1."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (wrong - 1) * (one - auc**2) + (right - 1) * (two - auc**2)
    return math.sqrt(max(variance, 0.0) / (wrong * right))


def _make_model() -> Any:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(DictVectorizer(sparse=False), StandardScaler(), LogisticRegression(C=0.3, max_iter=1_000))


def _calibrate(targets: Sequence[int], chances: Sequence[float]) -> list[dict[str, float]]:
    """Fifths of the images by their chance: the mean chance that was said, the share that was rejected."""
    order = sorted(range(len(chances)), key=lambda number: chances[number])
    fifths = [order[len(order) * part // 5 : len(order) * (part + 1) // 5] for part in range(5)]
    return [
        {
            "images": len(fifth),
            "said": round(sum(chances[number] for number in fifth) / len(fifth), 4),
            "was": round(sum(targets[number] for number in fifth) / len(fifth), 4),
        }
        for fifth in fifths
    ]


def _list_weights(model: Any) -> list[list[Any]]:
    """The eight features that count most: name, and weight of a standard deviation; above 0 speaks for a rejection."""
    names, weights = model[0].get_feature_names_out(), model[-1].coef_[0]
    most = sorted(zip(names, weights, strict=True), key=lambda pair: -abs(pair[1]))[:8]
    return [[str(name), round(float(weight), 3)] for name, weight in most]


def score_flags(lesson: Lesson) -> float:
    """The order without learning: flagged, could not be checked, the rest."""
    results = {finding.result for finding in lesson.findings}
    return 2.0 if Result.FLAG in results else 1.0 if Result.ERROR in results else 0.0
