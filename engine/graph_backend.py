"""Which program computes UNet and ControlNets: PyTorch, or ONNX Runtime from a graph (engine/denoiser_graph.py).

What a graph cannot do is PyTorch's, batch by batch, and the reason goes into the log and the image's record. `auto`
takes a graph where the work that was announced repays it; what that needs to know is measured once a machine and kept.
ControlNets follow their UNet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import onnxruntime
import torch

from engine.denoiser_graph import find_unknown_input, is_controlnet, keep_graph, make_digest, make_sides, shape_text
from engine.graph_layers import GraphKind
from engine.graph_session import ControlNetSession, UNetSession
from engine.processor import read_processor
from engine.remembered import read_remembered, write_remembered
from engine.seamless import use_circular_padding
from engine.windows import find_grain
from schemas.errors import SettingsError
from schemas.settings import Backend
from schemas.spec import ImageSpec

GRAPHS_HELD = 256 * 2**20
"""Bytes of weights that stay open in sessions beside those of the batch."""
MOST_ERROR = 1e-5
"""Relative L2 of a graph's answer to PyTorch's. Above it the graph is wrong and PyTorch goes on."""
STATED: Mapping[str, float] = {"export": 4.0, "open": 0.5, "gain": 1.4}
"""Seconds and ratio that `auto` reckons with where nothing alike was measured here: about what two machines showed."""
NIGHTS = 5
"""An exported graph serves every night to come and every checkpoint of its shape; this part of it is one night's."""
ROWS, TIMES = 4, 4
"""With which both are timed, at the sides of the first batch, and how often."""
WORTH = 10 * ROWS * TIMES
"""Rows of forward passes, below which nothing is measured: that alone would cost a tenth of them."""
LEAST_GAIN = 1.05
"""How many times as fast as PyTorch a graph must be on this machine to be taken."""
MEASURED_AT_MOST = 3
"""Times, in as many processes, before a graph that was slower is given up; the fastest of all counts."""

log = logging.getLogger(__name__)

Session = TypeVar("Session", UNetSession, ControlNetSession)
Wearing = tuple[object, ...]
"""The checkpoint's digest, and the LoRAs worn with their weights; a ControlNet's digest."""


class GraphBackend:
    """One a process and device. Raises SettingsError where `onnxruntime` is asked for and cannot be."""

    def __init__(
        self, asked: Backend, *, device: torch.device, dtype: torch.dtype, compiled: bool, folder: Path | None
    ) -> None:
        self.asked, self.folder = asked, folder
        self._never = _find_hindrance(device, dtype, compiled=compiled, folder=folder)
        if asked == "onnxruntime" and self._never:
            raise SettingsError(f"backend: got onnxruntime with {self._never}; expected auto or torch there")
        self._sessions: dict[tuple[Wearing, GraphKind], UNetSession | ControlNetSession] = {}
        """Longest unused first."""
        self._batch: list[tuple[Wearing, GraphKind]] = []
        """Which of them the last batch was given; it needs its UNet's and its ControlNets' together."""
        self._refused: dict[tuple[Wearing, GraphKind], str] = {}
        self._expected: dict[tuple[Wearing, str], int] = {}
        """Pixels, by weights and seamless axes."""
        self._said: set[tuple[str, str]] = set()

    @property
    def may_come(self) -> bool:
        """Whether any batch of this process can be asked of a graph."""
        return self.asked == "onnxruntime" or (self.asked == "auto" and not self._never)

    def expect(self, specs: Iterable[ImageSpec]) -> None:
        """What is going to be made with these models; `auto` weighs a graph's cost against all of it."""
        self._expected, self._refused = {}, {}
        for spec in specs:
            if not find_obstacle(spec, resident=True):
                key = list_weights_worn(spec), spec.seamless
                self._expected[key] = self._expected.get(key, 0) + count_pixels(spec)

    def find(
        self, spec: ImageSpec, unet: Any, *, rows: int, factor: int, tile: int | None, axes: str, resident: bool
    ) -> tuple[UNetSession | None, str]:
        """The session that makes this batch; or None, and why PyTorch makes it. `factor`: px a latent; `tile`: px, the
        side of a window (engine/windows.py); `axes`: along which the UNet pads circularly."""
        sides = [min(side, tile or side) // factor for side in (spec.height, spec.width)]
        kind = GraphKind(halves=not any(side % find_grain(unet) for side in sides), axes=axes)
        key = list_weights_worn(spec), kind
        self._batch = [key]
        if reason := self._never or find_obstacle(spec, resident=resident) or find_unknown_input(unet):
            return None, self._say(spec, "PyTorch makes it: ", reason)
        if (session := self._held(key, unet)) is not None:
            return session, ""
        if key not in self._refused:
            self._refused[key] = self._open(key, spec, unet, rows, sides, factor)
        if reason := self._refused[key]:
            return None, self._say(spec, "PyTorch makes it: ", reason)
        del self._refused[key]
        return self._held(key, unet), ""

    def find_controlnets(self, spec: ImageSpec, nets: Sequence[Any]) -> tuple[list[ControlNetSession], str]:
        """Of a batch whose UNet is a graph's: the sessions that answer for its ControlNets, one for each that is not
        PyTorch's; and why others are."""
        sessions, reasons = [], []
        by_digest = {control.model.digest: pair for control, pair in zip(spec.controlnets, nets, strict=True)}
        for digest, net in by_digest.items():
            key = (digest,), GraphKind(halves=False, axes=spec.seamless)
            self._batch.append(key)
            session = self._held(key, net)
            if session is None and key not in self._refused:
                session = self._open_controlnet(key, net)
                if isinstance(session, str):
                    self._refused[key], session = session, None
            if session is not None:
                sessions.append(session)
            else:
                reasons.append(self._say(spec, "a ControlNet by PyTorch: ", self._refused[key]))
        return sessions, ", ".join(reasons)

    def _held(self, key: tuple[Wearing, GraphKind], network: Any) -> Any:
        """The session that is open with these weights; now the last that was used."""
        session = self._sessions.pop(key, None)
        if session is None or session.network is not network:
            return None
        self._sessions[key] = session
        return session

    def forget(self) -> None:
        """The checkpoint is going, and its weights with it."""
        self._sessions.clear()

    def describe(self) -> str:
        """For `dailies preflight`."""
        if not self.may_come:
            return "torch" + (f", for {self._never}" if self._never and self.asked != "torch" else "")
        assert self.folder is not None
        known = read_remembered(self.folder / "graphs.json")
        here = [body for name, body in known.items() if name.endswith(_name_machine()) and "graph" in body]
        gains = ", ".join(f"{body['torch'] / body['graph']:.1f}" for body in here)
        measured = f"measured here: {gains} times as fast as torch" if gains else "not measured here yet"
        return f"{self.asked}, graphs kept in {self.folder / 'graphs'}; {measured}"

    def _open(
        self, key: tuple[Wearing, GraphKind], spec: ImageSpec, unet: Any, rows: int, sides: list[int], factor: int
    ) -> str:
        """Why there is no session; empty when there is one."""
        wearing, kind = key
        record = self._record(unet, kind)
        known, kept = record.known, self._file(unet, kind).is_file()
        unsure = _may_be_faster(known)
        # 1. whether it pays
        work = self._expected.get((wearing, spec.seamless), rows * count_pixels(spec))
        passes = work // (spec.height * spec.width)
        if self.asked == "auto" and "torch" not in known and passes < WORTH:
            return f"not worth measuring for {passes} rows of forward passes; expected {WORTH} at least"
        if "torch" not in known:
            record.add(height=sides[0], width=sides[1])
            record.add(torch=_time_rows(unet, [unet.forward], known, kind)[0])
        if self.asked == "auto" and not unsure:
            seconds = work / factor**2 * known["torch"] / (known["height"] * known["width"])
            if reason := weigh(seconds, known, record.likely(), kept=kept):
                return reason
        # 2. the graph and the session
        session = self._make(UNetSession, unet, kind, record)
        if isinstance(session, str):
            return session
        # 3. how fast it is
        if "graph" not in known or unsure:
            times = _time_rows(unet, [unet.forward, session.forward], known, kind)
            best = {
                name: min(known.get(name, time), time) for name, time in zip(("torch", "graph"), times, strict=True)
            }
            record.add(**best, measured=known.get("measured", 0) + 1)
            if self.asked == "auto" and (reason := _find_slowness(known)):
                return reason
        log.info("%s: ONNX Runtime makes it, %s", spec.model.alias, known)
        self._keep(key, session)
        return ""

    def _open_controlnet(self, key: tuple[Wearing, GraphKind], net: Any) -> ControlNetSession | str:
        """Or why there is none."""
        if reason := find_unknown_input(net):
            return reason
        session = self._make(ControlNetSession, net, key[1], self._record(net, key[1]))
        if not isinstance(session, str):
            self._keep(key, session)
        return session

    def _make(self, cls: type[Session], network: Any, kind: GraphKind, record: _Record) -> Session | str:
        """A session that is right, its graph kept; or why there is none."""
        file = self._file(network, kind)
        started = time.perf_counter()
        try:
            if not file.is_file():
                keep_graph(network, file, kind)
                record.add(export=time.perf_counter() - started)
                started = time.perf_counter()
            session = cls(network, file, kind)
            record.add(open=time.perf_counter() - started)
        except Exception as error:  # of the exporter, or of ONNX Runtime: this network is PyTorch's in this process
            file.unlink(missing_ok=True)
            return f"its graph could not be made: {type(error).__name__}: {error}"
        away = measure_error(session)
        if not away <= MOST_ERROR:  # NaN neither
            return f"its graph was off by {away:.1e}; expected at most {MOST_ERROR:.0e}"
        log.info("%s by ONNX Runtime, error %.1e", type(network).__name__, away)
        return session

    def _file(self, network: Any, kind: GraphKind) -> Path:
        assert self.folder is not None  # without one there is a hindrance
        return self.folder / "graphs" / f"{make_digest(network, kind)}.onnx"

    def _record(self, network: Any, kind: GraphKind) -> _Record:
        assert self.folder is not None
        weights = sum(weight.numel() for name, weight in network.named_parameters() if ".lora_" not in name)
        return _Record(self.folder / "graphs.json", make_digest(network, kind)[:16], weights)

    def _keep(self, key: tuple[Wearing, GraphKind], session: UNetSession | ControlNetSession) -> None:
        self._sessions[key] = session
        others = [other for other in self._sessions if other not in self._batch]
        while others and sum(self._sessions[other].bytes for other in others) > GRAPHS_HELD:
            del self._sessions[others.pop(0)]

    def _say(self, spec: ImageSpec, what: str, reason: str) -> str:
        """Once in the log of a process."""
        if (spec.model.alias, what + reason) not in self._said:
            self._said.add((spec.model.alias, what + reason))
            log.info("%s: %s%s", spec.model.alias, what, reason)
        return reason


class _Record:
    """What is known of one graph on this machine, in seconds: `export`, `open`; and a row of a forward pass by
    PyTorch and by the graph (`torch`, `graph`), `height` x `width` latents large; how often that was `measured`; how
    many `weights` it takes."""

    def __init__(self, file: Path, graph: str, weights: int) -> None:
        self.file, self.here, self.weights = file, f"{graph}, {_name_machine()}", weights
        known = read_remembered(file).get(self.here)
        self.known: dict[str, float] = known if isinstance(known, dict) else {}

    def add(self, **seconds: float) -> None:
        self.known |= {name: round(value, 6) for name, value in seconds.items()}
        self.known["weights"] = self.weights
        write_remembered(self.file, read_remembered(self.file) | {self.here: self.known})

    def likely(self) -> dict[str, float]:
        """What `auto` reckons with until this graph was measured: what others with as many weights showed here."""
        all_here = [body for name, body in read_remembered(self.file).items() if name.endswith(_name_machine())]
        alike = [body for body in all_here if body.get("weights") == self.weights]
        found = {name: max(seen) for name in ("export", "open") if (seen := [b[name] for b in alike if name in b])}
        if gains := [max(LEAST_GAIN, body["torch"] / body["graph"]) for body in alike if "graph" in body]:
            found["gain"] = min(gains)
        return {**STATED, **found}


def find_obstacle(spec: ImageSpec, *, resident: bool) -> str:
    """What of this batch a graph cannot do (the table in docs/performance.md); empty when nothing."""
    reasons = {
        "IP-Adapter": bool(spec.references),
        "T2I-Adapter": bool(spec.adapters),
        "PAG": bool(spec.pag_scale),
        "refiner": spec.refiner is not None,
        "approximation": spec.approximation is not None,
        f"storage_dtype {spec.storage_dtype}": bool(spec.storage_dtype),
        "weights offloaded": not resident,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def weigh(seconds: float, known: Mapping[str, float], likely: Mapping[str, float], *, kept: bool) -> str:
    """Why a graph does not repay `seconds` of PyTorch's work; empty when it does. `likely`: what is not known."""
    if reason := _find_slowness(known):
        return reason
    gain = known["torch"] / known["graph"] if "graph" in known else likely["gain"]
    export = 0.0 if kept else known.get("export", likely["export"]) / NIGHTS
    cost = export + known.get("open", likely["open"])
    saved = seconds * (1 - 1 / gain)
    return "" if saved > cost else f"a graph would save {saved:.0f} s of {seconds:.0f} s and cost {cost:.0f} s"


def count_pixels(spec: ImageSpec) -> int:
    """That one picture sends through the UNet, over all steps and both halves of guidance."""
    steps = spec.num_inference_steps * (spec.strength or 1.0)
    return max(1, round(steps)) * (2 if spec.guidance_scale > 1 else 1) * spec.width * spec.height


def measure_error(session: UNetSession | ControlNetSession) -> float:
    """Relative L2 of the graph's answers to PyTorch's, on noise of a small size; NaN is an error too."""
    height, width = make_sides(session.network, session.kind)
    given = make_noise(session.network, rows=2, height=height, width=width)
    with use_circular_padding([session.network], session.kind.axes):
        theirs, ours = (_flatten(forward(**given)) for forward in (session.network.forward, session.forward))
    return float((ours - theirs).norm() / max(float(theirs.norm()), torch.finfo(torch.float32).tiny))


def _flatten(answers: Iterable[Any]) -> torch.Tensor:
    """A UNet's answer, or all that a ControlNet adds to one."""
    return torch.cat([_flatten(one) if isinstance(one, list | tuple) else one.flatten() for one in answers])


def make_noise(network: Any, *, rows: int, height: int, width: int) -> dict[str, Any]:
    """Arguments of `network.forward`; sides in latents."""
    source = torch.Generator().manual_seed(0)
    shapes = {"sample": (rows, network.config.in_channels, height, width), **shape_text(network, rows=rows)}
    if is_controlnet(network):
        factor = 2 ** (len(network.config.conditioning_embedding_out_channels) - 1)
        channels = network.config.conditioning_channels
        shapes["controlnet_cond"] = (rows, channels, height * factor, width * factor)
    noise = {name: torch.randn(shape, generator=source) for name, shape in shapes.items()}
    sizes = {name: noise.pop(name) for name in ("text_embeds", "time_ids") if name in noise}
    return {**noise, "timestep": torch.tensor(500), "added_cond_kwargs": sizes or None, "return_dict": False}


def _find_slowness(known: Mapping[str, float]) -> str:
    """Why a graph is not taken whatever the work; empty where none was measured."""
    gain = known["torch"] / known["graph"] if "graph" in known else LEAST_GAIN
    return (
        ""
        if gain >= LEAST_GAIN
        else f"a graph is {gain:.2f} times as fast on this machine; expected {LEAST_GAIN} at least"
    )


def _may_be_faster(known: Mapping[str, float]) -> bool:
    """It was slow when it was measured, which may have been its neighbours."""
    return bool(_find_slowness(known)) and known.get("measured", 0) < MEASURED_AT_MOST


def _time_rows(unet: Any, forwards: Sequence[Any], sides: Mapping[str, float], kind: GraphKind) -> list[float]:
    """Seconds a row of each, in turns, so that a neighbour slows all; the fastest of three after one to warm up."""
    given = make_noise(unet, rows=ROWS, height=int(sides["height"]), width=int(sides["width"]))
    times: list[list[float]] = [[] for _ in forwards]
    with use_circular_padding([unet], kind.axes):
        for _ in range(TIMES):
            for forward, taken in zip(forwards, times, strict=True):
                started = time.perf_counter()
                forward(**given)
                taken.append(time.perf_counter() - started)
    return [min(taken[1:]) / ROWS for taken in times]


def _find_hindrance(device: torch.device, dtype: torch.dtype, *, compiled: bool, folder: Path | None) -> str:
    """Why no batch of this process can have a graph."""
    if device.type != "cpu":
        return f"device {device.type}"
    if dtype != torch.float32:
        return f"dtype {str(dtype).removeprefix('torch.')}"
    if compiled:
        return "compile"
    return "" if folder is not None else "no folder to keep graphs in"


def list_weights_worn(spec: ImageSpec) -> Wearing:
    """What the networks' answers depend on beside their inputs."""
    return (spec.model.digest, tuple((lora.digest, lora.weight) for lora in spec.loras))


def _name_machine() -> str:
    """What was measured holds for these threads of this processor and these versions."""
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    return f"{read_processor()[0]}, {torch.get_num_threads()} threads, {versions}"
