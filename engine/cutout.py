"""What an image with `background: transparent` goes through after it is made: its subject is cut from the ground.

Done where images are kept (tasks/shift/image_writer.py) and when one is made again (tasks/reproduce.py), so what a
person approves is what is delivered. A picture that cannot be cut out stays as it is, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from engine.keying import Levels, Refused, find_ground, key_out
from engine.matting import Matting, cut_by_matte
from engine.model_files import ModelFiles
from schemas.review import Criterion, Finding, Result
from schemas.spec import ImageSpec


@dataclass(frozen=True)
class Cut:
    """`pixels`: uint8 [height, width, 4], or the given three channels with a `finding` that says why."""

    pixels: Levels
    finding: Finding | None = None
    ground: tuple[int, int, int] | None = None
    """The colour that was keyed out."""


class CutOuts:
    """Cuts pictures out; holds the matting model that was used last. Threads may share one."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self._matting: tuple[str, Matting] | None = None
        self._turn = Lock()

    def cut(self, pixels: Levels, spec: ImageSpec) -> Cut:
        """pixels: uint8 [height, width, 3]. Raises ModelError or RenderError where a matting model cannot do it."""
        wish = spec.background
        if wish is None:
            return Cut(pixels)
        if wish.model is not None:
            matting = self._open(wish.model.alias, wish.model.digest, asker=f"{spec.project}/{spec.asset}")
            return Cut(cut_by_matte(pixels, matting.matte(pixels)))
        ground = find_ground(pixels)
        keyed = ground if isinstance(ground, Refused) else key_out(pixels, ground, holes=wish.holes)
        if isinstance(keyed, Refused) or isinstance(ground, Refused):
            assert isinstance(keyed, Refused)
            return Cut(pixels, _refusal(keyed))
        red, green, blue = (round(float(level)) for level in ground.colour)
        return Cut(keyed, ground=(red, green, blue))

    def _open(self, alias: str, digest: str, *, asker: str) -> Matting:
        with self._turn:
            if self._matting is None or self._matting[0] != digest:
                path = self._files.where(alias, asker=asker, kind="matting")
                entry = self._files.entries[alias]
                network = Matting(path, side=entry.size, mean=entry.mean, std=entry.std, asker=asker)
                self._matting = (digest, network)
            return self._matting[1]


def _refusal(why: Refused) -> Finding:
    return Finding(
        check=Criterion.TECHNICAL,
        result=Result.FLAG,
        score=0.9,
        sentence=f"not cut out, left opaque: {why.sentence}",
        data={"cut_out": "refused", "ground_noise": round(why.noise, 1)},
    )
