"""Command lines and environments that somebody mistyped: one line that says what is wrong, and exit code 2."""

from __future__ import annotations

import os
import sys

import pytest

import flows.__main__ as command_line
from tests.conftest import Stack

SWEEP = ("sweep", "--prompt", "a potion")
WRONG = {
    "tier": ((*SWEEP, "--tier", "zzz"), {}, "--tier: got 'zzz'"),
    "size": ((*SWEEP, "--size", "7x"), {}, "--size: got '7x'"),
    "huge size": ((*SWEEP, "--size", "9" * 5000), {}, "--size: got"),
    "seed": ((*SWEEP, "--seed", "-5"), {}, "--seed: got -5"),
    "huge seed": ((*SWEEP, "--seed", str(10**30)), {}, "--seed: got 1000"),
    "nan": ((*SWEEP, "--vary", "guidance_scale=nan"), {}, "a finite number"),
    "steps": ((*SWEEP, "--vary", "num_inference_steps=1000000000"), {}, "expected 1 to 500"),
    "no steps": ((*SWEEP, "--vary", "num_inference_steps=0"), {}, "expected 1 to 500"),
    "report": (("report", str(10**24)), {}, "there is no night 1000"),
    "report below one": (("report", "--", "-1"), {}, "there is no night -1"),
    "nonsense": (("status",), {"DAILIES_NONSENSE": "1"}, "DAILIES_NONSENSE: there is no such setting"),
    "misspelt": (("status",), {"DAILIES_WINDWO": "1"}, "close to it: DAILIES_WINDOW"),
    "misspelt within": (
        ("status",),
        {"DAILIES_MAIL__SENDR": "1"},
        "mail.sendr: there is no such setting; close to it: sen",
    ),
    "half a mail": (
        ("status",),
        {"DAILIES_MAIL__HOST": "mail"},
        "setting mail: got host without sender; expected both",
    ),
    "limits": (("status",), {"DAILIES_LIMITS__IMAGES": "-1"}, "limits.images"),
    "no limit": (("status",), {"DAILIES_LIMITS__DEPTH": "0"}, "limits.depth"),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_line_and_exit_code_2(
    local_stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    arguments, environment, said = WRONG[what]
    for name, value in {**local_stack.environment, **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["dailies", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    text = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in text and "Traceback" not in text
    assert len(text.strip().splitlines()) == 1


def test_variables_of_ours_that_are_no_settings_are_let_be(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAILIES_KILL_AT", "DAILIES_NIGHT", "DAILIES_ROLES__Lea", "dailies_window"):
        monkeypatch.setenv(name, "lead" if "Lea" in name else "22:00-07:00")
    assert os.environ["DAILIES_KILL_AT"]
    assert command_line.settings().roles in ({"Lea": "lead"}, {"lea": "lead"})
