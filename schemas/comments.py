"""What people say about an image, and whom they name in it. Pure: no database, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints, field_validator

from schemas.spec import Frozen, Sha256

LONGEST = 10_000
"""Characters of a comment."""
MOST_PEOPLE = 20
"""People that one comment may name."""
MOST_UNKNOWN = 10
"""Names that nobody has, which are said back."""


class Concern(StrEnum):
    """Why a comment is for somebody: it names her, or answers on an image where she wrote. Others only see it."""

    MENTION = "mention"
    ANSWER = "answer"
    SEEN = "seen"


class NewComment(Frozen):
    """A comment as a page sends it. `token`: chosen by the page, so that sending it again writes it once."""

    image: Sha256
    text: str
    token: Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{8,40}$")]

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        if len(text) > LONGEST:
            raise ValueError(f"got {len(text):,} characters; expected at most {LONGEST:,}")
        if "\0" in text:
            raise ValueError("got the NUL character; expected text without it")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError("got half of a letter (a lone surrogate); expected whole ones")
        if not text.strip():
            raise ValueError("got nothing but white space; expected some words")
        return text.strip()


@dataclass(frozen=True)
class Mentions:
    """`known`: people, as the ledger writes them. `unknown`: what stands behind an @ and is nobody's name, or more than
    one person's; in the order of the text."""

    known: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


AT = re.compile(r"(?<![\w.@])@(?=\S)")
"""The sign before a name. One inside a word is an e-mail address."""
NAME = re.compile(r"[\w.+-]+(?:@[\w-]+(?:\.[\w-]+)+)?")


def find_mentions(text: str, people: Iterable[str]) -> Mentions:
    """Who is named by `@name`, whatever the case: the whole name (`@Mara Lind`, the longest that fits), or its first
    word or the part before an e-mail's @, where only one person's begins so."""
    whole, short = _index(people)
    lengths = sorted({len(name) for name in (*whole, *short)}, reverse=True)
    known, unknown = dict[str, None](), dict[str, None]()
    for at in AT.finditer(text):
        named = _longest(text, at.end(), whole, lengths) or _longest(text, at.end(), short, lengths)
        if len(named) == 1:
            known[named[0]] = None
        elif name := NAME.match(text, at.end()):
            unknown[name[0].rstrip(".-+")[:80]] = None
    return Mentions(tuple(known), tuple(unknown))


def _longest(text: str, start: int, people: Mapping[str, list[str]], lengths: list[int]) -> list[str]:
    """Of the names that the text has from there, the longest one's people. A name ends where its word ends."""
    for length in lengths:
        end = start + length
        inside = text[end - 1 : end].isalnum() and text[end : end + 1].isalnum()
        if not inside and (named := people.get(text[start:end].casefold())):
            return named
    return []


def _index(people: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """People by name, and by their first word, in lower case."""
    whole, short = dict[str, list[str]](), dict[str, list[str]]()
    for person in sorted(set(people)):
        whole.setdefault(person.casefold(), [person])
        first = person.partition("@")[0] if "@" in person else person.partition(" ")[0]
        if first and first != person:
            short.setdefault(first.casefold(), []).append(person)
    return whole, short
