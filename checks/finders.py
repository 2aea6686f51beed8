"""Detectors from local files: MediaPipe's palm detector, and ONNX detectors in Ultralytics' layout.

Both take uint8 [height, width, 3] and give boxes as fractions of the picture. One picture at a time: a network of
OpenCV is not for several threads.
"""

from __future__ import annotations

import ast
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SURE = 0.5
"""Confidence from which a box counts."""
MARGINS = (0.0, 0.35)
"""Of the square on each side: palms are looked for again, smaller, until one is found."""
EXPECTED_MARGINS = (0.0, 0.3, 0.4, 0.2)
"""Where hands are expected. Of 160 drawn close-ups the first look finds 13, all of them 155; of 96 characters 40, 69. A
look takes 35 ms."""
OVERLAP = 0.4
"""Boxes that share more than this (intersection over union) are one."""


@dataclass(frozen=True)
class Detection:
    """A box as fractions from the top left corner, what is in it, and how surely (0 to 1).

    `points`: key points (x, y) as fractions; a palm has seven, of which 0 is the wrist and 2 the middle finger's base.
    """

    label: str
    confidence: float
    x: float
    y: float
    width: float
    height: float
    points: tuple[tuple[float, float], ...] = ()


class Palms:
    """MediaPipe's palm detector (Bazarevsky and Zhang 2019): made for photographs; drawn hands it often misses.

    A single-shot detector on 192 x 192 px with 2016 anchors: two for each cell of 24 x 24, six for each of 12 x 12.
    A hand that fills the picture is too large for it, so where it finds none it looks again with wider margins.
    """

    SIDE = 192
    name = "MediaPipe's palm detector"

    def __init__(self, path: Path) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(path), cv2.dnn.ENGINE_CLASSIC)
        self._alone = threading.Lock()
        self._anchors = np.concatenate([_centres(24, 2), _centres(12, 6)])

    def find(self, pixels: NDArray[np.uint8], *, expected: bool) -> list[Detection]:
        margins = EXPECTED_MARGINS if expected else MARGINS
        return next((found for margin in margins if (found := self._find(pixels, margin))), [])

    def _find(self, pixels: NDArray[np.uint8], margin: float) -> list[Detection]:
        square, scale, (left, top) = decode_boxes(pixels, self.SIDE, self.SIDE, margin=margin)
        with self._alone:
            self._net.setInput(cv2.dnn.blobFromImage(square, 1 / 255))
            boxes, scores = self._net.forward(["Identity", "Identity_1"])
        confidence = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -80, 80)))
        centres = boxes[0, :, :2] / self.SIDE + self._anchors
        corners = np.concatenate([centres, boxes[0, :, 2:4] / self.SIDE], axis=1) * self.SIDE
        points = boxes[0, :, 4:].reshape(-1, 7, 2) + self._anchors[:, None] * self.SIDE
        return _suppress_overlaps(
            corners, confidence, ["palm"] * len(corners), pixels.shape, scale, (left, top), points
        )


def _centres(side: int, times: int) -> NDArray[np.float64]:
    """[side * side * times, 2]: the centres (x, y) of a grid's cells, row by row, each so many times."""
    places = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(places, places)
    return np.stack([x.ravel(), y.ravel()], axis=1).repeat(times, axis=0)


class OnnxBoxes:
    """A detector as Ultralytics exports it: input [1, 3, h, w] in 0..1, output [1, 4 + classes, boxes] (centre, size).

    Class names are those in the file's metadata. ValueError for a file of another shape.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        said = self._session.get_modelmeta().custom_metadata_map
        names = ast.literal_eval(said["names"]) if "names" in said else {}
        if not isinstance(names, dict) or not names:
            raise ValueError(f"{path.name} does not name its classes, as Ultralytics' ONNX export does")
        self._names = {int(index): str(name) for index, name in names.items()}
        given = self._session.get_inputs()[0]
        self._input = given.name
        self._height, self._width = (side if isinstance(side, int) else 640 for side in given.shape[2:])
        self.name = path.stem

    def find(self, pixels: NDArray[np.uint8], *, expected: bool) -> list[Detection]:
        """One look, whatever is expected."""
        square, scale, start = decode_boxes(pixels, self._height, self._width)
        blob = cv2.dnn.blobFromImage(square, 1 / 255)
        (out,) = self._session.run(None, {self._input: blob})
        if out.ndim != 3 or out.shape[1] != 4 + len(self._names):
            raise ValueError(f"{self.name} gave {list(out.shape)}; expected [1, {4 + len(self._names)}, boxes]")
        boxes, scores = out[0, :4].T, out[0, 4:]
        labels = [self._names[int(index)] for index in scores.argmax(0)]
        return _suppress_overlaps(boxes, scores.max(0), labels, pixels.shape, scale, start)


def decode_boxes(
    pixels: NDArray[np.uint8], height: int, width: int, *, margin: float = 0.0
) -> tuple[NDArray[np.uint8], float, tuple[float, float]]:
    """The whole picture in the middle of one of this size; its scale; where it starts (left, top), in px.

    Around it is black; a margin (its part of each side) repeats the picture's edge.
    """
    rows, columns = pixels.shape[:2]
    scale = min(height / rows, width / columns) * (1 - 2 * margin)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (min(width, max(1, round(columns * scale))), min(height, max(1, round(rows * scale))))
    small = cv2.resize(pixels, size, interpolation=how)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    around = (top, height - size[1] - top, left, width - size[0] - left)
    border = cv2.BORDER_REPLICATE if margin else cv2.BORDER_CONSTANT
    whole = np.asarray(cv2.copyMakeBorder(small, *around, border), np.uint8)
    return whole, scale, (left, top)


def _suppress_overlaps(
    boxes: NDArray[np.float32],
    confidence: NDArray[np.float32],
    labels: list[str],
    shape: tuple[int, ...],
    scale: float,
    start: tuple[float, float],
    points: NDArray[np.float64] | None = None,
) -> list[Detection]:
    """Sure boxes, the surest of each heap, from px of the network's picture to fractions of the whole one."""
    sure = np.flatnonzero(confidence >= SURE)
    corner = boxes[sure, :2] - boxes[sure, 2:] / 2
    flat = np.concatenate([corner, boxes[sure, 2:]], axis=1)
    kept = cv2.dnn.NMSBoxes(flat.tolist(), confidence[sure].tolist(), SURE, OVERLAP) if len(sure) else ()
    height, width = shape[:2]
    found = []
    for index in np.asarray(kept, int).ravel():
        x, y, w, h = (flat[index] - (*start, 0, 0)) / scale / (width, height, width, height)
        marks = [] if points is None else (points[sure[index]] - start) / scale / (width, height)
        found.append(
            Detection(
                labels[sure[index]], float(confidence[sure[index]]), float(x), float(y), float(w), float(h),
                tuple((float(px), float(py)) for px, py in marks),
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: -one.confidence)
