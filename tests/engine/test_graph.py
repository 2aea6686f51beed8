"""A UNet computed by ONNX Runtime: the same pictures within rounding, never with other weights, and PyTorch's wherever
the graph cannot follow, which is said."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import graph_backend
from engine.denoiser_graph import make_digest
from engine.diffuse import Engine
from engine.graph_backend import (
    LEAST_GAIN,
    MOST_ERROR,
    STATED,
    _Record,
    count_pixels,
    find_obstacle,
    measure_error,
    weigh,
)
from engine.graph_layers import GraphKind
from engine.graph_session import ControlNetSession
from engine.model_files import ModelFiles
from engine.rendered import Rendered
from engine.runtime_options import RuntimeOptions
from schemas.errors import SettingsError
from schemas.settings import ROOT, Backend
from schemas.spec import Approximation, ControlSpec, Hires, ReferenceSpec, Refiner
from tests.engine.conftest import HEIGHT, WIDTH, Studio

GRAPH = {"backend": "onnxruntime"}
KNOWN = {"height", "width", "torch", "graph", "open", "export", "measured", "weights"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("device")


@pytest.fixture(scope="module")
def graphed(catalogue: ModelFiles, folder: Path) -> Engine:
    return make_engine(catalogue, folder)


def make_engine(catalogue: ModelFiles, folder: Path, backend: Backend = "onnxruntime") -> Engine:
    levers = RuntimeOptions(backend=backend, folder=folder)
    return Engine(catalogue, device="cpu", dtype="float32", levers=levers)


def find_graph(engine: Engine, folder: Path) -> Path:
    """Of sides that halve evenly, as most tests have."""
    return folder / "graphs" / f"{make_digest(engine.models._base.unet, GraphKind(halves=True))}.onnx"


def apart(one: list[Rendered], two: list[Rendered]) -> int:
    """Levels of 255."""
    assert [row.error for row in (*one, *two)] == [None] * len((*one, *two))
    return max(int(np.abs(a.pixels.astype(int) - b.pixels).max()) for a, b in zip(one, two, strict=True))  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["txt2img", "inpaint", "two controls", "control img2img"])
def test_a_graph_makes_the_same_pictures(
    engine: Engine, graphed: Engine, studio: Studio, tasks: dict[str, Any], kind: str
) -> None:
    specs = [tasks[kind](n) for n in range(2)]
    made = studio.render(graphed, specs)
    assert [row.levers for row in made] == [GRAPH, GRAPH]
    assert apart(made, studio.render(engine, specs)) <= 1


def test_two_graphs_take_every_size_and_limited_guidance_and_controls(
    engine: Engine, graphed: Engine, studio: Studio, folder: Path
) -> None:
    """Sides that the UNet cannot halve evenly, which have a graph of their own; the second pass in windows; and a
    ControlNet that ends early."""
    words = "a red boat " * 40
    cases = [
        studio.spec(1, width=88, height=56, prompt=words),
        studio.spec(2, guidance_end=0.4, guidance_rescale=0.5),
        studio.spec(3, controls=(studio.control(control_guidance_end=0.4),)),
        studio.spec(4, width=160, height=96, hires=Hires(width=80, height=48, strength=1.0, tile=64)),
    ]
    for spec in cases:
        made, plain = studio.render(graphed, [spec]), studio.render(engine, [spec])
        assert made[0].levers == GRAPH
        assert apart(made, plain) <= 1
        assert sorted(made[0].vectors) == sorted(
            plain[0].vectors
        )  # what the middle block said is an output of the graph
        for kind, vector in plain[0].vectors.items():
            np.testing.assert_allclose(made[0].vectors[kind], vector, rtol=1e-3, atol=1e-3)
    assert len(list((folder / "graphs").iterdir())) == 3  # of the UNet, and of the ControlNet, which takes any sides


def test_controlnets_are_graphs_beside_their_unet(engine: Engine, graphed: Engine, studio: Studio) -> None:
    """Two and one of them twice; with rows of their own scales; seamless; with sides that do not halve evenly."""
    one, other = studio.control(controlnet_conditioning_scale=0.4), studio.control("depth", image="d")
    again = studio.control(image="d", control_guidance_end=0.6)
    cases = [
        [studio.spec(1, controls=(one, other, again)), studio.spec(2, controls=(studio.control(), other, again))],
        [studio.spec(1, controls=(one,), seamless="x")],
        [studio.spec(1, controls=(_of_size(studio, one, 88, 56),), width=88, height=56)],
    ]
    for specs in cases:
        made = studio.render(graphed, specs)
        assert [row.levers for row in made] == [GRAPH] * len(specs)
        nets = {session.network for session in graphed.graphs._sessions.values() if _is_controls(session)}
        with torch.inference_mode():
            assert all(measure_error(s) <= MOST_ERROR for s in graphed.graphs._sessions.values() if _is_controls(s))
        assert nets == set(graphed.models._nets.values())
        assert apart(made, studio.render(engine, specs)) <= 1
    calls: list[str] = []
    hooks = [net.conv_in.register_forward_hook(lambda *_: calls.append("torch")) for net in nets]
    studio.render(graphed, cases[0])
    for hook in hooks:
        hook.remove()
    assert calls == []  # PyTorch computes nothing of them but the condition's embedding


def test_the_sessions_of_a_batch_do_not_close_each_other(
    catalogue: ModelFiles, studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of SDXL's size are more than may stay open beside a batch's own."""
    monkeypatch.setattr(graph_backend, "GRAPHS_HELD", 0)
    engine = make_engine(catalogue, folder)
    spec = studio.spec(1, controls=(studio.control(), studio.control("depth")))
    studio.render(engine, [spec])
    opened = list(engine.graphs._sessions.values())
    assert len(opened) == 3
    studio.render(engine, [spec])
    assert set(engine.graphs._sessions.values()) == set(opened)
    studio.render(engine, [studio.spec(1, seamless="x")])
    assert [session.kind.axes for session in engine.graphs._sessions.values()] == ["x"]


def _is_controls(session: object) -> bool:
    return isinstance(session, ControlNetSession)


def _of_size(studio: Studio, control: ControlSpec, width: int, height: int) -> ControlSpec:
    lines = studio.conditions[control.condition_key(WIDTH, HEIGHT)]
    studio.conditions[control.condition_key(width, height)] = np.resize(lines, (height, width, 3))
    return control


def test_a_controlnet_that_says_nothing_yet_is_right_too(graphed: Engine, studio: Studio) -> None:
    """Untrained, all its answers are 0, as are the graph's."""
    studio.render(graphed, [studio.spec(1, controls=(studio.control(),))])
    net = copy.deepcopy(next(iter(graphed.models._nets.values())))
    for block in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        torch.nn.init.zeros_(block.weight), torch.nn.init.zeros_(block.bias)
    with torch.inference_mode():
        session = graphed.graphs._open_controlnet((("untrained",), GraphKind(halves=False)), net)
    assert isinstance(session, ControlNetSession), session


@pytest.mark.parametrize("axes", ["x", "y", "xy"])
def test_seamless_textures_have_graphs_of_their_own(
    engine: Engine, graphed: Engine, studio: Studio, folder: Path, axes: str
) -> None:
    """Sides that halve evenly and others, and windows that go around the edge, in which no axis is whole."""
    cases = [
        studio.spec(1, seamless=axes),
        studio.spec(2, seamless=axes, width=88, height=56),
    ]
    if axes == "xy":
        hires = Hires(width=64, height=64, strength=1.0, tile=64)
        cases.append(studio.spec(3, seamless=axes, width=128, height=128, hires=hires))
    for spec in cases:
        made = studio.render(graphed, [spec])
        assert made[0].levers == GRAPH
        assert apart(made, studio.render(engine, [spec])) <= 1
    plain = studio.render(graphed, [studio.spec(1)])
    assert apart(plain, studio.render(graphed, [cases[0]])) > 4


def test_every_lora_set_has_its_own_weights(engine: Engine, graphed: Engine, studio: Studio, folder: Path) -> None:
    sets = [(), (studio.lora(weight=1.0),), (studio.lora(weight=0.3),), (studio.lora(), studio.lora("studio-tiny/lcm"))]
    studio.render(graphed, [studio.spec(1)])
    graphs, seen = sorted((folder / "graphs").iterdir()), []
    for loras in (*sets, sets[0], sets[1]):
        spec = studio.spec(1, loras=loras)
        made = studio.render(graphed, [spec])
        assert made[0].levers == GRAPH
        assert apart(made, studio.render(engine, [spec])) <= 1
        seen.append(made[0].pixels)
        session = list(graphed.graphs._sessions.values())[-1]
        with torch.inference_mode():
            assert measure_error(session) <= MOST_ERROR
    first, style, weak, both = seen[:4]
    assert all((one != other).any() for one, other in ((first, style), (style, weak), (style, both)))
    assert (seen[4] == first).all() and (seen[5] == style).all()
    assert sorted((folder / "graphs").iterdir()) == graphs


def test_another_checkpoint_of_the_same_shape_brings_its_own_weights(
    engine: Engine, graphed: Engine, studio: Studio, folder: Path, tmp_path: Path
) -> None:
    """The same alias, other weights: the graph is used again, with these."""
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models" / "studio-tiny", models / "studio-tiny", ignore=shutil.ignore_patterns("*lora*"))
    weights = models / "studio-tiny" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor.float() * 0.97 for name, tensor in load_file(weights).items()}, weights)
    (models / "catalogue.yaml").write_text("studio-tiny: {kind: checkpoint, path: studio-tiny, licence: Apache-2.0}\n")
    other = ModelFiles.read(models / "catalogue.yaml")
    theirs = Studio(other)
    plain = Engine(other, device="cpu", dtype="float32")
    studio.render(graphed, [studio.spec(1)])
    graphs = sorted((folder / "graphs").iterdir())
    made = theirs.render(make_engine(other, folder), [theirs.spec(1)])
    assert made[0].levers == GRAPH
    assert apart(made, theirs.render(plain, [theirs.spec(1)])) <= 1
    assert apart(made, studio.render(engine, [studio.spec(1)])) > 4
    assert sorted((folder / "graphs").iterdir()) == graphs


FALLBACKS: dict[str, dict[str, Any]] = {
    "approximation": {"approximation": Approximation(cache_interval=2)},
    "PAG": {"pag_scale": 2.0, "pag_applied_layers": ("mid",)},
    "storage_dtype float8_e4m3fn": {"storage_dtype": "float8_e4m3fn"},
}


@pytest.mark.parametrize("reason", FALLBACKS)
def test_what_a_graph_cannot_do_is_pytorchs_and_said(
    engine: Engine, graphed: Engine, studio: Studio, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    graphed.graphs._said.clear()
    spec = studio.spec(1, **FALLBACKS[reason])
    with caplog.at_level("INFO", "engine.graph_backend"):
        made = studio.render(graphed, [spec])
    assert made[0].levers == {"backend": "torch", "backend_reason": reason}
    assert f"studio-tiny: PyTorch makes it: {reason}" in caplog.text
    assert apart(made, studio.render(engine, [spec])) == 0


def test_reasons_are_found_in_the_spec_and_the_placement(studio: Studio) -> None:
    assert find_obstacle(studio.spec(), resident=True) == ""
    assert find_obstacle(studio.spec(seamless="xy", pag_scale=1.0), resident=False) == "PAG, weights offloaded"
    reference = ReferenceSpec(image="a" * 64, model=studio.ref("studio-tiny"))
    follows = studio.control().model_copy(update={"kind": "t2i_adapter"})
    assert find_obstacle(studio.spec(references=(reference,)), resident=True) == "IP-Adapter"
    assert find_obstacle(studio.spec(controls=(follows,)), resident=True) == "T2I-Adapter"
    refiner = Refiner(model=studio.ref("studio-tiny"), denoising_start=0.8)
    assert find_obstacle(studio.spec(refiner=refiner), resident=True) == "refiner"


def test_offloaded_weights_are_pytorchs(graphed: Engine, studio: Studio) -> None:
    unet = graphed.models._base.unet
    session, reason = graphed.graphs.find(studio.spec(), unet, rows=1, factor=4, tile=None, axes="", resident=False)
    assert session is None and reason == "weights offloaded"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"levers": {"compile": True, "compile_backend": "eager"}}, "compile"),
        ({"dtype": "bfloat16"}, "dtype bfloat16"),
        ({"levers": {"folder": None}}, "no folder"),
    ],
)
def test_asked_for_where_it_cannot_be_it_is_refused_and_auto_is_torch(
    catalogue: ModelFiles, tmp_path: Path, given: dict[str, Any], what: str
) -> None:
    def make(backend: Backend) -> Engine:
        levers = RuntimeOptions(**({"backend": backend, "folder": tmp_path} | given.get("levers", {})))
        return Engine(catalogue, device="cpu", dtype=given.get("dtype", "float32"), levers=levers)

    with pytest.raises(SettingsError, match=f"got onnxruntime with {what}"):
        make("onnxruntime")
    assert make("auto").graphs.describe().startswith(f"torch, for {what}")
    torch._dynamo.reset()


def test_a_kept_graph_serves_the_next_process(graphed: Engine, studio: Studio, folder: Path) -> None:
    """It could not export one: the package that this needs is not there for it."""
    studio.render(graphed, [studio.spec(1)])
    file = find_graph(graphed, folder)
    before = file.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-c", SECOND, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"levers": GRAPH, "away": 0}
    assert [file.stat().st_mtime_ns] == [before]


SECOND = """
import json, sys
sys.modules["onnx"] = None
from pathlib import Path
import numpy as np, torch
from engine.model_files import ModelFiles
from tests.engine.conftest import HEIGHT, WIDTH, Studio
from tests.engine.test_graph import make_engine
from tests.studio import catalogue_path

torch.set_num_threads(1)
catalogue = ModelFiles.read(catalogue_path())
studio, folder = Studio(catalogue), Path(sys.argv[1])
one, two = (studio.render(make_engine(catalogue, folder), [studio.spec(1)])[0] for _ in range(2))
print(json.dumps({"levers": one.levers, "away": int(np.abs(one.pixels.astype(int) - two.pixels).max())}))
"""


def test_a_damaged_or_wrong_graph_is_not_used(
    catalogue: ModelFiles, engine: Engine, graphed: Engine, studio: Studio, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    studio.render(graphed, [studio.spec(1)])
    shutil.copytree(folder / "graphs", tmp_path / "graphs")
    file = find_graph(graphed, tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    broken = studio.render(make_engine(catalogue, tmp_path), [studio.spec(1)])
    assert broken[0].levers["backend"] == "torch" and "could not be made" in broken[0].levers["backend_reason"]
    file.write_bytes(whole)
    monkeypatch.setattr(graph_backend, "MOST_ERROR", 1e-12)
    wrong = studio.render(make_engine(catalogue, tmp_path), [studio.spec(1)])
    assert wrong[0].levers["backend"] == "torch" and "off by" in wrong[0].levers["backend_reason"]
    assert apart(broken, wrong) == 0 == apart(wrong, studio.render(engine, [studio.spec(1)]))


def test_auto_takes_a_graph_where_the_announced_work_repays_it(
    catalogue: ModelFiles, studio: Studio, folder: Path, tmp_path: Path
) -> None:
    studio.render(make_engine(catalogue, folder), [studio.spec(1)])
    shutil.copytree(folder / "graphs", tmp_path / "graphs")
    shutil.copy(folder / "graphs.json", tmp_path)
    auto = make_engine(catalogue, tmp_path, "auto")
    notes = tmp_path / "graphs.json"
    known = json.loads(notes.read_text())
    known = {name: body for name, body in known.items() if "graph" in body}  # the others are ControlNets'
    assert known and all(set(body) == KNOWN for body in known.values())
    for body in known.values():
        body |= {"torch": 0.010, "graph": 0.005, "open": 2.0, "height": 12, "width": 16}
    notes.write_text(json.dumps(known))
    one = studio.spec(1)  # 6 rows of 10 ms, of which half would be saved
    small = studio.render(auto, [one])[0].levers
    assert small["backend"] == "torch" and small["backend_reason"].startswith("a graph would save 0 s of 0 s")
    auto.expect([one] * 50)
    assert studio.render(auto, [one])[0].levers["backend"] == "torch"
    auto.expect([one] * 100)
    assert studio.render(auto, [one])[0].levers == GRAPH


def test_a_graph_that_was_slow_once_is_measured_again(
    catalogue: ModelFiles, studio: Studio, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour may have been at work. The fastest of all times counts, and after three it is believed."""
    studio.render(make_engine(catalogue, folder), [studio.spec(1)])
    shutil.copytree(folder / "graphs", tmp_path / "graphs")
    shutil.copy(folder / "graphs.json", tmp_path)
    notes = tmp_path / "graphs.json"
    slow = {name: body | {"torch": 0.010, "graph": 0.0098} for name, body in json.loads(notes.read_text()).items()}
    times = iter([(0.011, 0.0110), (0.012, 0.0097), (0.010, 0.0090)])
    monkeypatch.setattr(graph_backend, "_time_rows", lambda *_: list(next(times)))

    def make() -> dict[str, str]:
        engine = make_engine(catalogue, tmp_path, "auto")
        engine.expect([studio.spec(1)] * 10_000)
        return dict(studio.render(engine, [studio.spec(1)])[0].levers)

    notes.write_text(json.dumps({name: body | {"measured": 1} for name, body in slow.items()}))
    seen = [make() for _ in range(3)]
    assert [levers["backend_reason"][:31] for levers in seen] == [
        "a graph is 1.02 times as fast o",
        *["a graph is 1.03 times as fast o"] * 2,
    ]
    assert next(times) == (0.010, 0.0090)  # not asked for: 1 + 2 were enough
    notes.write_text(json.dumps({name: body | {"measured": 2} for name, body in slow.items()}))
    times = iter([(0.010, 0.0090)])
    assert [make(), make()] == [GRAPH, GRAPH]


def test_what_a_graph_costs_is_weighed_against_what_it_saves() -> None:
    known = {"torch": 3.0, "graph": 1.0, "export": 40.0, "open": 2.0}  # a fifth of the export is this night's
    assert weigh(15.1, known, STATED, kept=False) == ""  # saves two thirds of it
    assert weigh(14.9, known, STATED, kept=False) == "a graph would save 10 s of 15 s and cost 10 s"
    assert weigh(3.1, known, STATED, kept=True) == ""
    not_known = {"torch": 3.0}
    assert weigh(4.5, not_known, STATED, kept=False) == "a graph would save 1 s of 4 s and cost 1 s"
    assert weigh(4.6, not_known, STATED, kept=False) == ""


def test_what_is_not_known_of_a_graph_is_taken_from_others_with_as_many_weights(tmp_path: Path) -> None:
    """A seamless one from the plain one of the same UNet, on this machine."""
    file = tmp_path / "graphs.json"
    plain, seamless, large = (_Record(file, name, weights) for name, weights in (("a", 7), ("b", 7), ("c", 9)))
    assert seamless.likely() == STATED
    large.add(export=90.0, open=9.0, torch=3.0, graph=1.0)
    plain.add(export=1.0, open=0.2, torch=0.3, graph=0.15)
    assert seamless.likely() == {"export": 1.0, "open": 0.2, "gain": 2.0}
    _Record(file, "d", 7).add(open=0.3, torch=0.1, graph=0.1)  # a slow one says no more than that it was
    assert seamless.likely() == {"export": 1.0, "open": 0.3, "gain": LEAST_GAIN}


def test_auto_measures_nothing_for_little_work_and_is_silent_where_it_never_can(
    catalogue: ModelFiles, studio: Studio, tmp_path: Path
) -> None:
    auto = make_engine(catalogue, tmp_path, "auto")
    one = studio.spec(1)
    assert studio.render(auto, [one])[0].levers["backend_reason"].startswith("not worth measuring for 6 rows")
    assert list(tmp_path.iterdir()) == []
    auto.expect([one] * 30)
    studio.render(auto, [one])
    assert [path.name for path in tmp_path.iterdir()] == ["graphs.json"]
    halved = Engine(catalogue, device="cpu", dtype="bfloat16", levers=RuntimeOptions(backend="auto", folder=tmp_path))
    halved.expect([one] * 10_000)
    assert studio.render(halved, [one])[0].levers == {}


def test_forwards_are_counted_as_the_pipelines_take_them(studio: Studio) -> None:
    one: dict[str, Any] = {"num_inference_steps": 10}
    counts = [
        count_pixels(studio.spec(**one)),
        count_pixels(studio.spec(**one, guidance_scale=1.0)),
        count_pixels(studio.spec(**one, source="a" * 64, strength=0.4)),
    ]
    assert counts == [20 * 64 * 48, 10 * 64 * 48, 8 * 64 * 48]


def test_sides_that_do_not_halve_evenly_are_refused_by_the_faster_graph(graphed: Engine, studio: Studio) -> None:
    """Nothing asks this of it; were it to, the picture's edges would be wrong without a word."""
    studio.render(graphed, [studio.spec(1)])
    session = list(graphed.graphs._sessions.values())[-1]
    assert session.kind == GraphKind(halves=True)
    with pytest.raises(ValueError, match="got 14 x 12 latents for a graph of sides that are multiples of 4"):
        session.forward(**graph_backend.make_noise(session.network, rows=1, height=14, width=12))
