"""The ledger on models: which images an alias made, with which weights, and what still waits for it. And its pin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, func, select

from schemas.records import Image, Job, ModelPin, Spec
from schemas.spec import ImageSpec
from storage.ledger.transaction import Transactions


@dataclass(frozen=True)
class ModelUse:
    """Images of one project that were made with one digest of an alias."""

    project: str
    digest: str
    images: int
    last: datetime


class ModelUses(Transactions):
    def model_uses(self, alias: str) -> list[ModelUse]:
        """The newest first. Reads every image's record: seconds for a million."""
        digest = Image.models[alias].as_string()
        query = (
            select(Image.project, digest, func.count(), func.max(Image.made_at))
            .where(digest.is_not(None))
            .group_by(Image.project, digest)
            .order_by(func.max(Image.made_at).desc())
        )
        with self.reading() as session:
            return [ModelUse(*row) for row in session.execute(query)]

    def model_waiting(self, alias: str) -> dict[str, int]:
        """Digest -> images that are planned with it and not made."""
        query = (
            select(Spec.body)
            .join(Job, Job.spec == Spec.digest)
            .where(Job.done_at.is_(None), cast(Spec.body, Text).contains(json.dumps(alias), autoescape=True))
        )
        counted: dict[str, int] = {}
        with self.reading() as session:
            for body in session.scalars(query):
                for ref in ImageSpec.model_validate(body).models():
                    if ref.alias == alias:
                        counted[ref.digest] = counted.get(ref.digest, 0) + 1
                        break
        return counted

    def model_pin(self, alias: str) -> ModelPin | None:
        with self.reading() as session:
            return session.get(ModelPin, alias)
