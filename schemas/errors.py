"""The one exception tree.

    DailiesError
    ├── InputError                what a person wrote is wrong: exit code 2
    │   ├── ManifestError         one or more Problems, each with file, line, column and field
    │   ├── SettingsError
    │   └── NameCollision         a deliverable's name is taken
    ├── ModelError                about weights
    │   ├── ModelMissing          names the file, the alias and who asked for it
    │   ├── ModelChanged          weights differ from the digest that was pinned
    │   ├── UnsafeWeights         not safetensors
    │   └── UnfitWeights          a damaged file, or one some of whose keys would not apply; trying again is no use
    ├── ProvenanceError           a file cannot be signed, or its signature does not hold
    ├── KitsuError                Kitsu refuses, or does not have, what one image needs
    │   └── KitsuUnavailable      it would refuse every image: away, or the token is not accepted
    ├── RenderError               about one image or batch
    │   ├── ConditionError        a control's condition cannot be computed
    │   ├── NotFinite             NaN or infinity before the uint8 cast
    │   ├── OutOfMemory           the device has no room for this batch
    │   └── DeviceLost            any other device error: this process must end
    ├── StoreError                about the object store
    │   ├── ObjectMissing
    │   ├── ObjectDamaged         its bytes are not those that its key names
    │   ├── ObjectConflict        other bytes are already kept under this key
    │   └── StoreUnavailable
    └── LedgerError               about the database
        ├── StaleDecision         somebody decided this image first
        ├── NotAllowed            this person's role does not permit it
        ├── NightRunning          another process runs a night now
        └── LedgerUnavailable

Vendor errors are translated into these once, at the edge that owns the vendor.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what a person wrote. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    field: str
    came: str
    allowed: str
    cell: str = ""
    """Row and column as a spreadsheet shows them, where it is one."""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {f'cell {self.cell}: ' if self.cell else ''}{self.field}"

    def __str__(self) -> str:
        return f"{self.where}: {join_refusal(self.came, self.allowed)}"

    def as_json(self) -> dict[str, object]:
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "cell": self.cell,
            "field": self.field,
            "message": str(self).removeprefix(f"{self.where}: ").removeprefix("warning: "),
        }


def join_refusal(came: str, allowed: str) -> str:
    """`got X; expected Y`; a question, as "did you mean 'size'?", is asked and not expected."""
    return f"{came}; {allowed}" if allowed.endswith("?") else f"{came}; expected {allowed}"


class Warned(Problem):
    """What may well be meant, and often is not: said, kept with the submission, and no obstacle."""

    def __str__(self) -> str:
        return f"{self.where}: warning: {join_refusal(self.came, self.allowed)}"


class DailiesError(Exception):
    """Base of everything Dailies raises on purpose. `exit_code` is the command line's."""

    exit_code = 1


class InputError(DailiesError):
    exit_code = 2


class ManifestError(InputError):
    """`problems` has them, up to about SAID; the message names the first SAID and counts the rest.

    `more`: how many others there are, which nobody spelt out.
    """

    SAID = 100

    def __init__(self, problems: list[Problem], *, more: int = 0) -> None:
        self.problems = problems
        self.more = more
        lines = [str(problem) for problem in problems[: self.SAID]]
        if rest := len(problems) - len(lines) + more:
            lines.append(f"and {rest:,} more")
        super().__init__("\n".join(lines))


class SettingsError(InputError):
    pass


class NameCollision(InputError):
    pass


class LicenceRefused(InputError):
    pass


class ModelError(DailiesError):
    pass


class ModelMissing(ModelError):
    pass


class ControlMissing(ModelMissing):
    """No ControlNet or adapter of a checkpoint serves a control; `allowed` names those that it has."""

    def __init__(self, came: str, allowed: str) -> None:
        super().__init__(came, allowed)
        self.came, self.allowed = came, allowed

    def __str__(self) -> str:
        return join_refusal(self.came, self.allowed)


class ModelChanged(ModelError):
    pass


class UnsafeWeights(ModelError):
    pass


class UnfitWeights(ModelError):
    pass


class ProvenanceError(DailiesError):
    pass


class KitsuError(DailiesError):
    pass


class KitsuUnavailable(KitsuError):
    pass


class RenderError(DailiesError):
    pass


class ConditionError(RenderError):
    pass


class NotFinite(RenderError):
    pass


class OutOfMemory(RenderError):
    pass


class DeviceLost(RenderError):
    pass


class StoreError(DailiesError):
    pass


class ObjectMissing(StoreError):
    pass


class ObjectDamaged(StoreError):
    pass


class ObjectConflict(StoreError):
    pass


class StoreUnavailable(StoreError):
    pass


class LedgerError(DailiesError):
    pass


class StaleDecision(LedgerError):
    pass


class NotAllowed(LedgerError):
    pass


class NightRunning(LedgerError):
    pass


class LedgerUnavailable(LedgerError):
    pass
