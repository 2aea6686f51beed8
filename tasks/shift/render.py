"""A batch of specs -> pictures, on this process's device. One Prefect task a batch, ids in and out.

`ShiftAtWork` is what the batches of one shift share. While the device makes batch n, the pictures for batch n+1 are
gathered and batch n-1 is kept (tasks/shift/gather.py, tasks/shift/image_writer.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from schemas.errors import LedgerError, ModelChanged
from schemas.spec import ImageSpec
from storage.failpoint import failpoint
from tasks.parts import Parts
from tasks.planning.budget import Budget
from tasks.retry import retry
from tasks.shift.failure_breaker import FailureBreaker
from tasks.shift.gather import Gatherer, Inputs
from tasks.shift.image_writer import Batch, ImageWriter, Tally, split_gpu_seconds
from tasks.shift.imports import take_imports
from tasks.shift.leases import Leases, free_dead
from tasks.shift.search_vectors import SearchVectors

if TYPE_CHECKING:
    from engine.rendered import Rendered
    from storage.ledger.submissions import Brief


@dataclass
class Prepared:
    """A batch in hand: claimed, with its pictures."""

    inputs: Inputs
    briefs: Mapping[str, Brief]


class ShiftAtWork:
    """A context: leases are held and renewed inside it, and everything rendered is kept before it ends."""

    def __init__(self, parts: Parts, *, night: int, flow_run: str | None) -> None:
        settings = parts.settings
        workers = settings.home / "workers"
        free_dead(parts.ledger, folder=workers)
        self.parts = parts
        self.streak = FailureBreaker(settings.same_error_limit)
        self.leases = Leases(parts.ledger, worker=parts.worker, seconds=settings.lease_seconds, folder=workers)
        self.budget = spent_so_far(parts, night=night)
        self._search_vectors = SearchVectors(parts)
        self._gatherer = Gatherer(parts.store, limits=settings.limits, condition_models=settings.condition_models)
        self._expected: list[str] = []
        self._pinned: dict[str, str] = {}
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="gather")
        self._coming: tuple[list[str], Future[Prepared]] | None = None
        self._keeper = ImageWriter(parts, leases=self.leases, streak=self.streak, night=night, flow_run=flow_run)

    @contextmanager
    def __call__(self) -> Iterator[ShiftAtWork]:
        token = _shift.set(self)
        try:
            # Left from the inside out: nothing is gathered any more, what was rendered is kept, leases are released.
            with self.leases, self._keeper, self._ahead:
                yield self
        finally:
            _shift.reset(token)

    @property
    def tally(self) -> Tally:
        return self._keeper.tally

    @property
    def budget_spent(self) -> bool:
        return self.budget.night is not None and self.budget.night <= 0

    def expect(self, digests: list[str]) -> None:
        """All that this shift is to make; what an earlier run of it has made already is among it."""
        self._expected = digests if self.parts.settings.backend == "auto" else []

    def make(self, digests: list[str], following: list[str]) -> int:
        """Renders those of `digests` that are still wanted and hands them to the keeper; returns how many.

        `following` is claimed and gathered meanwhile.
        """
        # 1. What was gathered ahead; or now, when nothing was.
        if self._coming is None or self._coming[0] != digests:
            self._coming = digests, self._ahead.submit(self._prepare, digests)
        ready = self._coming[1].result()
        self._coming = (following, self._ahead.submit(self._prepare, following)) if following else None
        # 2. What may be made.
        for spec, reason in ready.inputs.failed:
            self.streak.note(reason)
            self._keeper.fail(spec, reason)
        specs = self._affordable(ready.inputs.specs)
        if not specs:
            self.streak.check()
            return 0
        # 3. The device.
        rendered = self._search_vectors.add(self._render(specs, ready.inputs))
        # 4. Over to the keeper, which works while the next batch is made.
        for spec, done in zip(specs, rendered, strict=True):
            self.streak.note(done.error)
            self.budget.spend(spec.project, split_gpu_seconds(done))
        self._keeper.put(Batch(specs, rendered, ready.briefs))
        self.streak.check()
        return len(rendered)

    def _render(self, specs: Sequence[ImageSpec], inputs: Inputs) -> Sequence[Rendered]:
        """Of a batch, which is of imports alone or has none."""
        if specs[0].is_imported:
            return take_imports(specs, inputs.sources)
        self._pin(specs)
        if self._expected:  # with the first batch, so that a shift of imports loads no engine
            self.parts.engine.expect(self.parts.ledger.specs(self._expected).values())
            self._expected = []
        failpoint("render.before_device")
        rendered = self.parts.engine.render(
            specs,
            sources=inputs.sources,
            masks=inputs.masks,
            conditions=inputs.conditions,
            progress=lambda step, steps: self.parts.tell("step", step, steps),
        )
        failpoint("render.after_device")
        return rendered

    def _prepare(self, digests: list[str]) -> Prepared:
        failpoint("render.before_claim")
        specs = retry(lambda: self.leases.claim(digests))
        failpoint("render.after_claim")
        briefs = retry(lambda: self.parts.ledger.briefs([spec.digest for spec in specs])) if specs else {}
        inputs = retry(lambda: self._gatherer.gather(specs))
        failpoint("render.after_gather")
        return Prepared(inputs, briefs)

    def _pin(self, specs: Sequence[ImageSpec]) -> None:
        """An alias means the weights it was first made with, until somebody re-pins it on purpose."""
        for spec in specs:
            for ref in spec.models():
                if self._pinned.get(ref.alias) == ref.digest:
                    continue
                held = self.parts.ledger.pin(ref.alias, ref.digest)
                if held != ref.digest:
                    raise ModelChanged(
                        f"{spec.project}/{spec.asset} was planned with {ref.alias} {ref.digest[:12]}; it is pinned to "
                        f"{held[:12]}. Submit it again, or `dailies models repin {ref.alias}`"
                    )
                self._pinned[ref.alias] = held

    def _affordable(self, specs: Sequence[ImageSpec]) -> list[ImageSpec]:
        """Budgets are looked at again with what was truly spent; what they refuse waits for another night."""
        dear = [spec.digest for spec in specs if self.budget.refuses(spec.project)]
        if dear:
            self.leases.give_back(dear)
        return [spec for spec in specs if spec.digest not in dear]


def spent_so_far(parts: Parts, *, night: int) -> Budget:
    """What is left of the night's and the projects' budgets."""
    settings = parts.settings
    return Budget.left(
        night_hours=settings.night_gpu_hours,
        project_hours=settings.project_gpu_hours,
        night_spent=parts.ledger.gpu_seconds(night=night) if settings.night_gpu_hours else 0.0,
        project_spent={name: parts.ledger.gpu_seconds(project=name) for name in settings.project_gpu_hours},
    )


_shift: ContextVar[ShiftAtWork] = ContextVar("shift")


def _name_batch() -> str:
    """What Prefect shows of a task run: `Potion, 4 images`."""
    digests = task_run.parameters["digests"]
    try:
        assets = sorted({spec.asset for spec in _shift.get().parts.ledger.specs(digests).values()})
    except LedgerError:  # a name must not end a batch that could still be made
        assets = []
    shown = ", ".join(assets[:3]) + (f" and {len(assets) - 3} more" if len(assets) > 3 else "")
    return f"{shown or 'render'}, {len(digests)} {'image' if len(digests) == 1 else 'images'}"


@task(name="render", task_run_name=_name_batch, cache_policy=NO_CACHE, persist_result=False)
def render_batch(digests: list[str], following: list[str]) -> int:
    """One batch of the shift at work. Returns how many images the device was asked for."""
    return _shift.get().make(digests, following)
