"""What every trainer here shares: the clock, the learning rate, the average of the weights, the checkpoint."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from tqdm import tqdm


def half_precision(where: torch.device) -> torch.autocast:
    """bf16 autocast on an accelerator and on a CPU with AMX. On other CPUs it is 30 times slower than float32."""
    pays = where.type != "cpu" or bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return torch.autocast(where.type, dtype=torch.bfloat16, enabled=pays)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rank() -> int:
    """Which of the training processes this is; 0 also when it is the only one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def processes() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


class Ema:
    """An exponential moving average of some parameters; young averages forget faster."""

    def __init__(self, module: nn.Module, decay: float = 0.9985) -> None:
        self.decay, self.steps = decay, 0
        self.shadow = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        live = module.state_dict()
        floats = [k for k, v in self.shadow.items() if v.dtype.is_floating_point]
        torch._foreach_lerp_([self.shadow[k] for k in floats], [live[k] for k in floats], 1 - decay)


FURTHER = 0.6
"""The share of the usual learning rates where published weights go on: the full ones first undo what is annealed."""


class Run:
    """One training run of one part: it counts steps until its minutes are over, and goes on where it was stopped.

    The learning rate warms up and then falls as a cosine over *time*, so that a run always ends annealed, on a fast
    machine or a slow one. Where it has no checkpoint it begins with start/<name>.pt, which start.py writes.
    """

    def __init__(self, folder: Path, name: str, module: nn.Module, groups: list[dict], *, minutes: float,
                 warmup: int = 200, ema: float = 0.9985, restart_schedule: bool = False) -> None:  # fmt: skip
        self.folder, self.name, self.module, self.minutes, self.warmup = folder, name, module, minutes, warmup
        folder.mkdir(parents=True, exist_ok=True)
        self.path, start = folder / f"{name}.pt", folder / "start" / f"{name}.pt"
        if start.exists():
            groups = [{**group, "lr": group["lr"] * FURTHER} for group in groups]
            if not self.path.exists():
                module.load_state_dict(torch.load(start, map_location=device(), weights_only=True))
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        self.peaks = [g["lr"] for g in self.optimizer.param_groups]
        self.ema = Ema(module, ema)
        self.step, self.spent = 0, 0.0
        if self.path.exists():
            kept = torch.load(self.path, map_location=device(), weights_only=True)
            module.load_state_dict(kept["live"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.ema.shadow, self.ema.steps = kept["ema"], kept["step"]
            self.step, self.spent = kept["step"], 0.0 if restart_schedule else kept["spent"]

    def steps(self) -> Iterator[int]:
        """Yields step numbers; the body takes one optimizer step with `learn`. Saves every two minutes."""
        began, saved, log = time.monotonic() - self.spent, time.monotonic(), self.folder / f"{self.name}.csv"
        with log.open("a", newline="") as file, tqdm(desc=self.name, mininterval=10, disable=rank() > 0) as bar:
            self._csv, self._bar = csv.writer(file), bar
            while True:
                self.spent = self._agreed(time.monotonic() - began)
                if self.spent >= self.minutes * 60:
                    break
                part = self.spent / (self.minutes * 60)
                warm = min(1.0, (self.step + 1) / self.warmup)
                for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                    group["lr"] = peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
                yield self.step
                self.step += 1
                bar.update()
                if time.monotonic() - saved > 120:
                    self.save()
                    file.flush()
                    saved = time.monotonic()
        self.save()

    def _agreed(self, seconds: float) -> float:
        """The clock of process 0, for all."""
        if processes() == 1:
            return seconds
        clock = torch.tensor([seconds], dtype=torch.float64)
        distributed.broadcast(clock, 0)
        return float(clock)

    def _average_gradients(self, parameters: list[nn.Parameter]) -> None:
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        distributed.all_reduce(flat)
        flat /= processes()
        for grad, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    def learn(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        if processes() > 1:
            self._average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        if rank() > 0:
            return
        self.ema.update(self.module)
        if self.step % 20 == 0:
            self._csv.writerow([self.step, round(self.spent, 1), round(float(loss.detach()), 5)])
            self._bar.set_postfix(loss=f"{float(loss.detach()):.4f}")

    def save(self) -> None:
        if rank() > 0:
            return
        kept = {"live": self.module.state_dict(), "ema": self.ema.shadow, "optimizer": self.optimizer.state_dict(),
                "step": self.step, "spent": self.spent}  # fmt: skip
        torch.save(kept, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").replace(self.path)


def own_chance(run: Run) -> np.random.Generator:
    """Seeds torch and returns a generator: different in every process, and where a run goes on."""
    torch.manual_seed(run.step * 64 + rank())
    return np.random.default_rng((run.step, rank()))
