"""What the checks are told of an image, beside its pixels: its manifest's rules, and the asset's other images.

Used where an image is kept for the first time, and where it is checked again under another order's rules.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from schemas.logs import about_spec
from schemas.manifest import Manifest
from schemas.review import Criterion, Finding, Result
from schemas.spec import ImageSpec
from schemas.text_requests import TextRequests
from storage.pictures import decode
from tasks.retry import retry

if TYPE_CHECKING:
    from checks.logos import Logos
    from checks.look import LookSet
    from tasks.parts import Parts

log = logging.getLogger(__name__)

CHECKED = (Criterion.HANDS, Criterion.TEXT, Criterion.BRAND, Criterion.TECHNICAL)


@dataclass(frozen=True)
class Rules:
    """One submission's."""

    manifest: Manifest
    requests: TextRequests
    logos: tuple[tuple[str, str], ...] = ()
    """Name and object key of each of the brand's logos."""
    references: tuple[tuple[str, str], ...] = ()
    """Path and object key of each picture that shows the brand."""

    def compared_with(self, spec: ImageSpec) -> tuple[object, ...]:
        """Everything that the findings of an image depend on, beside its pixels."""
        manifest = self.manifest
        criteria = set(manifest.criteria_of(manifest.asset(spec.asset)))
        return manifest.brand, self.logos, self.references, criteria, self.requests.find(spec.asset, spec.variant)


@dataclass(frozen=True)
class Checked:
    """What the checks say of one image. Without checks there is neither hash nor colours."""

    findings: list[Finding]
    phash: str | None = None
    colours: str | None = None


class Checker:
    """Several threads may share one. Submissions and hashes are read once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rules: dict[str, Rules] = {}
        self._logos: dict[tuple[tuple[str, str], ...], Logos] = {}
        self._hashes: dict[tuple[str, str], dict[str, str]] = {}
        self._looks: dict[tuple[str, tuple[tuple[str, str], ...]], LookSet] = {}

    def rules(self, submission: str, body: dict[str, Any], files: Mapping[str, Any]) -> Rules:
        """`body`: the submission's manifest; `files`: path -> FrozenFile of every picture that it names."""
        if submission not in self._rules:
            manifest = Manifest.model_validate(body)
            logos = tuple((PurePosixPath(path).stem, str(files[path]["key"])) for path in manifest.brand.logos)
            shown = tuple((path, str(files[path]["key"])) for path in manifest.brand.references)
            self._rules[submission] = Rules(manifest, TextRequests(manifest), logos, shown)
        return self._rules[submission]

    def check(self, spec: ImageSpec, pixels: Any, rules: Rules, criteria: Sequence[Criterion]) -> Checked:
        """pixels: uint8 [height, width, 3]. Never raises for what a check does; the ledger's errors pass."""
        if not self._parts.settings.checks:
            return Checked(_all(Result.NOT_CHECKED, "checks are switched off"))
        siblings = self._siblings(spec)
        others = {digest: phash for digest, phash in list(siblings.items()) if digest != spec.digest}
        try:
            from checks.run import Expectations, compute_perceptual_hash, list_main_colours, run_checks

            expected = Expectations(
                guide=rules.manifest.brand,
                text_request=rules.requests.find(spec.asset, spec.variant),
                siblings=others,
                hand_model=self._parts.settings.hand_model,
                text_readers=self._parts.settings.text_readers,
                logos=self._open_logos(rules) if Criterion.BRAND in criteria else None,
                approved=self._list_looks(spec, rules) if Criterion.BRAND in criteria else None,
            )
            findings = run_checks(pixels, spec, expected, criteria=criteria)
            siblings[spec.digest] = compute_perceptual_hash(pixels)
            colours = list_main_colours(pixels)
        except Exception as error:  # no check may keep an image from a person, and none that crashed is silent
            log.exception("the checks of %s %s crashed", spec.asset, spec.variant, extra=about_spec(spec))
            return Checked(_all(Result.ERROR, f"the checks crashed: {type(error).__name__}: {error}"[:500]))
        return Checked(findings, siblings[spec.digest], colours)

    def _open_logos(self, rules: Rules) -> Logos | None:
        """The submission's logos as pictures, read once."""
        from checks.logos import Logos

        if not rules.logos:
            return None
        if rules.logos not in self._logos:
            store, limits = self._parts.store, self._parts.settings.limits
            pictures = {name: decode(retry(partial(store.get, key)), limits=limits) for name, key in rules.logos}
            self._logos[rules.logos] = Logos(pictures, rules.manifest.brand.tolerance)
        return self._logos[rules.logos]

    def _list_looks(self, spec: ImageSpec, rules: Rules) -> LookSet:
        """The project's approved images and the brand's references, read once; without the image itself."""
        from checks.brand import measure_picture
        from checks.look import LookSet

        asked = spec.project, rules.references
        if asked not in self._looks:
            found = retry(lambda: self._parts.ledger.approved_looks(spec.project))
            for path, key in rules.references:
                picture = decode(retry(partial(self._parts.store.get, key)), limits=self._parts.settings.limits)
                found[path] = measure_picture(picture)
            self._looks[asked] = LookSet(found)
        return self._looks[asked].without(spec.digest)

    def _siblings(self, spec: ImageSpec) -> dict[str, str]:
        """Perceptual hashes of the asset's images so far."""
        asset = (spec.project, spec.asset)
        if asset not in self._hashes:
            self._hashes[asset] = retry(lambda: self._parts.ledger.phashes(*asset))
        return self._hashes[asset]


def _all(result: Result, sentence: str) -> list[Finding]:
    return [Finding(check=check, result=result, sentence=sentence) for check in CHECKED]
