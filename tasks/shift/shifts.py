"""Waiting specs -> shifts, purely: which batches one GPU flow run makes, and in which order.

The order is priority, then due date, then turns between the people who asked, then affinity, so that one person's
ten thousand images do not keep another's ten waiting all night and models are still loaded as rarely as that allows.
Knows neither clock nor budget (tasks/planning/budget.py) nor database; the same waiting list gives the same shifts.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Protocol

TURN = 16
"""Batches one person's work may fill before the next person's comes up."""

LONGEST = 64
"""Batches in one shift at most: an affinity with more is shared between GPUs, and priorities are looked at again."""

SHARED = 3
"""Batches not begun from which on a second worker, which must load the weights first, is given a part of a shift: the
first worker claims one of them ahead."""

SUSPECT = 2
"""Leases after which a spec is made alone and last: whatever ended the process twice may be this image."""


class Queued(Protocol):
    """What this module reads of `storage.ledger.Waiting`."""

    @property
    def digest(self) -> str: ...
    @property
    def asset(self) -> str: ...
    @property
    def batch_key(self) -> str: ...
    @property
    def affinity_key(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def due(self) -> date | None: ...
    @property
    def submitted_by(self) -> str: ...
    @property
    def attempts(self) -> int: ...


@dataclass(frozen=True)
class Shift:
    """The work of one flow run on one GPU: batches of spec digests that need the same weights."""

    affinity_key: str
    batches: tuple[tuple[str, ...], ...]

    @property
    def images(self) -> int:
        return sum(map(len, self.batches))

    def dump(self) -> bytes:
        return json.dumps({"affinity_key": self.affinity_key, "batches": self.batches}).encode()

    @classmethod
    def load(cls, data: bytes) -> Shift:
        body = json.loads(data)
        return cls(body["affinity_key"], tuple(tuple(batch) for batch in body["batches"]))


def make_shifts(waiting: Iterable[Queued], *, batch_size: int, loaded: str = "") -> list[Shift]:
    """`loaded` is the affinity that is on the device already; it goes first where the order is otherwise open."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected 1 or more")

    def urgency(item: Queued) -> tuple[int, date]:
        return -item.priority, item.due or date.max

    shifts: list[Shift] = []
    for _, level in groupby(sorted(waiting, key=urgency), key=urgency):
        items = list(level)
        sound = [item for item in items if item.attempts < SUSPECT]
        suspects = [item for item in items if item.attempts >= SUSPECT]
        # A suspect has a shift of its own: what a shift claims ahead would be blamed together with it.
        for members, size, longest in ((sound, batch_size, LONGEST), (suspects, 1, 1)):
            for affinity, run in groupby(_take_turns(members, size=size, loaded=loaded), key=lambda i: i.affinity_key):
                batches = _batches(list(run), size=size)
                for start in range(0, len(batches), longest):
                    shifts.append(Shift(affinity, tuple(batches[start : start + longest])))
                loaded = affinity
    return shifts


def second_half(shift: Shift, free: Container[str]) -> Shift | None:
    """What a second worker can take of a shift, though it is another's: the batches of which something is `free`, from
    their middle on and then the first ones, last to first. None when there are fewer than `SHARED` of them.

    Both claim batch by batch, so none is made twice and both end within a batch of each other.
    """
    open_batches = [batch for batch in shift.batches if any(digest in free for digest in batch)]
    if len(open_batches) < SHARED:
        return None
    middle = len(open_batches) // 2
    return Shift(shift.affinity_key, (*open_batches[middle:], *reversed(open_batches[:middle])))


def _take_turns(items: Sequence[Queued], *, size: int, loaded: str) -> list[Queued]:
    """One turn each, round and round. Within a turn: one affinity, at most TURN batches' worth of images."""
    lanes: dict[str, dict[str, deque[Queued]]] = defaultdict(lambda: defaultdict(deque))
    for item in sorted(items, key=_lane):
        lanes[item.submitted_by][item.affinity_key].append(item)

    in_order: list[Queued] = []
    while lanes:
        for submitter in list(lanes):
            lane = lanes[submitter]
            # What fits the weights on the device comes first; that changes the order within one person's work only.
            if loaded not in lane:
                loaded = next(iter(lane))
            turn = lane[loaded]
            in_order += [turn.popleft() for _ in range(min(len(turn), TURN * size))]
            if not turn:
                del lane[loaded]
            if not lane:
                del lanes[submitter]
    return in_order


def _lane(item: Queued) -> tuple[str, str, str, str, str]:
    return item.submitted_by, item.affinity_key, item.batch_key, item.asset, item.digest


def _batches(items: Sequence[Queued], *, size: int) -> list[tuple[str, ...]]:
    """Full batches, in the order in which each batch's first image came up; rows of several people may share one."""
    by_key: dict[str, list[str]] = defaultdict(list)
    place: dict[str, int] = {}
    for index, item in enumerate(items):
        by_key[item.batch_key].append(item.digest)
        place[item.digest] = index
    batches = [
        tuple(digests[start : start + size]) for digests in by_key.values() for start in range(0, len(digests), size)
    ]
    return sorted(batches, key=lambda batch: place[batch[0]])
