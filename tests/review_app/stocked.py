"""A night's work to review, without a night: real rows, and pictures that are drawn instead of denoised.

python -m tests.review_app.stocked HOME [IMAGES]      fills a folder for looking at the app by hand
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from checks.brand import check_brand, list_main_colours
from checks.likeness import compute_perceptual_hash
from checks.spelling import explain
from models.studio_tiny.draw import canny, draw
from schemas.manifest import BrandGuide
from schemas.records import Submission
from schemas.review import Changes, Choice, Criterion, Finding, Reason, Region, Result, Verdict, apply_changes
from schemas.settings import Settings
from schemas.spec import AssetKind, ControlSpec, ImageSpec, ModelRef, Tier
from storage.database import migrate, open_database
from storage.ledger import Ledger, NewImage
from storage.objects import Store, open_store
from storage.pictures import encode, make_preview
from storage.vectors import name_space, pack
from tests.making import MODEL, a_spec, a_submission, an_image, sha

PROJECT = "Potion Shop"
CRITERIA = (Criterion.HANDS, Criterion.TEXT, Criterion.BRAND)
DISTINCT = 60
"""Pictures that are really drawn; beyond that they come round again, under other specs."""
GUIDE = BrandGuide(palette=("#d62828", "#1d3557", "#f1faee", "#e9c46a"))


def drawn(seed: int, size: int) -> tuple[np.ndarray, str]:
    return _drawn(seed % DISTINCT, size)


@cache
def _drawn(seed: int, size: int) -> tuple[np.ndarray, str]:
    picture = draw(10_000_000 + seed, size=size)
    return picture.image, picture.caption


def stock(
    ledger: Ledger,
    store: Store,
    *,
    images: int = 24,
    size: int = 512,
    double: bool = False,
    project: str = PROJECT,
    backgrounds: Mapping[str, np.ndarray] | None = None,
    maps: Sequence[str] = (),
    **fields: Any,
) -> list[ImageSpec]:
    """Submits, plans and keeps `images` first takes; the specs, in the inbox's order. `fields`: of every spec.

    `backgrounds`: path -> picture, as the manifest's `review.backgrounds`. A spec with a `background` has a clear edge.
    `maps`: of every texture.
    """
    manifest = f"project: {project}\n".encode()
    key = store.put_content("manifests", manifest, extension="yaml", media_type="application/yaml")
    sources: dict[str, dict[str, Any]] = {}
    specs = [_spec(number, size, store, sources, {"project": project} | fields) for number in range(images)]
    for path, pixels in (backgrounds or {}).items():
        data = encode(pixels, a_spec()).data
        picture = store.put_content("sources", data, extension="png", media_type="image/png")
        sources[path] = {"digest": sha(path), "key": picture, "width": pixels.shape[1], "height": pixels.shape[0]}
    assets = {spec.asset: _asset(spec, maps) for spec in sorted(specs, key=lambda spec: spec.kind)}
    review = {"max_retakes": 2, "backgrounds": list(backgrounds or {})}
    submission = Submission(
        **{column.key: getattr(a_submission(), column.key) for column in Submission.__table__.columns}
        | {"digest": sha(project), "name": "potions.yaml", "project": project, "object_key": key, "files": sources}
        | {
            "body": {"project": project, "model": "studio-tiny", "brand": GUIDE.model_dump(mode="json")}
            | {"review": review, "assets": list(assets.values())}
        }
    )
    ledger.submit(submission)
    ledger.plan(submission.digest, specs, priority=0, due=None, submitted_by="Mara Lind")
    night = ledger.start_night("Mara Lind")
    ledger.keep_many([_keeping(spec, n, size, store, night, double) for n, spec in enumerate(specs)])
    ledger.end_night(night, outcome="complete", report_key=None, totals={}, planned=images)
    return specs


def retake_one(ledger: Ledger, store: Store, spec: ImageSpec, *, size: int = 512) -> ImageSpec:
    """Sends an image back and makes it again."""
    why: dict[str, Any] = {"reasons": (Reason.HANDS,), "note": "six fingers on the left hand", "changes": Changes()}
    ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.RETAKE, **why), reviewer="Ada", role="lead")
    decision, _, image = next(row for row in ledger.awaiting_retake() if row[2].digest == spec.digest)
    child = apply_changes(spec, Changes(), picture=image.sha256)
    ledger.plan_retake(decision.id, parent=spec.digest, child=child, refused=None)
    ledger.keep_many([_keeping(child, 31, size, store, None, False)])
    return child


def _spec(number: int, size: int, store: Store, sources: dict[str, Any], fields: dict[str, Any]) -> ImageSpec:
    pixels, caption = drawn(number, size)
    more: dict[str, Any] = {}
    if number % 3 != 1:  # from a picture: controlled, or a texture's variant
        data = encode(pixels[::-1].copy(), a_spec()).data
        key = store.put_content("sources", data, extension="png", media_type="image/png")
        digest = key.rsplit("/", 1)[1].removesuffix(".png")
        sources[f"pictures/{number}.png"] = {"digest": digest, "key": key, "width": size, "height": size}
        if number % 3 == 0:
            control = ControlSpec(
                type="canny", image=digest, model=ModelRef(alias="studio-tiny/canny", digest="1" * 64)
            )
            edges = np.repeat(canny(pixels)[..., None], 3, axis=2)
            name = control.condition_key(size, size)
            store.put_once(name, encode(edges, a_spec()).data, media_type="image/png")
            more["controls"] = (control,)
        else:
            more |= {"kind": AssetKind.TEXTURE, "source": digest, "strength": 0.5, "seamless": "xy"}
    words = caption.split(",")[0].split()
    known: dict[str, Any] = {
        "asset": " ".join(words[:3]).title(),
        "variant": f"s{number}",
        "tier": Tier.DRAFT if number % 7 == 5 else Tier.FINAL,
        "prompt": caption,
        "negative_prompt": "text, watermark, blurry",
        "width": size,
        "height": size,
        "num_inference_steps": 24,
        "model": MODEL,
    }
    return a_spec(number, **known | more | fields)


def _keeping(spec: ImageSpec, number: int, size: int, store: Store, night: int | None, double: bool) -> NewImage:
    pixels, caption = drawn(number, size)
    shown = _clear_edge(pixels) if spec.background is not None else pixels
    file = encode(shown, spec)
    image = an_image(
        spec,
        sha256=sha(spec.digest),
        object_key=store.put_content("images", file.data, extension=file.extension, media_type=file.media_type),
        preview_key=store.put_content("previews", make_preview(shown, 1024), extension="webp", media_type="image/webp"),
        thumb_key=store.put_content("thumbs", make_preview(shown, 384), extension="webp", media_type="image/webp"),
        bytes=len(file.data),
        colours=list_main_colours(pixels),
        phash=compute_perceptual_hash(pixels),
        conditions=[control.condition_key(size, size) for control in spec.controls],
        night=night,
    )
    return NewImage(
        image=image,
        findings=list(_findings(number, spec, pixels)),
        criteria=CRITERIA,
        reviews_wanted=2 if double else 1,
        rank=number,
        vectors=_vectors(pixels, caption),
    )


def _asset(spec: ImageSpec, maps: Sequence[str]) -> dict[str, Any]:
    asset = {"name": spec.asset, "prompt": "x", "kind": "render"}
    return asset | {"kind": "texture", "sources": ["x.png"], "maps": list(maps)} if spec.source else asset


def _clear_edge(pixels: np.ndarray) -> np.ndarray:
    """With alpha: the outer quarter on every side is transparent."""
    height, width = pixels.shape[:2]
    alpha = np.zeros((height, width, 1), np.uint8)
    alpha[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    return np.concatenate([pixels, alpha], axis=-1)


def _vectors(pixels: np.ndarray, caption: str) -> dict[str, bytes]:
    """In place of what a denoiser would say: coarse pixels, and the words of the prompt, each a place of its own."""
    coarse = pixels[:: pixels.shape[0] // 8, :: pixels.shape[1] // 8].astype(np.float32).ravel() - 127
    words = np.zeros(256, np.float32)
    for word in caption.replace(",", "").split():
        words[int(sha(word)[:2], 16)] += 1
    packed = {"picture": pack(coarse), "prompt": pack(words)}
    return {name_space(kind, MODEL.digest): vector for kind, vector in packed.items() if vector is not None}


def _findings(number: int, spec: ImageSpec, pixels: np.ndarray) -> Iterator[Finding]:
    """The brand check is the real one; text and hands say what those checks say, with their data."""
    if number % 4 == 0:
        yield Finding(check=Criterion.HANDS, result=Result.NOT_CHECKED, sentence="No hand model is configured.")
    elif number % 10 == 1:
        hands = tuple(
            Region(x=x, y=0.18, width=0.2, height=0.24, criterion=Criterion.HANDS, label=f"hand, {n} fingers?")
            for x, n in ((0.1, 5), (0.7, 6))
        )
        words = "2 hands: landmark confidence 0.41 (6 finger-like parts)"
        yield Finding(check=Criterion.HANDS, result=Result.FLAG, score=0.6, sentence=words, regions=hands)
    else:
        yield Finding(check=Criterion.HANDS, result=Result.PASS, sentence="No hands in sight.")
    if number % 5 == 2:
        place = Region(x=0.31, y=0.4, width=0.36, height=0.14, label="“0PEM”")
        letters = explain("OPEN", "0PEM")
        yield Finding(
            check=Criterion.TEXT,
            result=Result.FLAG,
            score=0.9,
            sentence=f"must read 'OPEN': read \"0PEM\"; {', '.join(letters)}",
            regions=(place,),
            data={"must_read": {"expected": "OPEN", "reading": "0PEM", "distance": 2, "letters": list(letters)}},
        )
    else:
        yield Finding(check=Criterion.TEXT, result=Result.PASS, sentence="No text found.")
    if number % 6 == 3:
        yield check_brand(pixels, spec, GUIDE)
    else:
        yield Finding(check=Criterion.BRAND, result=Result.PASS, sentence="Dominant colours are in the palette.")
    if number % 9 == 4:
        yield Finding(
            check=Criterion.TECHNICAL, result=Result.ERROR, sentence="The check crashed (ValueError); look yourself."
        )


def main() -> None:
    settings = Settings(home=Path(sys.argv[1]))
    engine = open_database(settings.database)
    migrate(engine)
    ledger, store = Ledger(engine), open_store(settings)
    specs = stock(ledger, store, images=int(sys.argv[2]) if len(sys.argv) > 2 else 24)
    retake_one(ledger, store, specs[1])
    print(f"{len(specs)} images in {settings.home}")


if __name__ == "__main__":
    main()
