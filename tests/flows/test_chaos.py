"""Nights in which everything goes wrong at random: nothing is lost, doubled or stuck, and every night has its report.

    CHAOS_NIGHTS=5 CHAOS_SEED=7 pytest -m slow tests/flows/test_chaos.py -s      # prints a line for each fault

Real images from the real engine, small and in few steps. The seed decides which faults come when, counted in images;
what the processes are doing at that moment is the machine's.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from schemas.errors import LedgerUnavailable
from schemas.records import Night
from storage.ledger import Ledger
from tasks.fsck import Fsck
from tests.flows.chaos import Chaos, NoTarget, Pace, chaos, working_folder
from tests.flows.studio import parts_of, submit_to, write_manifest
from tests.flows.test_kill import sound

WORK = """
project: Test Shop
asked_by: ana
model: studio-tiny
defaults: {size: SIZE}
tiers:
  final: {scheduler: Euler, num_inference_steps: STEPS, guidance_scale: 1.0}
assets:
  - {name: Potion, prompt: a potion, seeds: SEEDS}
  - {name: Shield, prompt: a shield, seeds: SEEDS, controls: [{type: canny, image: pictures/shape.png}]}
"""
"""Two affinities, so that both workers load weights of their own."""


@dataclass
class Happened:
    night: int
    fault: str
    aim: str
    at: int
    """Images of the night that were made by then."""
    lasted: float
    recovered: float
    """Seconds until the next image was made, or the night had ended."""


class Nights:
    """Submits, begins nights, does harm, and looks what is true afterwards."""

    def __init__(self, chaos: Chaos, folder: Path, *, images: int, size: int, steps: int) -> None:
        self.chaos, self.folder, self.images = chaos, folder, images
        self.work = WORK.replace("SIZE", str(size)).replace("STEPS", str(steps))
        self.parts = parts_of(chaos.stack.settings, chaos.stack.ledger, chaos.stack.store)
        self.asked = 0
        self.happened: list[Happened] = []
        self.again: list[int] = []
        """Nights that left something for a further one."""

    @property
    def ledger(self) -> Ledger:
        return self.parts.ledger

    def made(self) -> int:
        while True:
            try:
                return sum(asset.made for asset in self.ledger.assets())
            except LedgerUnavailable:
                time.sleep(0.5)

    def last(self) -> Night | None:
        while True:
            try:
                return next(iter(self.ledger.nights(limit=1)), None)
            except LedgerUnavailable:
                time.sleep(0.5)

    def ended(self, count: int) -> bool:
        night = self.last()
        return night is not None and len(self.ledger.nights(limit=1000)) >= count and night.ended_at is not None

    def begin(self) -> int:
        """Returns how many nights there are with this one."""
        count = len(self.ledger.nights(limit=1000)) + 1
        self.chaos.studio.dailies("now", "--by", "chaos")
        self.chaos.studio.until(lambda: len(self.ledger.nights(limit=1000)) >= count, "the night to begin")
        return count

    def run(self, faults: list[str]) -> list[str]:
        """One night of `images` more specs, with these faults. Returns those for which it was over too soon."""
        seeds = [self.asked // 2 + seed for seed in range(self.images // 2)]
        submit_to(self.parts, write_manifest(self.folder / str(self.asked), self.work.replace("SEEDS", str(seeds))))
        before, self.asked = self.made(), self.asked + self.images
        began = time.monotonic()
        count = self.begin()
        points = sorted(self.chaos.random.sample(range(int(self.images * 0.8)), len(faults)))
        for number, (fault, point) in enumerate(zip(faults, points, strict=True)):
            self.chaos.studio.until(
                lambda point=point: self.made() - before >= point or self.ended(count),  # type: ignore[misc]
                f"{point} images, or the end of the night",
                patience=600,
            )
            if self.ended(count):
                self.close(count, began)
                return faults[number:]
            self.harm(fault, night=count, before=before, count=count)
        self.chaos.studio.until(lambda: self.ended(count), "the night to end", patience=900)
        self.close(count, began)
        return []

    def harm(self, fault: str, *, night: int, before: int, count: int) -> None:
        at, began = self.made() - before, time.monotonic()
        try:
            self.chaos.faults[fault]()
        except NoTarget:
            self.chaos.aim = "nobody was there"
        lasted, over, made = time.monotonic() - began, time.monotonic(), self.made()
        self.chaos.studio.until(lambda: self.made() > made or self.ended(count), "the next image", patience=900)
        done = Happened(night, fault, self.chaos.aim, at, round(lasted, 1), round(time.monotonic() - over, 1))
        self.happened.append(done)
        print(json.dumps(asdict(done)), flush=True)

    def close(self, count: int, began: float) -> None:
        """The night has a report, and what it left is made by a further one."""
        night = self.last()
        assert night is not None and night.report_key is not None
        report = self.parts.store.get(night.report_key).decode()
        assert report.startswith(f"# Night {night.id}: {night.outcome}")
        left = self.asked - self.made()
        line = {"night": count, "outcome": night.outcome, "left": left, "seconds": round(time.monotonic() - began)}
        print(json.dumps(line), flush=True)
        if left:
            print(report, flush=True)
            self.again.append(count)
        elif night.outcome != "complete":
            print(report, flush=True)

    def look(self) -> Counter[str]:
        """lost, doubled, stuck, without a report, wrong: what there is of each in the end."""
        for _ in range(3):  # what disturbed nights left is made by undisturbed ones
            if self.made() == self.asked:
                break
            count = self.begin()
            self.chaos.studio.until(lambda count=count: self.ended(count), "the last night to end", patience=900)  # type: ignore[misc]
        images = sound(self.parts)
        ledger = self.ledger
        inbox = [item.digest for item in ledger.inbox(limit=100_000)]
        objects = Counter(ledger.picture(digest).image.object_key for digest in images)
        fsck = Fsck(ledger, self.parts.store)
        wrong = [str(trouble) for trouble in fsck if not trouble.note]
        print(*wrong, fsck.summary(), sep="\n", flush=True)
        return Counter(
            lost=self.asked - len(images | set(inbox)),
            doubled=len(inbox) - len(set(inbox)) + max(0, len(images) - self.asked) + len(objects.keys()) - len(images),
            stuck=len(ledger.waiting()) + ledger.in_hand() + len(ledger.unplanned()) + len(ledger.set_aside()),
            unreported=sum(night.ended_at is None or night.report_key is None for night in ledger.nights(limit=1000)),
            wrong=len(wrong),
        )


def table(happened: list[Happened]) -> str:
    by_fault: dict[str, list[Happened]] = defaultdict(list)
    for one in happened:
        by_fault[one.fault].append(one)
    lines = ["| fault | times | seconds to the next image: median | longest |", "|---|---|---|---|"]
    for fault, ones in sorted(by_fault.items()):
        seconds = [one.recovered for one in ones]
        lines.append(f"| {fault} | {len(ones)} | {statistics.median(seconds):.0f} | {max(seconds):.0f} |")
    return "\n".join(lines)


@pytest.mark.servers
@pytest.mark.timeout(900)
def test_a_night_in_which_four_things_go_wrong() -> None:
    with working_folder() as folder:
        pace = Pace(stop=3.0, refusal=4.0, secret=4.0, away=1.0)
        with chaos(folder, seed=11, pace=pace, disks=False) as running:
            nights = Nights(running, folder / "work", images=24, size=64, steps=4)
            left = nights.run(
                ["S3 answers 503", "SIGKILL a shift's process", "SIGKILL PostgreSQL", "SIGKILL SeaweedFS"]
            )
            assert not any(nights.look().values())
            print(table(nights.happened))
            assert len(nights.happened) + len(left) == 4 and len(nights.happened) >= 2


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(6 * 3600)
def test_thirty_nights() -> None:
    count, seed = int(os.environ.get("CHAOS_NIGHTS", "30")), int(os.environ.get("CHAOS_SEED", "11"))
    with working_folder() as folder, chaos(folder, seed=seed, pace=Pace()) as running:
        nights = Nights(running, folder / "work", images=60, size=128, steps=6)
        deck: list[str] = []
        for _ in range(count):
            wanted = running.random.choice([1, 2, 2, 3])
            while len(deck) < wanted:  # every fault comes up before any comes again
                more = [name for name in running.faults if running.clock or name != "clock jump"]
                running.random.shuffle(more)
                deck += more
            deck = nights.run(deck[:wanted]) + deck[wanted:]
        seen = nights.look()
        print(table(nights.happened))
        print(f"{count} nights, seed {seed}, {nights.asked} specs, {len(nights.happened)} faults: {dict(seen)}")
        print(f"nights that left something for the next: {nights.again}")
        assert not any(seen.values())
