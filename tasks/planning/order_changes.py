"""What a new order changes for images that were ordered before: everything about them that is not in their digest.

The newest order counts (storage/ledger/orders.py), so this is said before it is sent. Pictures never change by
it: other words or settings give other digests, which are other images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from schemas.fields import fill_delivery_name
from schemas.manifest import AnyAsset, Manifest
from schemas.spec import ImageSpec

if TYPE_CHECKING:
    from storage.ledger import Ledger

CHECKED = ("brand rules", "words to be read", "criteria")
"""What findings depend on."""


def read_terms(manifest: Manifest, asset: AnyAsset) -> dict[str, Any]:
    """Everything that a manifest says of an asset's images and that is not in their digest, by what it is called."""
    review = manifest.review
    return {
        "delivery name": manifest.delivery_name_of(asset),
        "rules of delivery": manifest.delivery.model_copy(update={"name": None, "licence": ""}),
        "licence": manifest.delivery.licence,
        "brand rules": manifest.brand,
        "words to be read": manifest.text_request(asset),
        "criteria": tuple(sorted(manifest.criteria_of(asset))),
        "share of double reviews": review.double_share,
        "steps of the review": review.steps,
        "number of retakes": review.max_retakes,
        "proposals for retakes": review.retakes,
        "backgrounds": review.backgrounds,
        "promotion": manifest.promotion,
        "maps": getattr(asset, "maps", ()),
        "metal": (getattr(asset, "metallic", 0.0), getattr(asset, "metallic_mask", None)),
        "priority": manifest.priority,
        "due date": manifest.due,
    }


def list_order_changes(manifest: Manifest, specs: Iterable[ImageSpec], ledger: Ledger) -> list[str]:
    """One sentence for each thing that this manifest would change, were it submitted now; none for a first order."""
    # 1. What counts for these images until now
    by_digest = {spec.digest: spec for spec in specs}
    briefs = ledger.briefs(by_digest)
    if not briefs:
        return []
    made = ledger.made(briefs)
    waiting = ledger.waiting_images(made)
    delivered = ledger.delivered_names(made)
    before = {brief.submission: Manifest.model_validate(brief.manifest_body) for brief in briefs.values()}

    # 2. What is different, image by image
    changed: dict[tuple[str, Any, Any], list[str]] = defaultdict(list)
    known: dict[tuple[str, str], list[tuple[str, Any, Any]]] = {}
    renamed: list[tuple[str, str]] = []
    for digest, brief in briefs.items():
        spec, key = by_digest[digest], (brief.submission, by_digest[digest].asset)
        if key not in known:
            known[key] = compare_terms(before[brief.submission], manifest, spec.asset)
        for name, old, new in known[key]:
            changed[name, old, new].append(digest)
            if name == "delivery name" and digest in delivered:
                renamed.append((delivered[digest], fill_delivery_name(new, spec)))

    # 3. Sentences
    names = Counter(brief.name for brief in briefs.values())
    earlier = f" (until now as in {names.most_common(1)[0][0]})"
    lines = []
    for (name, old, new), digests in changed.items():
        lines.append(f"{_count(digests, made)}: {describe_change(name, old, new)}{earlier}")
    again = {digest for (name, *_), digests in changed.items() if name in CHECKED for digest in digests} & waiting
    if again:
        lines.append(f"the findings of {_images(len(again))} in the inbox are computed again; no picture changes")
    if renamed:
        old_name, new_name = renamed[0]
        lines.append(
            f"{_images(len(renamed))} left under the old name and will stay there, such as {old_name}; "
            f"`dailies deliver --again` delivers anew, that one as {new_name}"
        )
    return lines


def compare_terms(before: Manifest, after: Manifest, asset: str) -> list[tuple[str, Any, Any]]:
    """(what, old value, new value) of the terms that differ for an asset that both have."""
    try:
        old, new = read_terms(before, before.asset(asset)), read_terms(after, after.asset(asset))
    except KeyError:  # a promotion or a retake of an asset that the newer manifest does not have
        return []
    return [(name, _hashable(old[name]), _hashable(new[name])) for name in new if old[name] != new[name]]


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, Mapping) else value


def _count(digests: list[str], made: set[str]) -> str:
    exist = sum(digest in made for digest in digests)
    planned = len(digests) - exist
    parts = [f"{_images(exist)} exist{'s' * (exist == 1)}"] if exist else []
    if planned:
        parts.append(f"{_images(planned)} {'is' if planned == 1 else 'are'} planned")
    return " and ".join(parts)


def _images(many: int) -> str:
    return f"{many} image{'s' * (many != 1)}"


def describe_change(name: str, old: Any, new: Any) -> str:
    """ "the licence changes from A to B"."""
    if name in ("brand rules", "words to be read", "proposals for retakes", "promotion", "rules of delivery", "metal"):
        return f"the {name} {'changes' if name in ('promotion', 'metal') else 'change'}"
    verb = "change" if name in ("criteria", "maps", "steps of the review", "backgrounds") else "changes"
    return f"the {name} {verb} from {_spoken(old)} to {_spoken(new)}"


def _spoken(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)
