"""A small studio with one image of each standing, its bytes and all that its records name."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from schemas.records import Delivery
from schemas.review import Changes, Verdict, apply_changes
from schemas.spec import ControlSpec, ImageSpec, ModelRef
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import encode
from tests.making import a_choice, a_keeping, a_spec, a_submission, an_image, picture_of, planned, sha

CONTROL = ControlSpec(type="canny", image=sha("edges"), model=ModelRef(alias="canny", digest="2" * 64))
IDLE = ControlSpec(type="canny", image=sha("other edges"), model=ModelRef(alias="canny", digest="2" * 64))
"""No open work has this one, while the retake is made from the other."""
OPEN = 20
"""The seed of a spec that is to be made."""


def put(store: Store, kind: str, text: str, extension: str = "png") -> str:
    return store.put_content(kind, text.encode(), extension=extension, media_type="image/png")


def keep(ledger: Ledger, store: Store, spec: ImageSpec) -> None:
    """As the night does: bytes, then the record."""
    data = encode(picture_of(spec), spec).data
    for control in spec.controls:
        key = control.condition_key(spec.width, spec.height)
        store.put_once(key, key.encode(), media_type="image/png")
    image = an_image(
        spec,
        sha256=hashlib.sha256(data).hexdigest(),
        object_key=store.put_content("images", data, extension="png", media_type="image/png"),
        preview_key=put(store, "previews", f"preview {spec.digest}", "webp"),
        thumb_key=put(store, "thumbs", f"thumb {spec.digest}", "webp"),
        conditions=[control.condition_key(spec.width, spec.height) for control in spec.controls],
    )
    ledger.keep_many([a_keeping(spec, image=image)])


def stock(ledger: Ledger, store: Store) -> dict[str, ImageSpec]:
    """One image of each standing; what it is called says which."""
    names = ("waiting", "approved", "delivered", "delivered then rejected", "sent back", "rejected", "taken back")
    specs = {name: a_spec(seed, controls=(IDLE if name == "approved" else CONTROL,)) for seed, name in enumerate(names)}
    to_make = a_spec(OPEN, source=sha("source"), strength=0.5)
    manifest = put(store, "manifests", "project: potions\n", "yaml")
    source = store.put_content("sources", b"source", extension="png", media_type="image/png")
    sent = a_submission(object_key=manifest, files={"a.png": {"key": source, "digest": sha("source")}})
    planned(ledger, [*specs.values(), to_make], submission=sent)
    for spec in specs.values():
        keep(ledger, store, spec)

    def decide(name: str, verdict: Verdict, revision: int = 0) -> None:
        ledger.decide(a_choice(specs[name], verdict, revision=revision), reviewer="Noor")

    for name in ("approved", "delivered", "delivered then rejected"):
        decide(name, Verdict.APPROVE)
    for name in ("rejected", "taken back"):
        decide(name, Verdict.REJECT)
    decide("sent back", Verdict.RETAKE)
    decide("taken back", Verdict.UNDO, 1)
    for image, spec, decision in ledger.deliverable():
        if spec.digest != specs["approved"].digest:
            name = f"{spec.variant}.png"
            store.put_once(f"delivery/{name}", store.get(image.object_key), media_type="image/png")
            store.put_once(f"delivery/{name}.json", b"{}", media_type="application/json")
            ledger.deliver(
                Delivery(
                    image=image.digest, project="potions", name=name, sidecar=f"delivery/{name}.json",
                    decision=decision.id, delivered_at=datetime.now(UTC),
                )
            )  # fmt: skip
    decide("delivered then rejected", Verdict.REJECT, 1)
    (decision, parent, image) = ledger.awaiting_retake()[0]
    region = Changes.model_validate({"region": {"x": 0, "y": 0, "width": 0.5, "height": 0.5}})
    mask = put(store, "masks", "mask").rsplit("/", 1)[1].removesuffix(".png")
    child = apply_changes(parent, region, picture=image.sha256, mask=mask)
    ledger.plan_retake(decision.id, parent=parent.digest, child=child, refused=None)
    return specs
