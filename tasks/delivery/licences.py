"""Under which licences an image was made: of its checkpoint, of everything that it wears, of the pictures it follows.

An image that was drawn over an earlier one (a final over its draft, a repair) was made by that one's models too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.catalogue import Catalogue, is_non_commercial
from schemas.errors import LicenceRefused
from schemas.manifest import FrozenFile, Manifest
from schemas.rules.imports import IMPORTED
from schemas.spec import ImageSpec
from storage.ledger import Ledger


@dataclass(frozen=True)
class Licence:
    """`what`: a model's alias, or a picture's path in the manifest. `text`: empty where nobody said one."""

    what: str
    kind: str
    digest: str
    text: str
    is_non_commercial: bool

    def dump(self) -> dict[str, Any]:
        said: dict[str, Any] = {"what": self.what, "kind": self.kind, "sha256": self.digest, "licence": self.text}
        return said | ({"non_commercial": True} if self.is_non_commercial else {})


def list_licences(
    spec: ImageSpec,
    *,
    ancestors: Iterable[ImageSpec],
    manifest: Manifest,
    files: Mapping[str, Any],
    catalogue: Catalogue | None,
) -> tuple[Licence, ...]:
    """`files`: path in the manifest -> FrozenFile, as its submission keeps them. Each model and picture once."""
    line = [spec, *ancestors]
    models = {ref.alias: ref.digest for one in reversed(line) for ref in one.models()}
    pictures = {digest for one in line for digest in one.digests_needed()}
    return (*_of_models(models, catalogue), *_of_pictures(pictures, manifest, files))


def check_licences(licences: Iterable[Licence], manifest: Manifest) -> None:
    """Raises LicenceRefused for what must not be sold, unless the manifest says that it is not."""
    wrong = [licence for licence in licences if licence.is_non_commercial]
    if wrong and not manifest.delivery.non_commercial:
        named = ", ".join(f"{licence.kind} {licence.what} ({licence.text or 'non-commercial'})" for licence in wrong)
        raise LicenceRefused(
            f"it was made with what must not be used commercially: {named}; "
            "expected `delivery: {non_commercial: true}` in the manifest, where the image is not sold"
        )


def find_ancestors(ledger: Ledger, specs: Iterable[ImageSpec]) -> dict[str, list[ImageSpec]]:
    """Digest of a spec -> the specs that it was drawn over, the nearest first. As many queries as the longest line."""
    line: dict[str, list[ImageSpec]] = {spec.digest: [] for spec in specs}
    wanted = {spec.digest: _drawn_over(spec) for spec in specs}
    while wanted := {digest: parent for digest, parent in wanted.items() if parent is not None}:
        found = ledger.specs(set(wanted.values()))
        for digest, parent in wanted.items():
            if parent in found:
                line[digest].append(found[parent])
        wanted = {digest: _drawn_over(found[parent]) if parent in found else None for digest, parent in wanted.items()}
    return line


def _drawn_over(spec: ImageSpec) -> str | None:
    """A retake with a new seed starts from no picture of its parent's."""
    return spec.parent if spec.parent is not None and spec.source is not None else None


def _of_models(models: Mapping[str, str], catalogue: Catalogue | None) -> Iterator[Licence]:
    for alias, digest in models.items():
        entry = catalogue.entries.get(alias) if catalogue is not None else None
        if entry is None:
            yield Licence(alias, "model", digest, "", False)
        else:
            yield Licence(alias, entry.kind, digest, entry.licence, entry.is_non_commercial)


def _of_pictures(digests: set[str], manifest: Manifest, files: Mapping[str, Any]) -> Iterator[Licence]:
    said = manifest.pictures
    for path, body in files.items():
        digest = FrozenFile.model_validate(body).digest
        path = path.removeprefix(IMPORTED)
        if digest in digests and ":" not in path.removeprefix("s3:"):  # not what was drawn or converted from another
            text = said.licences.get(path, said.licence)
            yield Licence(path, "picture", digest, text, is_non_commercial(text))
