"""The studio's model for searching, in a process of its own: `python -m engine.search_process`.

The review app starts it (review_app/search_model.py) and imports nothing of it: torch stays out of the server. A line
of JSON comes in and a line goes out; it ends with its input. On the CPU, for a GPU is the night's.

    out  {"model": alias, "digest": ...}                        once, when it is ready; or {"refused": why}
    in   {"words": "a red sword"}                               or {"pixels": base64, "shape": [height, width, 3]}
    out  {"vector": [...]}                                      or {"refused": why}
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any, TextIO

import numpy as np

from engine.model_files import open_model_files
from schemas.errors import DailiesError
from schemas.settings import Settings

LONGEST = 256 * 2**20
"""Characters of a line."""


def main() -> None:
    """An entry point: reads the settings. Libraries that print are sent to the error stream."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        settings = Settings()
        files = open_model_files(settings)
        from engine.dual_encoder import DualEncoder

        encoder = DualEncoder.open(files, settings.search_model, device="cpu")
    except (DailiesError, ImportError) as wrong:
        say(answers, {"refused": str(wrong)})
        return
    say(answers, {"model": settings.search_model, "digest": encoder.digest})
    while line := sys.stdin.readline(LONGEST):
        try:
            say(answers, {"vector": encode(encoder, json.loads(line)).tolist()})
        except Exception as wrong:  # one bad question must not end the process
            say(answers, {"refused": f"{type(wrong).__name__}: {wrong}"[:300]})


def encode(encoder: Any, asked: dict[str, Any]) -> Any:
    if "words" in asked:
        return encoder.encode_words(str(asked["words"]))
    pixels = np.frombuffer(base64.b64decode(asked["pixels"]), np.uint8).reshape(asked["shape"])
    return encoder.encode_pictures([pixels])[0]


def say(answers: TextIO, body: dict[str, Any]) -> None:
    answers.write(json.dumps(body) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
