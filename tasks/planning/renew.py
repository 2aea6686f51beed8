"""Images that wait for review follow their newest order: criteria, place in the inbox, number of reviewers, findings.

The pictures stay as they are. The checks run again only where what they compare with changed; then the image's bytes
are read once. Doing it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from prefect import task
from prefect.cache_policies import NO_CACHE

from schemas.errors import DailiesError, LedgerUnavailable, StoreUnavailable
from schemas.review import count_reviews, rank_in_inbox
from schemas.settings import Limits
from storage.failpoint import failpoint
from storage.ledger.new_images import OutdatedFindings
from storage.pictures import decode
from tasks.checking import Checker, Rules
from tasks.parts import Parts, current_parts


@dataclass
class Renewed:
    """How many waiting images follow another order now, for how many of them the checks ran again, and what failed."""

    images: int = 0
    checked: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.images} waiting images follow another order now; the checks ran again on {self.checked}"


@task(name="renew", cache_policy=NO_CACHE, persist_result=False)
def renew_waiting() -> Renewed:
    """The night's own call of `renew`."""
    return renew(current_parts())


def renew(parts: Parts) -> Renewed:
    """Brings every waiting image under the rules of its newest order. An image whose bytes cannot be read is told,
    stays as it was, and is tried again the next time."""
    result = Renewed()

    checker = Checker(parts)

    @cache
    def rules(submission: str) -> Rules:
        order = parts.ledger.submission(submission)
        return checker.rules(submission, order.body, order.files)

    for outdated in parts.ledger.outdated():
        failpoint("renew.before_image")
        try:
            before, newest = rules(outdated.before or outdated.newest), rules(outdated.newest)
            checked = _renew(parts, outdated, checker, before, newest)
        except (LedgerUnavailable, StoreUnavailable):
            raise
        except (DailiesError, KeyError) as error:
            image = outdated.image
            result.problems.append(f"{image.asset} (image {image.digest[:12]}) could not be checked again: {error}")
            continue
        if checked is not None:
            result.images += outdated.before != outdated.newest
            result.checked += checked
    return result


def _renew(parts: Parts, outdated: OutdatedFindings, checker: Checker, before: Rules, newest: Rules) -> bool | None:
    """Whether the checks ran again; None when another order came, or a decision."""
    image, spec = outdated.image, outdated.spec
    criteria = newest.manifest.criteria_of(newest.manifest.asset(spec.asset))
    again = parts.settings.checks and before.compared_with(spec) != newest.compared_with(spec)
    if again:
        limits = Limits(source_bytes=image.bytes, source_pixels=image.width * image.height)
        pixels = decode(parts.store.get(image.object_key), limits=limits)
        findings = checker.check(spec, pixels, newest, criteria).findings
        if spec.background is not None and spec.background.model is None:  # what was refused is refused again
            refused = parts.cut_outs.cut(pixels, spec).finding
            findings += [refused] if refused is not None else []
    else:
        findings = parts.ledger.findings(image.digest)
    kept = parts.ledger.renew_entry(
        image.digest,
        submission=outdated.newest,
        criteria=criteria,
        reviews_wanted=count_reviews(spec.digest, newest.manifest.review.double_share),
        steps=newest.manifest.review.steps,
        rank=rank_in_inbox(newest.manifest.priority, findings),
        findings=findings if again else None,
    )
    return again if kept else None
