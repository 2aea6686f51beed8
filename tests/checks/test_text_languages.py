"""Text in a language that the wheel's reader does not know: read by a model of the settings', or refused beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checks import reader, text
from engine.model_files import open_model_files
from schemas.errors import InputError, ModelError, UnfitWeights
from schemas.manifest import BrandGuide, TextRequest
from schemas.review import Result
from schemas.rules.text_languages import find_missing_letters
from schemas.settings import Settings, TextReader
from schemas.weights.text_readers import find_shipped, list_letters, read_metadata
from storage.intake import Upload, inspect_pictures
from tests.checks.onnx_file import write_detector
from tests.checks.pictures import lettered, spec

CYRILLIC = str.maketrans("ABCEHKMOPTX", "АВСЕНКМОРТХ")
"""Letters that look the same: the wheel's model with this dictionary is a real reader of Cyrillic words."""


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.fixture(scope="module")
def cyrillic(tmp_path_factory: pytest.TempPathFactory) -> TextReader:
    """The wheel's recognition model without its letters, and a dictionary in which some are Cyrillic."""
    folder = tmp_path_factory.mktemp("reader")
    shipped = find_shipped()
    assert shipped is not None
    data, letters = shipped.read_bytes(), read_metadata(shipped)["character"]
    value = letters.encode()
    inner = b"\x0a" + varint(len("character")) + b"character" + b"\x12" + varint(len(value)) + value
    whole = b"\x72" + varint(len(inner)) + inner
    assert data.count(whole) == 1
    (folder / "rec.onnx").write_bytes(data.replace(whole, b""))
    (folder / "letters.txt").write_text(letters.translate(CYRILLIC) + "\n", encoding="utf-8")
    return TextReader(model=folder / "rec.onnx", letters=folder / "letters.txt")


def check(pixels: np.ndarray, reads: TextReader, words: str) -> text.Finding:
    request = TextRequest(must_read=words, language="ukrainian")
    return text.check_text(pixels, spec(), BrandGuide(), request=request, readers={"ukrainian": reads})


def test_the_readers_own_letters_are_read(cyrillic: TextReader) -> None:
    picture = lettered("MAPKET KHTA")
    found = check(picture, cyrillic, "МАРКЕТ КНТА")
    assert found.result is Result.PASS, found.sentence
    assert reader.read(picture)[0].text == "MAPKET KHTA", "and beside it the reader that ships"


def test_a_guides_language_is_that_of_every_asset_that_names_no_other(cyrillic: TextReader) -> None:
    guide = BrandGuide(text_language="ukrainian", text_expected="allowed", allowed_words=("КОТ",))
    readers = {"ukrainian": cyrillic, "other": TextReader(model=Path("absent.onnx"))}
    found = text.check_text(lettered("KOT"), spec(), guide, readers=readers)
    assert found.result is Result.PASS, found.sentence
    with pytest.raises(ModelError, match=r"absent\.onnx: there is no such file"):
        asked = TextRequest(must_read="КОТ", language="other")
        text.check_text(lettered("KOT"), spec(), guide, request=asked, readers=readers)
    with pytest.raises(ModelError, match=r"got 'ukrainian' \(asked for by the text check\); this machine has no lang"):
        text.check_text(lettered("KOT"), spec(), guide)


def test_a_reader_that_would_read_wrongly_is_refused(cyrillic: TextReader, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("А\nБ\n", encoding="utf-8")
    with pytest.raises(UnfitWeights, match=r"a model of 18708 letters and a dictionary of 2; expected as many in both"):
        check(lettered("KOT"), cyrillic.model_copy(update={"letters": short}), "КОТ")
    with pytest.raises(UnfitWeights, match="got a model without letters"):
        list_letters(TextReader(model=cyrillic.model))
    shipped = find_shipped()
    assert shipped is not None
    with pytest.raises(UnfitWeights, match="got letters in the model and in"):
        list_letters(TextReader(model=shipped, letters=short))
    (tmp_path / "latin1.txt").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(UnfitWeights, match="one a line, as UTF-8"):
        list_letters(TextReader(model=cyrillic.model, letters=tmp_path / "latin1.txt"))
    for bytes_of in (b"", b"PK\x03\x04 no model", b"\x3a\xff\xff\xff\x7f", b"\xff" * 40):
        (tmp_path / "junk.onnx").write_bytes(bytes_of)
        with pytest.raises(UnfitWeights, match=r"junk\.onnx: got no ONNX file"):
            list_letters(TextReader(model=tmp_path / "junk.onnx", letters=short))
    other = write_detector(tmp_path / "detector.onnx", [(1, 1, 2, 2, 1)], {0: "hand"})
    assert read_metadata(other) == {"names": "{0: 'hand'}"}


def test_the_reader_that_ships_knows_these_scripts() -> None:
    """What docs/checks.md says of it."""
    letters = list_letters(None)
    assert letters is not None
    for words in ("ÄÖÜß éèêçñãõ łśżćę őű ÆØÅ ğışİ", "ΑΒΓ αβγ", "漢字", "ひらがな カタカナ"):
        assert find_missing_letters(words, letters) == [], words
    for words in ("кот", "한국", "สวัสดี", "مرحبا", "שלום"):
        assert find_missing_letters(words, letters) == list(dict.fromkeys(words)), words


def inspect(manifest: str, **readers: TextReader) -> list[str]:
    settings = Settings(text_readers=readers)
    looked = inspect_pictures(manifest.encode(), "m.yaml", Upload({}), settings, open_model_files(settings))
    try:
        looked.reading.sound()
    except InputError as wrong:
        return str(wrong).splitlines()
    return []


HEAD = "project: P\nmodel: studio-tiny\ndefaults: {size: 128}\n"


def test_words_that_the_reader_cannot_read_are_refused_before_the_night(cyrillic: TextReader) -> None:
    asked = HEAD + "assets:\n- {name: A, prompt: a sign, text: {must_read: 'Маркет 2'%s}}\n"
    (said,) = inspect(asked % "")
    assert "m.yaml:5:" in said and "assets[0].text.must_read" in said, said
    assert "got 'Маркет 2', in which the reader that ships cannot read М, а, р, к, е, т; expected letters" in said
    assert inspect(asked % ", language: ukrainian", ukrainian=cyrillic) == []
    (said,) = inspect(asked % ", language: ukranian", ukrainian=cyrillic)
    assert "got 'ukranian'; a language of `text_readers` in dailies.toml: did you mean 'ukrainian'?" in said
    (said,) = inspect(asked % ", language: thai", thai=TextReader(model=Path("absent.onnx")))
    assert "got 'thai', whose reader cannot be used: absent.onnx: there is no such file" in said
    assert inspect(asked.replace("text:", "criteria: [hands], text:") % "") == [], "nobody is to read it"


def test_every_value_of_a_placeholder_is_looked_at() -> None:
    asked = HEAD + "assets: [{name: A, prompt: $word, values: {word: [INN, ТАЙ]}, text: {must_read: $word}}]\n"
    (said,) = inspect(asked)
    assert "got 'ТАЙ', in which the reader that ships cannot read Т, А, Й" in said
