"""The studio's model for searching, asked by the review app: words and uploaded pictures become vectors.

The model runs in a process of its own (`python -m engine.search_process`), for this app imports no torch and works
without it. Where the model cannot be had, `SearchModel.why_not` says why, and the pages say it too.
"""

from __future__ import annotations

import base64
import json
import logging
import queue
import subprocess
import sys
import threading
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from review_app.resources import open_resources
from schemas.likeness import SEARCH
from storage.vectors import name_space

log = logging.getLogger(__name__)

NEEDED = ("torch", "transformers")
COMMAND = (sys.executable, "-m", "engine.search_process")
STARTS_WITHIN, ANSWERS_WITHIN = 120.0, 30.0
"""Seconds; a large model is read from a cold disk."""
REMEMBERED = 1_000
"""Searches by words whose vectors are kept."""
LARGEST = 1024
"""px, longest side of a picture that is asked about; every such model looks at fewer."""

Vector = NDArray[np.float32]


class SearchModel:
    """One process, started by the first question. Threads take turns."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.why_not = ""
        """Empty while nothing is known to be wrong."""
        self.space = ""
        """Of its vectors, once it has answered."""
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._turn = threading.Lock()
        self._known: dict[str, Vector] = {}
        missing = [name for name in NEEDED if find_spec(name) is None]
        if not alias:
            self.why_not = "no model for searching is set up (`search_model`)"
        elif missing:
            self.why_not = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed here"

    def encode_words(self, words: str) -> Vector | None:
        """Words that were asked before are answered at once: the page is drawn again at every click."""
        if words not in self._known and (vector := self._encode({"words": words})) is not None:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            self._known[words] = vector
        return self._known.get(words)

    def encode_picture(self, pixels: NDArray[np.uint8]) -> Vector | None:
        """pixels: uint8 [height, width, 3]."""
        picture = Image.fromarray(pixels)
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        small = np.asarray(picture)
        body = base64.b64encode(np.ascontiguousarray(small).tobytes()).decode()
        return self._encode({"pixels": body, "shape": list(small.shape)})

    def close(self) -> None:
        with self._turn:
            self._stop()

    def _encode(self, asked: dict[str, Any]) -> Vector | None:
        """None where the model cannot be had, which `why_not` says, or cannot answer this."""
        with self._turn:
            if self.why_not or not self._is_ready():
                return None
            assert self._process is not None and self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps(asked) + "\n")
                self._process.stdin.flush()
                answer = self._read(ANSWERS_WITHIN)
            except (OSError, ValueError) as wrong:
                log.warning("the model for searching does not answer: %s", wrong)
                self._stop()
                return None
            if "vector" not in answer:
                log.warning("the model for searching refused: %s", answer.get("refused"))
                return None
            return np.asarray(answer["vector"], np.float32)

    def _is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        self._stop()
        self._answers = queue.Queue()
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        threading.Thread(target=_copy_lines, args=(self._process, self._answers), daemon=True).start()
        try:
            answer = self._read(STARTS_WITHIN)
        except (OSError, ValueError) as wrong:
            self.why_not = f"it did not start: {wrong}"
            self._stop()
            return False
        if "refused" in answer:
            self.why_not = str(answer["refused"])
            self._stop()
            return False
        self.space = name_space(SEARCH, str(answer["digest"]))
        return True

    def _read(self, seconds: float) -> dict[str, Any]:
        """Raises OSError when it ended or says nothing, ValueError for what is no answer."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise OSError(f"no answer within {seconds:.0f} s") from None
        if not line:
            raise OSError("its process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _copy_lines(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put("")


@cache
def open_search_model() -> SearchModel:
    """This server's. What was wrong once stays wrong until the app is started again."""
    return SearchModel(open_resources().settings.search_model)
