"""How well each check tells good pictures from bad ones, on pictures whose truth is known.

    python -m bench.checks --quality [--json FILE] [--only hands,text]
    python -m bench.checks --order [--only hands,text]

Pictures are drawn (models/studio_tiny, seeds that nothing was trained on) or are the photographs and scans that
scikit-image ships. Each question has one measurement, higher for worse. The threshold that gives the best F1 is chosen
on every second picture and reported on the others, beside what the check itself flags there.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import precision_recall_curve, roc_auc_score

from bench.truth import CASES, spec
from schemas.review import Result, Verdict
from storage.ledger.learning import Lesson, Measured
from tasks.learned_order import compute_auc, list_features, list_targets, score_flags
from tasks.learned_order import measure as learn_from


@dataclass(frozen=True)
class Quality:
    """One question. `threshold` is of the measurement; precision and recall are those of the second half."""

    question: str
    pictures: int
    bad: int
    auc: float
    threshold: float
    precision: float
    recall: float
    flag_precision: float | None
    """Of the check's own flags, on the second half."""
    flag_recall: float
    errors: int
    """Findings that are neither a pass nor a flag."""


def judge(question: str, found: list[tuple[bool, float, Result]]) -> Quality:
    """`found`: whether it is bad, the measurement, and what the check says, picture by picture."""
    first, second = found[::2], found[1::2]
    threshold = best_threshold([bad for bad, *_ in first], [value for _, value, _ in first])
    precision, recall = _rates([(bad, value >= threshold) for bad, value, _ in second])
    flag_precision, flag_recall = _rates([(bad, result is Result.FLAG) for bad, _, result in second])
    return Quality(
        question, len(found), sum(bad for bad, *_ in found),
        float(roc_auc_score([bad for bad, *_ in second], [value for _, value, _ in second])),
        threshold, precision or 0.0, recall, flag_precision, flag_recall,
        sum(result not in (Result.PASS, Result.FLAG) for *_, result in found),
    )  # fmt: skip


def best_threshold(bad: list[bool], values: list[float]) -> float:
    """The one with the best F1, in the middle between two neighbouring values."""
    precision, recall, thresholds = precision_recall_curve(bad, values)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    at = int(f1[:-1].argmax())
    below = max((value for value in values if value < thresholds[at]), default=thresholds[at])
    return float((thresholds[at] + below) / 2)


def _rates(pairs: list[tuple[bool, bool]]) -> tuple[float | None, float]:
    """Precision (None without a flag) and recall of (bad, flagged)."""
    right = sum(bad and flagged for bad, flagged in pairs)
    flagged = sum(flagged for _, flagged in pairs)
    return (right / flagged if flagged else None), right / max(1, sum(bad for bad, _ in pairs))


def measure_order(only: list[str]) -> None:
    """The order that decisions teach (tasks/learned_order.py), on the same pictures: a reviewer who rejects what is bad
    and nothing else. AUC of the learned chance on pictures that were held back, and of the flags alone."""
    warnings.filterwarnings("ignore")
    cv2.setNumThreads(1)
    print(f"{'question':34}{'pictures':>9}{'bad':>5}{'learned':>9}{'±':>7}{'flags':>7}")
    everything: list[Lesson] = []
    for question, cases in CASES.items():
        if only and not any(question.startswith(name) for name in only):
            continue
        lessons = [
            Lesson(
                image="", spec=spec("", seamless=""), verdict=Verdict.REJECT if bad else Verdict.APPROVE,
                findings=(Measured(finding.check, finding.result, finding.score, finding.data),),
            )
            for bad, finding, _ in cases()
        ]  # fmt: skip
        everything += lessons
        _print_order(question, lessons)
    _print_order("all together", everything)


def _print_order(question: str, lessons: list[Lesson]) -> None:
    targets = list_targets(lessons)["all"]
    learned = learn_from([list_features(one) for one in lessons], targets, [str(n // 2) for n in range(len(lessons))])
    flags = compute_auc(targets, [score_flags(one) for one in lessons])
    print(
        f"{question:34}{len(lessons):9}{sum(targets):5}{learned['auc']:9.3f}{learned['auc_error']:7.3f}{flags:7.3f}",
        flush=True,
    )


def measure(only: list[str], out: Path | None) -> None:
    """Prints a line a question; writes them to `out`."""
    warnings.filterwarnings("ignore")
    cv2.setNumThreads(1)
    lines = []
    print(f"{'question':34}{'pictures':>9}{'bad':>5}{'AUC':>7}{'at':>8}{'prec.':>7}{'recall':>7}   flags: prec. recall")
    for question, cases in CASES.items():
        if only and not any(question.startswith(name) for name in only):
            continue
        line = judge(question, [(bad, value, finding.result) for bad, finding, value in cases()])
        lines.append(line)
        own = "    –" if line.flag_precision is None else f"{line.flag_precision:5.2f}"
        print(
            f"{question:34}{line.pictures:9}{line.bad:5}{line.auc:7.3f}{line.threshold:8.3f}{line.precision:7.2f}"
            f"{line.recall:7.2f}        {own}{line.flag_recall:7.2f}" + (f"  {line.errors} errors" * bool(line.errors)),
            flush=True,
        )
    print(f"{sum(line.pictures for line in lines)} pictures")
    if out is not None:
        body = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "command": "python -m bench.checks --quality"}
        out.write_text(json.dumps(body | {"lines": [asdict(line) for line in lines]}, indent=1) + "\n")
