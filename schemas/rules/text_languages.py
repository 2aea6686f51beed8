"""Whether the reader of each asset's text is there, and knows the letters that must be read. Opens no weights.

Every rule yields (path, what came, what is allowed), as schemas/rules/consistency.py does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.errors import UnfitWeights
from schemas.manifest import AnyAsset, Manifest
from schemas.names import OneOf
from schemas.reading.tree import Broken, Path
from schemas.review import Criterion
from schemas.settings import TextReader
from schemas.text_requests import fill_requests
from schemas.weights.text_readers import list_letters

NAMED = 12
"""Letters that the message names."""


def find_unreadable(manifest: Manifest, readers: Mapping[str, TextReader]) -> Iterator[Broken]:
    """Languages without a reader in the settings, and words that must be read with letters that their reader lacks.
    Where rapidocr is not installed, the letters of its own model are not known and are not judged."""
    brand = manifest.brand.text_language
    if brand is not None:
        yield from _judge_language(brand, readers, ("brand", "text_language"))
    for index, asset in enumerate(manifest.assets):
        request = manifest.text_request(asset)
        if request is None or Criterion.TEXT not in manifest.criteria_of(asset):
            continue
        at: Path = ("assets", index, "text") if asset.text else ("defaults", "text")
        if request.language is not None:
            yield from _judge_language(request.language, readers, (*at, "language"))
        language = request.language or brand
        if language is not None and language not in readers:
            continue
        try:
            letters = list_letters(readers[language] if language else None)
        except UnfitWeights:
            continue  # said of the language
        if letters is not None:
            yield from _judge_letters(manifest, asset, letters, language, (*at, "must_read"))


def _judge_language(language: str, readers: Mapping[str, TextReader], at: Path) -> Iterator[Broken]:
    if language not in readers:
        yield at, f"got {language!r}", OneOf(language, readers, "a language of `text_readers` in dailies.toml: ")
        return
    try:
        list_letters(readers[language])
    except UnfitWeights as wrong:
        yield at, f"got {language!r}, whose reader cannot be used: {wrong}", "a reader that can be opened"


def _judge_letters(
    manifest: Manifest, asset: AnyAsset, letters: frozenset[str], language: str | None, at: Path
) -> Iterator[Broken]:
    request = manifest.text_request(asset)
    if request is None:
        return
    filled = fill_requests(manifest, asset, request).values() if "$" in request.must_read else (request,)
    for words in dict.fromkeys(each.must_read for each in filled):
        if missing := find_missing_letters(words, letters):
            named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
            reader = f"the reader for {language!r}" if language else "the reader that ships"
            came = f"got {words!r}, in which {reader} cannot read {named}"
            yield at, came, "letters that it knows, or `text: {language: ...}` with a reader of dailies.toml's"
            return


def find_missing_letters(words: str, letters: frozenset[str]) -> list[str]:
    """Letters of `words` that a reader does not know, in either case, each once."""
    return [
        letter
        for letter in dict.fromkeys(words)
        if not letter.isspace() and letters.isdisjoint({letter, *letter.lower(), *letter.upper()})
    ]
