"""What other tools write into prompts and the encoders here would read as words: found, and answered with what says it
in a manifest.

Weights are as in AUTOMATIC1111 (`(word:1.2)`, `[word]`, `BREAK`: engine/prompts.py). Everything else of another tool is
refused, since a prompt with it would be drawn and nobody told. A backslash makes it ordinary text: `\\{a|b\\}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from schemas.manifest import Manifest
from schemas.reading.tree import Path

Foreign = tuple[str, str]
"""What came, and what says it here."""

_FREE = r"(?<![\\$])"
"""Neither escaped nor a placeholder's."""
_LORA = re.compile(rf"{_FREE}<\s*(lora|lyco|locon|hypernet):([^:<>]*):?([^<>]*)>", re.IGNORECASE)
_EMBEDDING = re.compile(r"(?<![\\\w])embedding:([\w./-]+)", re.IGNORECASE)
_CHOICE = re.compile(rf"{_FREE}\{{([^{{}}]*\|[^{{}}]*)(?<!\\)\}}")
_CARD = re.compile(r"(?<![\\\w.])__(\w(?:[\w /-]*\w)?)__(?!\w)")
_SCHEDULE = re.compile(rf"{_FREE}\[([^\[\]]*):\s*\d*\.?\d+\s*\]")
_ALTERNATION = re.compile(rf"{_FREE}\[([^\[\]:]*\|[^\[\]]*)\]")
_COMMA = re.compile(rf"{_FREE}\(([^()]*):\s*(\d+),(\d+)\s*\)")
_WEIGHT = re.compile(r":\s*[+-]?\d*\.?\d+\s*\)")
_FLAG = re.compile(
    r"(?:^|(?<=\s))--(ar|aspect|no|seed|style|stylize|s|chaos|c|v|niji|q|quality|tile|iw|sref|cref)\b\s*(\S*)"
)
_PART = re.compile(r"(?<=\w)::\s*-?\d+(\.\d+)?(?!\w)")
_AND = re.compile(r"(?<![\\\w])AND(?!\w)")
_ESCAPE = re.compile(r"\\(\\|(?=[{}<>|_]|AND\b|embedding:))")

_FLAGS = {
    "ar": "size",
    "aspect": "size",
    "no": "negative_prompt",
    "seed": "seeds: [{0}]",
    "tile": "kind: texture with seamless: both",
    "iw": "references",
    "sref": "references",
    "cref": "references",
}


def find_foreign_syntax(text: str) -> Iterator[Foreign]:
    """Every piece of `text` that is another tool's, with what to write instead. A few dozen letters each."""
    for found in _LORA.finditer(text):
        name, weight = found[2].strip() or "alias", found[3].strip() or "1.0"
        yield _quoted(found[0], "a LoRA of other tools"), f"`loras: {{{name}: {weight}}}` beside the prompt"
    for found in _EMBEDDING.finditer(text):
        says = f"`embeddings: [{found[1]}]` beside the prompt, and its word in it"
        yield _quoted(found[0], "a textual inversion of ComfyUI"), says
    for found in _CHOICE.finditer(text):
        choices = ", ".join(choice.strip() for choice in found[1].split("|"))
        yield (
            _quoted(found[0], "a choice of other tools"),
            f"`$choice` in the prompt and `values: {{choice: [{choices}]}}`",
        )
    for found in _CARD.finditer(text):
        name = re.sub(r"\W+", "_", found[1])
        yield _quoted(found[0], "a wildcard of other tools"), f"`${name}` in the prompt and `values: {{{name}: [...]}}`"
    for found in _SCHEDULE.finditer(text):
        yield (
            _quoted(found[0], "words that change at a step"),
            "words that hold for all steps: nothing here changes them",
        )
    for found in _ALTERNATION.finditer(text):
        words = ", ".join(word.strip() for word in found[1].split("|"))
        says = f"one of them, or `$word` in the prompt and `values: {{word: [{words}]}}` for an image of each"
        yield _quoted(found[0], "words that alternate from step to step"), says
    for found in _COMMA.finditer(text):
        yield _quoted(found[0], "a weight with a comma"), f"a point: ({found[1]}:{found[2]}.{found[3]})"
    for found in _FLAG.finditer(text):
        field = _FLAGS.get(found[1])
        says = f"`{field.format(found[2])}` beside the prompt" if field else "a field of the manifest beside the prompt"
        yield _quoted(found[0].strip(), "a parameter of Midjourney"), says
    for found in _PART.finditer(text):
        yield _quoted(found[0], "a weight of Midjourney"), "brackets around the words: (words:1.2)"
    yield from _unclosed(text)


def _unclosed(text: str) -> Iterator[Foreign]:
    """Brackets that weigh nothing because their other half is missing."""
    opened: list[int] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            at += 1
        elif letter == "(":
            opened.append(at)
        elif letter == ")" and opened:
            opened.pop()
        elif letter == ")" and (weight := next((w for w in _WEIGHT.finditer(text) if w.end() == at + 1), None)):
            yield _quoted(text[max(0, weight.start() - 20) : at + 1], "a weight without its '('"), "(words:1.2)"
        at += 1
    for start in opened[:3]:
        yield (
            _quoted(text[start : start + 24], "a '(' that is never closed"),
            "(words:1.2), or \\( for a bracket in the text",
        )


def compose_prompt(text: str) -> bool:
    """Whether AND stands in it in capitals, by which other tools compose prompts. Here it is the word "and"."""
    return _AND.search(text) is not None and text != text.upper()


def unescape(text: str) -> str:
    """Without the backslashes that made another tool's syntax ordinary text. Those of brackets stay: engine/prompts.py
    reads them, for it has brackets of its own."""
    return _ESCAPE.sub(lambda found: found[0] if found[1] else "", text) if "\\" in text else text


def list_prompts(manifest: Manifest) -> Iterator[tuple[Path, str]]:
    """(path, text) of everything that gets into a prompt, each where it stands."""
    for name, style in manifest.styles.items():
        yield ("styles", name, "prompt"), style.prompt
        yield ("styles", name, "negative_prompt"), style.negative_prompt
    sections: list[tuple[Path, Any]] = [(("defaults",), manifest.defaults)]
    sections += [(("assets", index), asset) for index, asset in enumerate(manifest.assets)]
    for at, section in sections:
        for field in ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2"):
            for index, text in enumerate(getattr(section, field, None) or ()):
                yield (*at, field, index), text
        for name, texts in section.values.items():
            for index, text in enumerate(texts):
                yield (*at, "values", name, index), text


def find_misread_prompts(manifest: Manifest) -> Iterator[tuple[Path, str, str]]:
    """(path, what came, what is allowed) for every piece of another tool's syntax in a manifest's prompts."""
    for path, text in list_prompts(manifest):
        if any(letter in text for letter in _SIGNS):
            for came, says in find_foreign_syntax(text):
                yield path, came, says if "\\" in says else f"{says}; or a backslash before it for plain text"


_SIGNS = "<{[(_:-)"


def _quoted(text: str, what: str) -> str:
    return f"got {text[:60]!r}, {what}"
