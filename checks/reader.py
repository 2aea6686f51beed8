"""Reads what can be read in a picture (rapidocr, whose models are in its wheel), and where letters seem to be.

Every place that the text detector finds is a Line, also where the reader makes nothing of it: its text is then empty or
unsure. Nothing is corrected.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.errors import UnfitWeights
from schemas.review import Criterion, Region
from schemas.settings import TextReader
from schemas.weights.text_readers import list_letters

SURE = 0.8
"""Confidence from which a reading counts. Of 40 drawn signs 39 are read as sure, of 25 other drawings none."""
WORTH = 0.5
"""Confidence below which a reading is no more than a mark."""
MARK, ELONGATED = 0.8, 1.4
"""A place looks like a line of text from this confidence of the detector on, if it is so many times as long as high."""
SMALLEST, LARGEST = 320, 960
"""px, longest side as it is read: smaller pictures are enlarged, larger ones shrunk."""
AS_IT_IS, SHRUNK = 768, 0.75
"""px up to which nothing is shrunk, and the part of a larger side that is kept. At 1024 px, letters from 8 px on are
read as well as without, in three fifths of the time."""
THREADS = 1
"""Of the runtime; images are checked side by side already."""
NOTHING = 1e-20
"""A weight below this is taken for zero. A tenth of the detector's are left over from its training, smaller than a
float can hold with all its digits. A processor takes a hundred times as long for each, and the answer is the same."""

_reading = threading.Lock()


@dataclass(frozen=True)
class Line:
    """A place that looks like text: as it was read, how surely (0 to 1), where, and what the detector says of it."""

    text: str
    sure: float
    box: Region
    detector: float = 1.0
    elongation: float = 2.0
    """Its longer side in shorter ones."""

    @property
    def words(self) -> list[str]:
        return [word for word in (simplify_text(part) for part in self.text.split()) if word]

    @property
    def counts(self) -> bool:
        return self.sure >= SURE and sum(map(str.isalnum, self.text)) >= 2

    @property
    def is_unread_mark(self) -> bool:
        return not self.counts and self.detector >= MARK and self.elongation >= ELONGATED


def read(
    pixels: NDArray[np.uint8], *, smallest: int = SMALLEST, quarter_turns: int = 0, by: TextReader | None = None
) -> list[Line]:
    """Every line that is read at half confidence or looks like text, from the top.

    by: what reads the letters; none: the model in rapidocr's wheel. The places are found by the wheel's model always.
    smallest: px, longest side to which smaller pictures are enlarged. quarter_turns: how often the picture is turned by
    90 degrees against the clock before it is read; boxes are those of the picture as it came.
    ModuleNotFoundError without rapidocr; ModelError for a reader that cannot be used.
    """
    turned = np.rot90(pixels, quarter_turns)
    height, width = turned.shape[:2]
    side = max(height, width)
    scale = min(max(1.0, smallest / side), max(AS_IT_IS / side, SHRUNK), LARGEST / side)
    if scale != 1.0:
        how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        turned = cv2.resize(np.ascontiguousarray(turned), size, interpolation=how)
    lines = _find(np.ascontiguousarray(turned[..., ::-1]), by)
    kept = [line for line in lines if line.sure >= WORTH or line.is_unread_mark]
    return [replace(line, box=_turn_back(line.box, quarter_turns)) for line in kept]


def _find(bgr: NDArray[np.uint8], by: TextReader | None) -> list[Line]:
    """The stages of RapidOCR.__call__, except that places whose reading is empty or unsure are kept."""
    from rapidocr.utils.process_img import map_boxes_to_original

    height, width = bgr.shape[:2]
    with _reading:  # the reader keeps state between its stages
        reader = _reader(by)
        image, record = reader.preprocess_img(bgr)
        found, _, said, _ = reader.run_ocr_steps(image, record)
        if found.boxes is None:
            return []
        boxes = np.asarray(map_boxes_to_original(np.array(found.boxes, float), record, height, width), float)
    texts, scores = said.txts or ("",) * len(boxes), said.scores or (0.0,) * len(boxes)
    lines = []
    for corners, detector, text, sure in zip(boxes, found.scores, texts, scores, strict=True):
        sides = sorted(float(np.linalg.norm(corners[a] - corners[b])) for a, b in ((0, 1), (1, 2)))
        box = _box(corners / (width, height), text)
        lines.append(Line(text, float(sure), box, float(detector), sides[1] / max(sides[0], 1.0)))
    return lines


@cache
def _reader(by: TextReader | None) -> Any:
    from rapidocr import RapidOCR

    params: dict[str, Any] = {
        "Global.log_level": "critical",
        "Global.use_cls": False,  # text upside down; costs time and takes wrong turns
        "Det.limit_side_len": LARGEST,
        "Det.limit_type": "max",
        "EngineConfig.onnxruntime.intra_op_num_threads": THREADS,
        "EngineConfig.onnxruntime.inter_op_num_threads": THREADS,
    }
    if by is not None:
        list_letters(by)  # rapidocr would download a dictionary where there is none
        params["Rec.model_path"] = str(by.model)
        if by.letters is not None:
            params["Rec.rec_keys_path"] = str(by.letters)
    reader = RapidOCR(params=params)
    detector = reader._load_det_model().session
    detector.session = _drop_nothings(detector.session)
    if by is not None:
        _compare_letters(reader, by)
    return reader


def _drop_nothings(session: Any) -> Any:
    """The same network without the weights that are NOTHING."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    model = onnx.load(session._model_path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.where(np.abs(values) < NOTHING, 0, values), tensor.name))
    options = session.get_session_options()
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _compare_letters(reader: Any, by: TextReader) -> None:
    """UnfitWeights where the model scores another number of letters than its dictionary has: it would read them as
    others."""
    try:
        recognizer = reader._load_rec_model()
        shape = recognizer.session.session.get_outputs()[0].shape
    except Exception as wrong:  # onnxruntime's own exceptions have no common base
        raise UnfitWeights(f"{by.model}: the model cannot be opened: {type(wrong).__name__}: {wrong}"[:300]) from None
    known = len(recognizer.postprocess_op.character)
    if not shape or not isinstance(shape[-1], int) or shape[-1] == known:
        return
    scored = shape[-1]
    raise UnfitWeights(
        f"{by.model}: got a model of {scored - 2} letters and a dictionary of {known - 2}; expected as many in both"
    )


def _box(corners: NDArray[np.float64], text: str) -> Region:
    """Four corners as fractions -> the box around them."""
    (left, top), (right, bottom) = np.clip(corners.min(0), 0, 1), np.clip(corners.max(0), 0, 1)
    width, height = right - left, bottom - top
    return Region(x=left, y=top, width=width, height=height, criterion=Criterion.TEXT, label=text)


def _turn_back(box: Region, quarter_turns: int) -> Region:
    """A box of a picture that was turned, in the picture as it was."""
    x, y, width, height = box.x, box.y, box.width, box.height
    for _ in range(quarter_turns % 4):
        x, y, width, height = max(0.0, 1 - y - height), x, height, width
    return box.model_copy(update={"x": x, "y": y, "width": width, "height": height})


def simplify_text(word: str) -> str:
    """Without case and without punctuation around it; nothing else is changed."""
    return re.sub(r"^\W+|\W+$", "", word).casefold()
