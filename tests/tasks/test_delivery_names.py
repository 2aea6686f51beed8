"""Two hundred names that file systems and engines stumble over: none lost, none overwritten, all legal."""

from __future__ import annotations

import itertools
import unicodedata
from pathlib import Path

import pytest

from schemas.fields import to_pascal_case
from schemas.manifest import Manifest
from tasks.delivery.deliver import deliver
from tasks.delivery.names import RESERVED, fold_name, make_safe_name
from tests import making
from tests.conftest import Stack
from tests.tasks.test_deliver import approved

WORDS = (
    "निर्वाण", "ขวดยา", "بطاقة", "שֵׁיזָף", "зелье", "Зелье красное", "φίλτρο", "물약", "薬瓶", "魔法药水", "ポーション",
    "Ærøskøbing", "Straße", "ǅungla", "İstanbul", "ﬁre", "ｗｉｄｅ", "café", "cafe\u0301s", "Ω ohm", "K kelvin", "x²",
    "CON", "aux", "Nul", "com1", "LPT9", "prn.old", "con.v2", "a.b.c", "1e5", "007", "no", "true", "null", "NaN",
    "a-b", "a--b", "a_b_c", "tail.x", "漢" * 80, "漢" * 79 + "字", "ß" * 80, "x" * 80, "Å",
    "sword-of-a-thousand-truths",
)  # fmt: skip


def hostile_names() -> list[str]:
    """200 different asset names that a manifest takes; what would be one `{Asset}` stands here once."""
    endings = ("", " 2", "-ii", ".v3", " final")
    names: dict[str, str] = {}
    for ending, word in itertools.product(endings, WORDS):
        name = (word[: 80 - len(ending)] + ending).strip()
        names.setdefault(fold_name(make_safe_name(to_pascal_case(name))), name)
    return list(names.values())[:200]


def is_legal(part: str) -> bool:
    """On Windows (NTFS, no device), macOS (HFS+ and APFS) and Linux; 255 bytes, for the narrowest of them."""
    wrong = set(part) & set('<>:"/\\|?*') or any(ord(letter) < 32 for letter in part)
    return not wrong and not part.endswith((".", " ")) and len(part.encode()) <= 255 and not RESERVED.fullmatch(part)


@pytest.mark.parametrize("is_ascii", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_hundred_hostile_names_leave(local_stack: Stack, tmp_path: Path, is_ascii: bool) -> None:
    names = hostile_names()
    assert len(names) == 200
    body = {
        "project": "Übung 試",
        "model": "studio-tiny",
        "delivery": {"name": "UI/{Asset}.png" if not is_ascii else "UI/{Asset}_{digest}.png", "ascii": is_ascii},
        "assets": [{"name": name, "prompt": "x"} for name in names],
    }
    specs = [making.a_spec(seed, project="Übung 試", asset=name) for seed, name in enumerate(names)]
    made = approved(local_stack.ledger, local_stack.store, specs, Manifest.model_validate(body))
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game")
    assert done.failures == () and done.problems == () and len(done.names) == 200
    files = [path.relative_to(tmp_path / "game") for path in (tmp_path / "game").rglob("*") if path.is_file()]
    pictures = [file for file in files if file.suffix == ".png"]
    assert {(tmp_path / "game" / file).read_bytes() for file in pictures} == set(made.values()), "none lost"
    assert len({fold_name(str(file)) for file in files}) == len(files) == 402, "none is another's on any system"
    assert all(is_legal(part) for file in files for part in file.parts)
    assert all(unicodedata.is_normalized("NFC", str(file)) for file in files)
    assert not is_ascii or all(str(file).isascii() for file in files)


def test_names_that_differ_by_normalisation_only_are_told(local_stack: Stack) -> None:
    names = ("ｗｉｄｅ", "wide")
    assets = [{"name": name, "prompt": "x", "delivery_name": "{Asset}.png"} for name in names]
    body = {"project": "potions", "model": "m", "assets": assets}
    specs = [making.a_spec(seed, asset=name) for seed, name in enumerate(names)]
    approved(local_stack.ledger, local_stack.store, specs, Manifest.model_validate(body))
    done = deliver(local_stack.ledger, local_stack.store)
    assert done.names == () and len(done.failures) == 2 and "would both be" in str(done.failures[0])


@pytest.mark.parametrize(
    ("name", "plain"), [("薬瓶", "YaoPing"), ("зелье", "zel'e"), ("Straße", "Strasse"), ("🧪", "test_tube")]
)
def test_ascii_on_demand(name: str, plain: str) -> None:
    found = make_safe_name(name, is_ascii=True)
    assert found.isascii() and found.replace("_", "").casefold() == make_safe_name(plain).replace("_", "").casefold()
