"""Warnings: said where they stand, kept with the submission, errors when asked. Another tool's syntax is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model_files import open_model_files
from schemas.errors import ManifestError
from schemas.manifest import FrozenFile, Manifest
from schemas.rules.prompt_syntax import find_foreign_syntax, unescape
from schemas.settings import ROOT, Settings
from storage.intake import Upload, inspect_pictures
from tasks.planning.plan import PlannedModels, expand_manifest
from tasks.planning.submit import check_manifest
from tests.conftest import Stack
from tests.tasks.test_submit import send

HEAD = "project: P\nmodel: studio-tiny\ndefaults: {size: 128}\n"


def warnings(text: str) -> list[str]:
    settings = Settings()
    looked = inspect_pictures(text.encode(), "m.yaml", Upload({}), settings, open_model_files(settings))
    looked.reading.sound()
    return [str(warning) for warning in looked.reading.warnings]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("size: [512, 768]", "got two sizes: images of 512x512 and of 768x768 are made; expected 512x768 for one"),
        ("size: 256", "got 256x256, 4 times the pixels that studio-tiny was trained on; expected about 128x128"),
        ("size: 64", "got 64x64, 0.25 times the pixels"),
        ("guidance_scale: 30", "got a guidance_scale of 30, at which colours burn out; expected 3 to 9, at most 15"),
        ("guidance_scale: 1, negative_prompt: text", "beside a negative prompt, which is then not read"),
        ("num_inference_steps: 300", "got 300 steps; expected 20 to 50"),
        ("tier: draft", "got drafts whose delivery name does not tell them from finals; expected {Tier}"),
        ("prompt: ''", "4:28: assets[0].prompt: warning: got a prompt that comes out empty; expected words that"),
        ("prompt: $w, values: {w: ['', red]}", "got a prompt that comes out empty"),
        ("prompt: cat AND dog", "got AND, with which other tools compose prompts; expected only the word and here"),
    ],
)  # fmt: skip
def test_what_is_often_not_meant_is_warned_of(fields: str, said: str) -> None:
    prompt = "" if fields.startswith("prompt") else "prompt: a potion, "
    assert any(said in line for line in warnings(f"{HEAD}assets: [{{name: A, {prompt}{fields}}}]\n")), said


def test_a_step_that_is_no_group_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "project: P\nmodel: studio-tiny\nreview: {steps: [directer, client]}\nassets: [{name: A, prompt: x}]\n"
    (said,) = warnings(text)
    assert "3:18: review.steps[0]: warning: got 'directer', which is no group of dailies.toml" in said
    monkeypatch.setenv("DAILIES_GROUPS", '{"director": ["dan@studio.example"]}')
    assert "director" in warnings(text)[0].split("; ", 1)[1]
    assert warnings(text.replace("directer", "director")) == []


def test_nothing_is_warned_of_without_a_reason() -> None:
    fields = 'prompt: "(a potion:1.2), STOP AND GO", size: 128x96, guidance_scale: 6, num_inference_steps: 30'
    assert warnings(f"{HEAD}assets: [{{name: A, {fields}, negative_prompt: text}}]\n") != []  # the capitals: AND
    assert warnings(f"{HEAD}assets: [{{name: A, {fields.replace(' AND ', ' and ')}, negative_prompt: text}}]\n") == []
    draft = "tier: draft, delivery_name: '{Asset}_{Tier}_{Variant}.png'"
    assert warnings(f"{HEAD}assets: [{{name: A, prompt: x, {draft}}}]\n") == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("manifests/*.yaml")), ids=lambda path: path.name)
def test_the_examples_give_no_warning(path: Path, tmp_path: Path) -> None:
    check_manifest(path, Settings(home=tmp_path), strict=True)


def test_strict_makes_errors_of_warnings_and_submissions_keep_them(local_stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(f"{HEAD}assets: [{{name: A, prompt: x, guidance_scale: 30}}]\n")
    (warning,) = check_manifest(path, local_stack.settings).warnings
    with pytest.raises(ManifestError, match="burn out"):
        check_manifest(path, local_stack.settings, strict=True)
    for alias in ("studio-tiny", "studio-tiny/lcm"):
        local_stack.ledger.pin(alias, "a" * 64)
    submission, _ = send(local_stack, path)
    (kept,) = local_stack.ledger.submission(submission.digest).warnings
    assert (kept["came"], kept["line"]) == (warning.came, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<lora:hero:0.8>", "`loras: {hero: 0.8}`"),
        ("embedding:EasyNegative", "`embeddings: [EasyNegative]`"),
        ("a {red|blue} hat", "`values: {choice: [red, blue]}`"),
        ("a __card__", "`values: {card: [...]}`"),
        ("[cat:dog:0.5]", "words that hold for all steps"),
        ("[cat|dog]", "`values: {word: [cat, dog]}`"),
        ("(hat:1,2)", "(hat:1.2)"),
        ("a (hat:1.2, red", "\\("),
        ("a hat:1.2), red", "(words:1.2)"),
        ("a knight --ar 16:9", "`size`"),
        ("hot::2 dog", "(words:1.2)"),
    ],
)
def test_another_tools_syntax_is_refused_with_what_says_it_here(text: str, says: str) -> None:
    ((_, allowed),) = find_foreign_syntax(text)
    assert says in allowed
    with pytest.raises(ManifestError) as caught:
        warnings(
            f"{HEAD}styles: {{icon: {{prompt: '$prompt, {text}'}}}}\nassets: [{{name: A, prompt: x, style: icon}}]\n"
        )
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (4, "styles.icon.prompt") and says in problem.allowed


@pytest.mark.parametrize(
    "text", ["(a:1.2) [b] ((c)) BREAK d", "smile :)", "{{7*7}}", "{0.__class__}", "16:9", "C++", "a - b"]
)
def test_what_is_ours_or_plain_text_passes(text: str) -> None:
    assert list(find_foreign_syntax(text)) == []


@pytest.mark.parametrize("text", ["<lora:x:1>", "{a|b}", "__card__", "embedding:x", "AND"])
def test_a_backslash_makes_it_plain_text(text: str) -> None:
    escaped = f"a \\{text} b"
    assert list(find_foreign_syntax(escaped)) == [] and unescape(escaped) == f"a {text} b"


def planned(style: str, prompt: str) -> str:
    body = {"project": "P", "model": "m", "styles": {"s": {"prompt": style}}}
    manifest = Manifest.model_validate(body | {"assets": [{"name": "A", "prompt": prompt, "style": "s"}]})
    files: dict[str, FrozenFile] = {}
    (spec,) = expand_manifest(manifest, files, PlannedModels(digests={"m": "0" * 64}))
    return spec.prompt


def test_no_style_drops_a_prompt() -> None:
    assert planned("flat style", "a potion") == "a potion, flat style"
    assert planned("$prompt, flat style", "a potion") == "a potion, flat style"
    assert planned("$$prompt", "a potion") == "a potion, $prompt"
    assert planned("", "a potion") == "a potion"
    assert planned("$prompt", "a \\{b|c\\} (d:1.2) \\(e\\)") == "a {b|c} (d:1.2) \\(e\\)"
