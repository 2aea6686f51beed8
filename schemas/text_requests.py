"""The words that must be read in each image of a manifest: `$placeholders` filled in with the image's own values."""

from __future__ import annotations

from string import Template

from schemas.manifest import AnyAsset, Manifest, TextRequest
from schemas.matrix import Matrix
from schemas.resolved import Resolved


class TextRequests:
    """Of one manifest. An asset's variants are enumerated once, and only if its words have placeholders."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._by_variant: dict[str, dict[str, TextRequest]] = {}

    def find(self, asset: str, variant: str) -> TextRequest | None:
        """None when nothing must be read. Raises KeyError for an asset, or a variant, that the manifest does not have
        and whose words would be needed."""
        known = self._manifest.asset(asset)
        request = self._manifest.text_request(known)
        if request is None or "$" not in request.must_read:
            return request
        if asset not in self._by_variant:
            self._by_variant[asset] = fill_requests(self._manifest, known, request)
        return self._by_variant[asset][variant]


def fill_requests(manifest: Manifest, asset: AnyAsset, request: TextRequest) -> dict[str, TextRequest]:
    """Variant -> what must be read in it."""
    template = Template(request.must_read)
    return {
        combination.variant: request.model_copy(
            update={
                "must_read": template.substitute(
                    Resolved(manifest, asset, combination.at["tier"]).words(combination.at)
                )
            }
        )
        for combination in Matrix(manifest, asset)
    }
