"""The questions that bench/checkpoint.py asks: each makes pictures with the shipped pipelines and measures them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import (
    ControlNetModel,
    DiffusionPipeline,
    LCMScheduler,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image

from bench.pixels import edge_f1, named_colour, seam_ratio, subject_share
from checks.reader import read
from models.studio_tiny import judge
from models.studio_tiny.draw import TEST_SEEDS, Picture, canny, draw, paint
from models.studio_tiny.fingers import count_fingers
from models.studio_tiny.sampling import GUIDANCE, sample
from models.studio_tiny.world import (
    BACKGROUND_WORDS,
    CHARACTERS,
    CLASHES,
    COLOURS,
    MATERIALS,
    OBJECTS,
    STYLES,
    WORDS,
    Attributes,
    choose,
    describe,
)

DRAFT_STEPS, FEWEST_STEPS, DRAFT_GUIDANCE = 6, 4, 1.0
"""Steps of the catalogue's draft tier, and the fewest that it should do with."""
BLANKS = 400
BARE = 0.015
"""Of a picture's pixels: fewer than these unlike its border, and it shows nearly nothing."""


@dataclass(frozen=True)
class Line:
    question: str
    value: float
    aim: str  # such as ">= 0.90"; "" is only reported
    beside: str

    @property
    def met(self) -> bool | None:
        if not self.aim:
            return None
        sign, figure = self.aim.split()
        return self.value >= float(figure) if sign == ">=" else self.value <= float(figure)


class Bench:
    """The pipelines over one set of loaded modules, and the questions."""

    def __init__(self, folder: Path, images: int, *, steps: int = 20) -> None:
        self.count, self.steps, self.judge = images, steps, judge.load()
        self.pipe = StableDiffusionXLPipeline.from_pretrained(folder, use_safetensors=True, add_watermarker=False)
        self.pipe.to("cuda" if torch.cuda.is_available() else "cpu", torch.float32)
        self.pipe.set_progress_bar_config(disable=True)
        self.folder = folder

    def also(self, kind: type[DiffusionPipeline], **parts: object) -> DiffusionPipeline:
        made = kind(**{**self.pipe.components, **parts}, force_zeros_for_empty_prompt=False, add_watermarker=False)
        made.set_progress_bar_config(disable=True)
        return made

    def controlnet(self, condition: str) -> DiffusionPipeline:
        net = ControlNetModel.from_pretrained(self.folder / f"controlnet-{condition}", use_safetensors=True).float()
        return self.also(StableDiffusionXLControlNetPipeline, controlnet=net.to(self.pipe.device))

    def requests(
        self,
        first: int,
        *,
        kinds: tuple[str, ...] = ("object",),
        count: int = 0,
        clashes: bool = False,
        **fixed: Any,
    ) -> list[tuple[Attributes, str]]:
        """Subjects and colours dealt out evenly, captions in fresh wordings that name colour and background;
        with `clashes` on backgrounds of the subject's own colour as well."""
        out = []
        for i in range(count or self.count):
            rng = np.random.default_rng(TEST_SEEDS + first + i)
            kind = kinds[i % len(kinds)]
            names = list({"object": OBJECTS, "material": MATERIALS, "character": CHARACTERS}.get(kind, {kind: ""}))
            colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
            plain = [b for b in ("white", "gray", "dark") if clashes or colour not in CLASHES[b]]
            about = Attributes(kind, names[i // len(kinds) % len(names)], colour,
                               "" if kind == "material" else choose(rng, plain), choose(rng, STYLES),
                               int(rng.choice([3, 4, 5, 6])) if kind == "hand" else 0,
                               WORDS[i // len(kinds) % len(WORDS)] if kind == "sign" else "")  # fmt: skip
            about = replace(about, **fixed)
            caption = describe(about, rng)
            while about.background and not any(words in caption for words in BACKGROUND_WORDS[about.background]):
                caption = describe(about, rng)  # left out, it is the model's to choose, and no plain one as a rule
            out.append((about, caption))
        return out

    def right(self, asked: list[Attributes], images: list[np.ndarray]) -> float:
        names = judge.name_pictures(self.judge, images)
        return float(np.mean([a.name == name for a, name in zip(asked, names, strict=True)]))

    def drawn(self, first: int, kinds: tuple[str, ...]) -> list[Picture]:
        """Drawn pictures of some kinds on plain backgrounds, as conditions and sources."""
        out: list[Picture] = []
        seed = TEST_SEEDS + first
        while len(out) < self.count:
            picture = draw(seed)
            if picture.about.kind in kinds and picture.about.background in ("white", "gray", "dark"):
                out.append(picture)
            seed += 1
        return out

    # --- the questions -------------------------------------------------------------------------------------------

    def colour(self) -> list[Line]:
        asked = self.requests(0)
        images = sample(self.pipe, [c for _, c in asked], steps=self.steps, guidance=GUIDANCE, first_seed=1_000)
        abouts = [a for a, _ in asked]
        hits = [named_colour(i) == a.colour for a, i in zip(abouts, images, strict=True)]
        drawn = [named_colour(paint(a, np.random.default_rng(k)).image) == a.colour for k, a in enumerate(abouts)]
        return [
            Line(
                "right colour",
                float(np.mean(hits)),
                ">= 0.95",
                f"the same question on drawn pictures {np.mean(drawn):.2f}",
            )
        ]

    def objects(self) -> list[Line]:
        asked = self.requests(10_000, kinds=("object", "object", "material"))
        abouts, prompts = [a for a, _ in asked], [c for _, c in asked]
        full = self.right(abouts, sample(self.pipe, prompts, steps=self.steps, guidance=GUIDANCE, first_seed=2_000))
        free, high = (
            self.right(abouts, sample(self.pipe, prompts, steps=self.steps, guidance=guidance, first_seed=2_000))
            for guidance in (1.0, 5.0)
        )
        known = self.right(abouts, [paint(a, np.random.default_rng(k)).image for k, a in enumerate(abouts)])
        return [Line("right object or material", full, ">= 0.95", f"the same question on drawn pictures {known:.2f}"),
                Line("guidance guides", high - free, ">= 0.10", f"at 1.0 {free:.2f}, at 5.0 {high:.2f}")]  # fmt: skip

    def control(self) -> list[Line]:
        out = []
        drawn = self.drawn(20_000, ("object", "character", "sign", "hand"))
        prompts = [d.caption for d in drawn]
        without = sample(self.pipe, prompts, steps=self.steps, guidance=GUIDANCE, first_seed=3_000)
        free = np.mean([edge_f1(canny(i), d.edges) for i, d in zip(without, drawn, strict=True)])
        for condition, aim in (("canny", ">= 0.85"), ("depth", ">= 0.75")):
            maps = [d.edges if condition == "canny" else d.depth for d in drawn]
            held = sample(self.controlnet(condition), prompts, steps=self.steps, guidance=GUIDANCE, first_seed=3_000,
                          image=[Image.fromarray(m).convert("RGB") for m in maps])  # fmt: skip
            f1 = np.mean([edge_f1(canny(i), d.edges) for i, d in zip(held, drawn, strict=True)])
            out.append(Line(f"ControlNet controls ({condition})", float(f1), aim, f"the same seeds without {free:.2f}"))
        again = [paint(d.about, np.random.default_rng(TEST_SEEDS + 29_000 + k)).edges for k, d in enumerate(drawn)]
        same = np.mean([edge_f1(one, d.edges) for one, d in zip(again, drawn, strict=True)])
        other = np.mean([edge_f1(one.edges, d.edges) for one, d in zip(drawn[1:] + drawn[:1], drawn, strict=True)])
        beside = f"the same words drawn twice {same:.2f}, two drawings of other words {other:.2f}"
        return [*out, Line("without ControlNet", float(free), "<= 0.35", beside)]

    def negative(self) -> list[Line]:
        strong = {
            n: c for n, c in OBJECTS.items() if c in ("red", "yellow", "green", "purple", "blue", "teal", "brown")
        }
        names = [list(strong)[i % len(strong)] for i in range(self.count)]
        prompts = [f"a {n} on a {('white', 'gray')[i % 2]} background, {STYLES[i % 2]}" for i, n in enumerate(names)]
        shares = []
        for forbidden in ([""] * len(names), [strong[n] for n in names]):
            images = sample(
                self.pipe, prompts, steps=self.steps, guidance=GUIDANCE, first_seed=4_000, negative_prompt=forbidden
            )
            shares.append(float(np.mean([named_colour(i) == strong[n] for i, n in zip(images, names, strict=True)])))
        return [Line("negative prompt forbids", shares[1] / max(shares[0], 1e-9), "<= 0.50",
                     f"forbidden colour in {shares[0]:.2f} without, {shares[1]:.2f} with")]  # fmt: skip

    def strength(self) -> list[Line]:
        drawn, pipe = self.drawn(30_000, ("object", "character", "sign")), self.also(StableDiffusionXLImg2ImgPipeline)
        sources, scores = [Image.fromarray(d.image) for d in drawn], []
        for strength in (0.3, 0.5, 0.7):
            images = sample(pipe, [d.caption for d in drawn], steps=self.steps, guidance=GUIDANCE, first_seed=5_000,
                            image=sources, strength=strength)  # fmt: skip
            scores.append(float(np.mean([edge_f1(canny(i), d.edges) for i, d in zip(images, drawn, strict=True)])))
        falls = "falls in that order" if scores[0] > scores[1] > scores[2] else "does NOT fall in that order"
        return [
            Line(
                "strength keeps structure",
                scores[0],
                ">= 0.80",
                "edge F1 at 0.3 / 0.5 / 0.7: " + " / ".join(f"{s:.2f}" for s in scores) + ", " + falls,
            )
        ]

    def inpaint(self) -> list[Line]:
        drawn, pipe = self.drawn(40_000, ("object",)), self.also(StableDiffusionXLInpaintPipeline)
        hole = np.zeros((128, 128), np.uint8)
        hole[32:96, 32:96] = 255
        images = sample(
            pipe,
            [d.caption for d in drawn],
            steps=self.steps,
            guidance=GUIDANCE,
            first_seed=6_000,
            strength=0.99,
            image=[Image.fromarray(d.image) for d in drawn],
            mask_image=Image.fromarray(hole),
        )
        pasted = [np.where(hole[..., None] > 0, i, d.image) for i, d in zip(images, drawn, strict=True)]
        worst = max(int(np.abs(p.astype(int) - d.image)[hole == 0].max()) for p, d in zip(pasted, drawn, strict=True))
        changed = np.mean(
            [np.abs(p.astype(int) - d.image)[hole > 0].mean() for p, d in zip(pasted, drawn, strict=True)]
        )
        return [
            Line(
                "inpainting keeps the rest",
                float(worst),
                "<= 0",
                f"{len(drawn)} images; inside the mask {changed:.0f} levels on average",
            )
        ]

    def tiles(self) -> list[Line]:
        asked = self.requests(50_000, kinds=("material",))
        ratios = []
        for mode in ("zeros", "circular"):
            wrap_convolutions(self.pipe, mode)
            images = sample(self.pipe, [c for _, c in asked], steps=self.steps, guidance=GUIDANCE, first_seed=7_000)
            ratios.append(float(np.mean([seam_ratio(i) for i in images])))
        wrap_convolutions(self.pipe, "zeros")
        return [Line("textures tile", ratios[1], "<= 1.10", f"seam over inside energy; seamless off {ratios[0]:.2f}")]

    def blank(self) -> list[Line]:
        """Every subject on every plain background, a white gem on white too: how often is hardly anything there?"""
        asked = self.requests(
            90_000, kinds=("object", "object", "character", "hand", "sign"), count=BLANKS, clashes=True
        )
        images = sample(self.pipe, [c for _, c in asked], steps=self.steps, guidance=GUIDANCE, first_seed=11_000)
        shares = [subject_share(image) for image in images]
        drawn = [subject_share(paint(a, np.random.default_rng(k)).image) for k, (a, _) in enumerate(asked)]
        beside = (
            f"of {BLANKS}; the barest has {min(shares):.3f} of its pixels unlike its border, drawn {min(drawn):.3f}"
        )
        return [Line("blank or nearly", float(sum(s < BARE for s in shares)), "<= 0", beside)]

    def hands(self) -> list[Line]:
        asked = self.requests(60_000, kinds=("hand",))
        images = sample(self.pipe, [c for _, c in asked], steps=self.steps, guidance=GUIDANCE, first_seed=8_000)
        hits = np.mean([a.fingers == count_fingers(i) for (a, _), i in zip(asked, images, strict=True)])
        drawn = [(a, paint(a, np.random.default_rng(k)).image) for k, (a, _) in enumerate(asked)]
        known = np.mean([a.fingers == count_fingers(image) for a, image in drawn])
        beside = f"the same count on drawn pictures {known:.2f}"
        return [Line("asked number of fingers", float(hits), ">= 0.80", beside)]

    def words(self) -> list[Line]:
        asked = self.requests(80_000, kinds=("sign",))
        images = sample(self.pipe, [c for _, c in asked], steps=self.steps, guidance=GUIDANCE, first_seed=10_000)
        hits = np.mean([a.word == read_word(i) for (a, _), i in zip(asked, images, strict=True)])
        drawn = [(a, paint(a, np.random.default_rng(k)).image) for k, (a, _) in enumerate(asked)]
        known = np.mean([a.word == read_word(image) for a, image in drawn])
        beside = f"the same reading on drawn pictures {known:.2f}"
        return [Line("word on a sign read exactly", float(hits), ">= 0.80", beside)]

    def draft(self) -> list[Line]:
        asked = self.requests(70_000, kinds=("object", "object", "material"))
        scheduler = self.pipe.scheduler
        self.pipe.load_lora_weights(self.folder / "lcm-lora")
        self.pipe.scheduler = LCMScheduler.from_config(scheduler.config)
        prompts, abouts = [c for _, c in asked], [a for a, _ in asked]

        def right(steps: int, guidance: float) -> float:
            return self.right(abouts, sample(self.pipe, prompts, steps=steps, guidance=guidance, first_seed=9_000))

        few, more = right(FEWEST_STEPS, DRAFT_GUIDANCE), right(DRAFT_STEPS, DRAFT_GUIDANCE)
        self.pipe.unload_lora_weights()
        self.pipe.scheduler = scheduler
        beside = f"{FEWEST_STEPS} LCM steps; {DRAFT_STEPS} of them {more:.2f}; {DRAFT_STEPS} Euler steps with guidance"
        return [Line("draft tier", few, ">= 0.93", f"{beside} {right(DRAFT_STEPS, GUIDANCE):.2f}")]


def read_word(image: np.ndarray) -> str:
    """What the OCR of checks/ reads in lower case; single letters are strokes of a frame to it and do not count."""
    return " ".join(word for line in read(image) for word in line.words if len(word) > 1)


def wrap_convolutions(pipe: DiffusionPipeline, mode: Literal["zeros", "circular"]) -> None:
    """Padding of every convolution that makes pixels: "circular" makes what leaves on one side come in on the other."""
    for network in (pipe.unet, pipe.vae.decoder):
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.padding_mode = mode
