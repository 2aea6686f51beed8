"""The commands that need no night: what they print, and their exit codes."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import InputError, SettingsError
from schemas.settings import ROOT
from tests.conftest import Stack
from tests.making import a_spec, kept, planned

runner = CliRunner()


@pytest.fixture
def stack(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    return local_stack


def said(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_status_counts_everything(stack: Stack) -> None:
    kept(stack.ledger, [a_spec(seed) for seed in range(3)])
    planned(stack.ledger, [a_spec(seed) for seed in range(3, 5)])
    stack.ledger.claim([a_spec(3).digest], worker="w:1", seconds=60)
    text = said("status")
    for line in ("waiting to be made 1", "of potions 1", "in a worker's hands 1", "to be reviewed 3", "set aside 0"):
        assert line in text


def test_reports_by_number_and_the_last(stack: Stack) -> None:
    with pytest.raises(InputError, match="no night has ended"):
        said("report")
    for night in (1, 2):
        stack.ledger.start_night("test")
        key = stack.store.put_content(
            "reports", f"# Night {night}".encode(), extension="md", media_type="text/markdown"
        )
        stack.ledger.end_night(night, outcome="complete", report_key=key, totals={})
    stack.ledger.start_night("test")
    assert (said("report"), said("report", "1")) == ("# Night 2", "# Night 1")
    with pytest.raises(InputError, match="has not ended"):
        said("report", "3")


def test_what_is_set_aside_is_listed_and_released(stack: Stack) -> None:
    specs = [a_spec(seed) for seed in range(3)]
    planned(stack.ledger, specs)
    assert said("set-aside") == "nothing is set aside"
    for spec in specs:
        stack.ledger.fail(spec.digest, cause="NotFinite", message="NaN", worker="w", night=None, max_attempts=1)
    text = said("set-aside")
    assert all(spec.digest[:12] in text for spec in specs) and "NotFinite: NaN" in text
    with pytest.raises(InputError, match="0 specs"):
        said("release", "zzzz")
    with pytest.raises(InputError, match="say which"):
        said("release")
    assert said("release", specs[0].digest[:12], "--by", "ops") == "1 released"
    assert said("release", "--all") == "2 released"
    assert len(stack.ledger.waiting()) == 3


def test_preflight_says_how_models_will_fit(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILIES_DEVICE", "cpu")
    monkeypatch.setenv("DAILIES_DTYPE", "float32")
    text = said("preflight")
    for part in (
        "attention: native",
        "compile: no",
        "backend: auto, graphs kept in",
        "studio-tiny, 128 x 128",
        "nothing is needed",
    ):
        assert part in text
    monkeypatch.setenv("DAILIES_MEMORY", "8gb")
    text = said("preflight")
    assert "7.4 GiB to plan with" in text and "studio-tiny with studio-tiny/canny" in text
    assert "everything stays on the device" in text and "units" not in text
    monkeypatch.setenv("DAILIES_DTYPE", "float16")
    assert "dtype: got float16 on a processor without units for it" in said("preflight")


def test_nothing_to_make_starts_nothing(stack: Stack) -> None:
    assert said("run") == "nothing to make: all that was submitted is made, in somebody's hands or set aside"
    assert not (stack.settings.home / "prefect").exists()


@pytest.mark.parametrize("command", [("deploy",), ("worker",), ("worker", "--gpu", "0")])
def test_a_studio_s_commands_want_a_server(
    stack: Stack, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(SettingsError, match="PREFECT_API_URL is not set"):
        said(*command)


def test_a_server_without_deployments_says_what_makes_them(stack: Stack) -> None:
    with pytest.raises(SettingsError, match="`dailies deploy` makes it"):
        said("now")


def test_check_says_how_many_maps_will_be_derived(stack: Stack) -> None:
    assert "up to 12 map files are derived" in said("check", str(ROOT / "manifests" / "textures.yaml"))


def test_deliver_under_another_template(stack: Stack) -> None:
    assert said("deliver", "--template", "{Asset}_{digest}.png").startswith("0 delivered")
    with pytest.raises(InputError, match=r"--template: .*\{nothing\}"):
        said("deliver", "--template", "{nothing}.png")
