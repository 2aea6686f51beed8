"""A sheet of approved images: every frame holds its image's own pixels, no two touch, and it is the same each time."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import InputError
from tasks.delivery import target
from tasks.delivery.atlas import Layout, Sprite, cut_sprite, list_sprites, pack_sprites, write_atlas
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, manifest, spec


def sprite(name: str, width: int, height: int, seed: int = 0) -> Sprite:
    pixels = np.random.default_rng(seed).integers(1, 256, (height, width, 4), np.uint8)
    return Sprite(name, name * 8, pixels, 0, 0, (width, height))


def test_clear_edges_are_left_out_and_told() -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[5:9, 7:17] = (10, 20, 30, 1)
    cut = cut_sprite("a", "d", pixels, trim=True)
    assert (cut.left, cut.top, cut.size, cut.pixels.shape) == (7, 5, (30, 20), (4, 10, 4))
    assert cut_sprite("a", "d", pixels, trim=False).pixels.shape == (20, 30, 4)
    assert cut_sprite("a", "d", np.zeros((9, 9, 4), np.uint8), trim=True).pixels.shape == (1, 1, 4)
    opaque = cut_sprite("a", "d", pixels[..., :3], trim=True)
    assert opaque.pixels.shape == (20, 30, 4) and opaque.pixels[..., 3].min() == 255


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=25),
    padding=st.integers(0, 4),
    extrude=st.integers(0, 3),
    most=st.sampled_from([128, 200, 256]),
    power_of_two=st.booleans(),
)
def test_frames_hold_their_pixels_and_never_touch(
    sizes: list[tuple[int, int]], padding: int, extrude: int, most: int, power_of_two: bool
) -> None:
    sprites = [sprite(f"s{n}", width, height, n) for n, (width, height) in enumerate(sizes)]
    pages = pack_sprites(sprites, Layout(padding, extrude, most, power_of_two))
    assert sorted(name for page in pages for name in page.frames) == sorted(one.name for one in sprites)
    for page in pages:
        height, width = page.pixels.shape[:2]
        assert max(height, width) <= most
        assert not power_of_two or (height & (height - 1), width & (width - 1)) == (0, 0)
        taken = np.zeros((height, width), int)
        for one, x, y in page.frames.values():
            h, w = one.pixels.shape[:2]
            assert np.array_equal(page.pixels[y : y + h, x : x + w], one.pixels)
            around = page.pixels[y - extrude : y + h + extrude, x - extrude : x + w + extrude]
            assert np.array_equal(around, np.pad(one.pixels, ((extrude,) * 2, (extrude,) * 2, (0, 0)), mode="edge"))
            taken[y - extrude : y + h + extrude, x - extrude : x + w + extrude] += 1
            left, top = max(0, x - extrude - padding), max(0, y - extrude - padding)
            near = taken[top : y + h + extrude + padding, left : x + w + extrude + padding]
            assert near.sum() == (h + 2 * extrude) * (w + 2 * extrude)  # nothing of another within the padding
        assert taken.max() == 1 and not page.pixels[taken == 0].any()


def test_a_sprite_that_fits_nowhere_is_named() -> None:
    with pytest.raises(InputError, match=r"--max-size: got 128 for big of 125x20; expected more"):
        pack_sprites([sprite("big", 125, 20)], Layout(most=128))


def test_approved_images_of_a_project(local_stack: Stack, tmp_path: Path) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    specs = [spec("red potion", seed) for seed in (1, 2)] + [spec("blue potion", 3)]
    approved(ledger, store, specs, manifest("red potion", "blue potion"))
    arguments = ["atlas", "Potion Shop", "--out", str(tmp_path / "sheet.png"), "--power-of-two"]
    runs = []
    for _ in range(2):
        done = CliRunner().invoke(app, arguments, env=local_stack.environment)
        assert done.exit_code == 0, done.output
        runs.append([(tmp_path / name).read_bytes() for name in ("sheet.png", "sheet.json")])
    assert runs[0] == runs[1]
    body = json.loads(runs[0][1])
    sheet = np.asarray(Image.open(io.BytesIO(runs[0][0])))
    assert body["meta"]["size"] == {"w": sheet.shape[1], "h": sheet.shape[0]} and body["meta"]["image"] == "sheet.png"
    assert list(body["frames"]) == ["BluePotion_S3.png", "RedPotion_S1.png", "RedPotion_S2.png"]
    for frame, one in zip(body["frames"].values(), [specs[2], specs[0], specs[1]], strict=True):
        x, y, w, h = (frame["frame"][side] for side in "xywh")
        assert frame["digest"] == one.digest and (w, h) == (64, 64) and not frame["trimmed"]
        assert (sheet[y : y + h, x : x + w, :3] == one.seed).all()
    assert b"trainedAlgorithmicMedia" in runs[0][0]

    for number, (more, says) in enumerate(
        [
            (["--asset", "Red"], "--asset: got 'Red'; expected an asset of 'Potion Shop': blue potion, red potion"),
            (["--out", str(tmp_path / "sheet.jpg")], "expected a name that ends in .png"),
        ]
    ):
        done = CliRunner().invoke(app, [*arguments, *more], env=local_stack.environment)
        assert isinstance(done.exception, InputError) and says in str(done.exception), number
    for patterns, count in ((["* potion"], 3), (["RED *"], 2), (["blue potion", "red*"], 3)):
        assert len(list_sprites(ledger, store, "Potion Shop", assets=patterns)) == count
    with pytest.raises(InputError, match="of which no image is approved"):
        list_sprites(ledger, store, "Nothing")


def test_pages_and_strangers(tmp_path: Path) -> None:
    sprites = [sprite(f"s{n}", 60, 60, n) for n in range(9)]
    pages = pack_sprites(sprites, Layout(most=140))
    specs = {one.digest: spec() for one in sprites}
    assert len(pages) == 3
    (tmp_path / "a-2.png").write_bytes(b"theirs")
    with pytest.raises(InputError, match=r"a-2\.png, where another file lies already"):
        write_atlas(tmp_path / "a.png", pages, specs)
    assert [path.name for path in tmp_path.iterdir()] == ["a-2.png"]
    files = write_atlas(tmp_path / "b.png", pages, specs)
    assert [file.name for file in files] == [f"b-{n}.{ending}" for n in (1, 2, 3) for ending in ("json", "png")]
    assert json.loads(files[2].read_text())["meta"]["related_multi_packs"] == ["b-1.json", "b-3.json"]
    assert write_atlas(tmp_path / "b.png", pages, specs) == files


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pages_of_an_earlier_and_larger_run_go_and_nothing_else(tmp_path: Path) -> None:
    sprites = [sprite(f"s{n}", 60, 60, n) for n in range(9)]
    specs = {one.digest: spec() for one in sprites}
    one, three = pack_sprites(sprites[:4], Layout(most=140)), pack_sprites(sprites, Layout(most=140))
    write_atlas(tmp_path / "a-4.png", one, specs)  # somebody's own atlas of that name
    write_atlas(tmp_path / "a.png", three, specs)
    write_atlas(tmp_path / "a.png", pack_sprites(sprites[:5], Layout(most=140)), specs)
    kept = {"a-4.png", "a-4.json"}
    assert names_in(tmp_path) == kept | {f"a-{n}.{ending}" for n in (1, 2) for ending in ("json", "png")}
    write_atlas(tmp_path / "a.png", one, specs)
    assert names_in(tmp_path) == kept | {"a.png", "a.json"}
    write_atlas(tmp_path / "a.png", three, specs)
    assert names_in(tmp_path) == kept | {f"a-{n}.{ending}" for n in (1, 2, 3) for ending in ("json", "png")}
    with pytest.raises(InputError, match=r"a-1\.png, where another file lies already"):
        write_atlas(tmp_path / "a-1.png", one, specs)


def test_a_run_that_was_cut_off_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each replacing of a file in turn."""
    pages = pack_sprites([sprite("s", 60, 60)], Layout())
    specs = {"s" * 8: spec()}
    for at in (1, 2):
        steps = itertools.count(1)

        def cut(name: str, steps: Iterator[int] = steps, at: int = at) -> None:
            if name == "target.before_replace" and next(steps) == at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(target, "failpoint", cut)
            write_atlas(tmp_path / f"{at}.png", pages, specs)
        assert not (tmp_path / f"{at}.png").exists()
        assert len(write_atlas(tmp_path / f"{at}.png", pages, specs)) == 2


@pytest.mark.parametrize("name", ["sheet.png", "sheet.PNG"])
def test_nothing_is_written_over_or_through_what_lies_there(tmp_path: Path, name: str) -> None:
    pages, specs = pack_sprites([sprite("s", 60, 60)], Layout()), {"s" * 8: spec()}
    (tmp_path / name).write_bytes(b"theirs")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "link.png").symlink_to(tmp_path / name)
    for out in (tmp_path / name, tmp_path / name / "below" / "a.png", tmp_path / "elsewhere" / "link.png"):
        with pytest.raises(InputError):
            write_atlas(out, pages, specs)
    assert (tmp_path / name).read_bytes() == b"theirs" and names_in(tmp_path / "elsewhere") == {"link.png"}
    assert len(write_atlas(tmp_path / "linked" / "a.png", pages, specs)) == 2  # a folder that the user named


def test_a_draft_gives_way_to_its_final(local_stack: Stack) -> None:
    """Their names are one; `deliver` leaves the draft out too."""
    said = manifest("red potion", name="{asset}.png", promotion={"when": "always"})
    both = [spec(tier="draft"), spec(tier="final")]
    approved(local_stack.ledger, local_stack.store, both, said)
    ((made, one),) = list_sprites(local_stack.ledger, local_stack.store, "Potion Shop")
    assert (made.digest, one.tier) == (both[1].digest, "final")
