"""A YAML error as a person would put it: where it is, what YAML took it for, and the line as it should be.

The parser says where it gave up, which is often after the slip. Here the lines from there backwards are held against
the slips that are made most; what fits none of them keeps the parser's own words, with what they mean.
"""

from __future__ import annotations

import re

Slip = tuple[int, int, str, str]
"""Line and column from 1, what came, and what to write."""

_BARE_HASH = re.compile(r"[\[,:]\s*(#[0-9a-fA-F]{3,8})\b")
_HASH_LIST = re.compile(r"#[0-9a-fA-F]{3,8}")
_NEVER_FIRST = re.compile(r"^(\s*(?:- )?[\w.$/-]+:\s+|\s*- )([@`%].*?)\s*$")
_PAIR = re.compile(r"^(\s*(?:- )?)([\w.$/-]+):\s+([^\s\"'{\[|>&*!#@`%].*)$")
_IN_BRACES = re.compile(r"([\w.$/-]+):\s*([^\s\"',\[\]{}][^,\[\]{}]*:\s[^,{}\[\]]*)")
_TEMPLATE = re.compile(r"([\w.$/-]+):\s*([^\s\"',{}\[\]]*\{\w+\}[^\s,\"']*?)(?=\s*[,}]|\s*$)")
_APOSTROPHE = re.compile(r"^(\s*(?:- )?[\w.$/-]+:\s+)'(.*\w'\w.*?)'?\s*$")
_AFTER_QUOTE = re.compile(r"^(\s*(?:- )?[\w.$/-]+:\s+)((\"[^\"]*\"|'[^']*'|\[[^\]]*\])\s*[^\s,#}\]].*)$")
_NO_SPACE = re.compile(r"^(\s*(?:- )?)([A-Za-z_]\w*):([^\s:/].*)$")


def explain_yaml_error(text: str, *, line: int, column: int, problem: str) -> Slip:
    """`line`, `column` (from 1) and `problem` are the parser's."""
    lines = text.split("\n")
    line = min(line, len(lines))
    for number in _back_from(lines, line):
        for find in (_tab, _colour, _first_letter, _template, _colon, _apostrophe, _after, _space):
            if slip := find(lines[number - 1]):
                at, came, allowed = slip
                return number, at, came, allowed
    if opened := _open_quote(lines, line):
        return opened
    if "expected ',' or" in problem:
        closing = problem.rsplit(" ", 1)[-1]
        return (
            line,
            column,
            f"got a new line or a word where {closing} was missing",
            f"{closing} at the end, or a comma",
        )
    if "expected key" in problem or "expected '-' indicator" in problem:
        came = "got a line that is indented unlike the lines beside it"
        return line, column, came, "fields of one asset or section under one another, in the same column"
    return line, column, f"got no YAML: {problem}", "text with a colon, a bracket or a sign in it in quotes"


def _back_from(lines: list[str], line: int) -> list[int]:
    """The line of the error, then those before it, as far as what is open there began: ten at most."""
    return [number for number in range(line, max(0, line - 10), -1) if lines[number - 1].strip()]


def _tab(line: str) -> tuple[int, str, str] | None:
    start = line[: len(line) - len(line.lstrip())]
    if "\t" not in start:
        return None
    return start.index("\t") + 1, "got a tab, with which YAML does not indent", "two spaces for each step"


def _colour(line: str) -> tuple[int, str, str] | None:
    found = _BARE_HASH.search(line)
    if not found or "'" in line[: found.start()] or '"' in line[: found.start()]:
        return None
    whole = _HASH_LIST.sub(lambda colour: f'"{colour[0]}"', line.strip())
    return found.start(1) + 1, f"got {found[1]}, where # begins a comment", f"colours in quotes: {whole}"


def _first_letter(line: str) -> tuple[int, str, str] | None:
    found = _NEVER_FIRST.match(line)
    if not found:
        return None
    came = f"got {found[2][0]!r} at the beginning, which YAML keeps for itself"
    return found.start(2) + 1, came, f"quotes: {found[1].strip()} {_quoted(found[2])}"


def _template(line: str) -> tuple[int, str, str] | None:
    """Braces of a file name's fields inside the braces of a mapping."""
    for found in _TEMPLATE.finditer(line):
        if "{" in line[: found.start()] and not _in_quotes(line, found.start()):
            came = "got braces inside braces, which YAML takes for a mapping of its own"
            return found.start(2) + 1, came, f"quotes: {found[1]}: {_quoted(found[2])}"
    return None


def _colon(line: str) -> tuple[int, str, str] | None:
    """`prompt: a red potion: shiny`"""
    came = "got a second colon with a space, which YAML takes for another field"
    if "{" in line:
        found = _IN_BRACES.search(line)
        return (found.start(2) + 1, came, f"quotes: {found[1]}: {_quoted(found[2].strip())}") if found else None
    pair = _PAIR.match(line)
    if not pair or not re.search(r":(\s|$)", pair[3]):
        return None
    return pair.start(3) + 1 + re.search(r":(\s|$)", pair[3]).start(), came, f"quotes: {pair[2]}: {_quoted(pair[3])}"  # type: ignore[union-attr]


def _apostrophe(line: str) -> tuple[int, str, str] | None:
    found = _APOSTROPHE.match(line)
    if not found:
        return None
    allowed = f"double quotes around it: {found[1].strip()} {_quoted(found[2])}"
    return found.start(2), "got an apostrophe, which ends text in single quotes", allowed


def _after(line: str) -> tuple[int, str, str] | None:
    found = _AFTER_QUOTE.match(line)
    if not found:
        return None
    words = found[2].strip()
    allowed = f"quotes around all of it: {found[1].strip()} {_quoted(words)}"
    return found.start(2) + 1, "got more text behind a closing quote or bracket", allowed


def _space(line: str) -> tuple[int, str, str] | None:
    found = _NO_SPACE.match(line)
    if not found:
        return None
    return found.start(3), "got a colon without a space behind it", f"{found[2]}: {found[3]}"


def _open_quote(lines: list[str], line: int) -> Slip | None:
    """The last line up to there with an odd number of quotes."""
    for number in range(line, 0, -1):
        for quote in "\"'":
            start = re.search(rf"(?:^|[\s:\[{{,]){quote}", lines[number - 1])
            if start and lines[number - 1].count(quote) % 2:
                came = f"got a {quote} that is never closed"
                return number, start.end(), came, f"{quote} at the end of the text too"
    return None


def _in_quotes(line: str, at: int) -> bool:
    return line[:at].count('"') % 2 == 1


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text and "'" not in text else '"' + text.replace('"', "") + '"'
