"""What can be in a picture, and the words in which a caption asks for it. Nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (245, 130, 32),
    "yellow": (250, 212, 40),
    "green": (58, 160, 60),
    "teal": (28, 172, 166),
    "blue": (40, 88, 212),
    "purple": (130, 58, 190),
    "pink": (246, 132, 188),
    "brown": (122, 76, 42),
    "black": (38, 38, 44),
    "white": (245, 245, 240),
    "gray": (140, 144, 150),
}

# Each object with the colour it has when nobody says otherwise.
OBJECTS: dict[str, str] = {
    "sword": "gray", "shield": "blue", "gem": "teal", "potion": "purple", "key": "yellow", "crate": "brown",
    "mushroom": "red", "coin": "yellow", "lantern": "orange", "scroll": "white", "helmet": "gray", "tree": "green",
    "heart": "red", "star": "yellow", "book": "brown", "axe": "gray", "crown": "yellow", "chest": "brown",
    "barrel": "brown", "bomb": "black", "flag": "red", "boot": "brown",
}  # fmt: skip
MATERIALS: dict[str, str] = {
    "brick": "red", "planks": "brown", "cobblestone": "gray", "metal": "gray", "grass": "green", "tiles": "teal",
    "fabric": "purple", "lava": "orange", "sand": "yellow", "water": "blue", "scales": "green", "checkers": "black",
}  # fmt: skip
CHARACTERS: dict[str, str] = {"knight": "blue", "wizard": "purple", "king": "red", "farmer": "green"}
WORDS = ("inn", "shop", "exit", "open", "play", "stop", "bank", "food", "magic", "go")
BACKGROUNDS = ("white", "gray", "dark", "sky", "night", "meadow", "dungeon")
STYLES = ("flat", "outlined", "pixel")
LORA_STYLE = "blueprint"  # never in the base training set: the style LoRA is what knows it
FINGERS = {3: "three", 4: "four", 5: "five", 6: "six"}
KINDS = {"object": 0.56, "material": 0.17, "character": 0.10, "hand": 0.08, "sign": 0.09}
PRACTICE = {"object": 0.36, "material": 0.16, "character": 0.10, "hand": 0.28, "sign": 0.10}
"""What further training draws: hands, the most difficult, are three times as often, and nothing is left out, so that
nothing is forgotten."""

# A subject must be told from what lies behind it.
CLASHES = {"white": {"white"}, "gray": {"gray", "white"}, "dark": {"black"}, "sky": {"white"}, "night": {"black"},
           "meadow": set[str](), "dungeon": {"black", "gray"}}  # fmt: skip

STYLE_WORDS = {
    "flat": ("flat", "flat style", "flat colors"),
    "outlined": ("outlined", "bold outlines", "cartoon outlines"),
    "pixel": ("pixel art", "pixel art style", "retro pixel art"),
    LORA_STYLE: ("blueprint", "blueprint style", "blueprint drawing"),
}
BACKGROUND_WORDS = {
    "white": ("on a white background", "white background", "on plain white"),
    "gray": ("on a gray background", "gray background", "on plain gray"),
    "dark": ("on a dark background", "dark background", "on plain black"),
    "sky": ("in front of a blue sky", "with a cloudy sky behind it", "sky background"),
    "night": ("under a night sky", "at night with stars", "night background"),
    "meadow": ("in a green meadow", "on a grassy field", "meadow background"),
    "dungeon": ("in a dungeon", "in front of a dark stone wall", "dungeon background"),
}
FILLERS = ("game asset", "game icon", "centered", "clean", "high quality", "concept art", "inventory item", "detailed")


@dataclass(frozen=True)
class Attributes:
    """Everything that a caption may say of a picture."""

    kind: str  # one of KINDS
    name: str  # the object, material or character; "hand" and "sign" for those
    colour: str
    background: str  # one of BACKGROUNDS; "" for a material, which fills the picture
    style: str
    fingers: int = 0  # on each hand; 0 where there is none
    word: str = ""


def choose(rng: np.random.Generator, options: tuple[str, ...] | list[str]) -> str:
    return options[int(rng.integers(len(options)))]


def imagine(rng: np.random.Generator, *, style: str | None = None, practice: bool = False) -> tuple[Attributes, bool]:
    """Attributes of a random picture, and whether its caption may name the colour. `practice` deals by PRACTICE.

    Where the caption is silent, the colour is the natural one in 7 of 10 pictures, so that "a heart" is usually red.
    """
    kinds = PRACTICE if practice else KINDS
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    named = rng.random() < 0.85
    natural = {"object": OBJECTS, "material": MATERIALS, "character": CHARACTERS}.get(kind, {kind: "brown"})
    name = choose(rng, list(natural))
    colour = choose(rng, list(COLOURS)) if named or rng.random() > 0.7 else natural[name]
    shares = [0.25] * 4 if practice else [0.15, 0.2, 0.4, 0.25]
    fingers = int(rng.choice([3, 4, 5, 6], p=shares)) if kind == "hand" else 0
    if kind == "character":
        fingers = int(rng.choice([4, 5, 6], p=[0.15, 0.7, 0.15]))
    background = ""
    if kind != "material":
        background = choose(rng, [b for b in BACKGROUNDS[:3] if colour not in CLASHES[b]])
        if rng.random() < 0.4:
            background = choose(rng, [b for b in BACKGROUNDS[3:] if colour not in CLASHES[b]])
    word = choose(rng, WORDS) if kind == "sign" else ""
    return Attributes(kind, name, colour, background, style or choose(rng, STYLES), fingers, word), named


def describe(about: Attributes, rng: np.random.Generator, *, name_colour: bool = True) -> str:
    """A caption in one of several wordings. It never says what is not so; it may leave style or background out."""
    colour = about.colour if name_colour else ""
    tinted = f"{colour} {about.name}".strip()
    article = "an" if tinted[0] in "aeiou" else "a"
    garment = {"knight": "cape", "wizard": "robe", "king": "cloak", "farmer": "shirt"}.get(about.name, "sleeve")
    worn = f"{colour} {garment}".strip()
    worn_article = "an" if worn[0] in "aeiou" else "a"
    count = FINGERS.get(about.fingers, "")
    if about.kind == "object":
        options = [f"{article} {tinted}", tinted, f"a drawing of {article} {tinted}", f"icon of {article} {tinted}"]
        if colour:
            options.append(f"a {about.name} that is {colour}")
    elif about.kind == "material":
        options = [f"seamless {tinted} texture", f"{tinted} texture", f"a tileable texture of {tinted}",
                   f"{tinted} surface, seamless"]  # fmt: skip
    elif about.kind == "character":
        subject = choose(
            rng, [f"a {about.name} in {worn_article} {worn}", f"a {about.name} wearing {worn_article} {worn}"]
        )
        hands = choose(rng, ["waving both hands", "with raised hands", "showing both hands"])
        options = [f"{subject} {hands}"]
        if about.fingers != 5 or rng.random() < 0.5:
            options = [f"{subject} {hands}, {count} fingers on each hand"]
    elif about.kind == "hand":
        options = [
            f"an open hand with {count} fingers",
            f"a hand showing {count} fingers",
            f"hand with {count} fingers",
        ]
        if colour:
            options = [f"{o}, {worn}" for o in options] + [f"{o} and {worn_article} {worn}" for o in options]
    else:
        word = about.word.upper()
        options = [f"{article} {tinted} that says {word}", f'{article} {tinted} with the word "{word}"',
                   f"{article} {tinted} reading {word}"]  # fmt: skip
    parts = [choose(rng, options)]
    if about.background and rng.random() < 0.85:
        parts[0] += " " + choose(rng, BACKGROUND_WORDS[about.background][: 2 if rng.random() < 0.7 else 3])
    style = choose(rng, STYLE_WORDS[about.style])
    if rng.random() < 0.75:
        if rng.random() < 0.3:
            parts.insert(0, style)
        else:
            parts.append(style)
    if rng.random() < 0.25:
        parts.append(choose(rng, FILLERS))
    return ", ".join(parts)
