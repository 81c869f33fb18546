"""A variant while it is being made: what is known of it so far, and where its way has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_inferopt.domain.result import Check, CheckKind, Step

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.comparison import Comparison
    from pytest_inferopt.domain.measured import Accuracy, Conversion
    from pytest_inferopt.engine.pipeline import PlannedStep
    from pytest_inferopt.errors import InferoptError

__all__ = ["ORIGINAL", "Kept", "Variant", "red_check", "step_record"]

ORIGINAL = "original"


class Kept(NamedTuple):
    """A file in the store."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(eq=False)
class Variant:
    """What is known of a variant.

    Attributes:
        steps: those that are done, `checks` those that were made of it.
        path: the file of the last step, `format` its format.
        artifact: the name under which the worker has it.
        arm: the artifact that is timed for it: of variants that are the same file, the first one's.
        seconds_a_round: what a call at each batch size takes, roughly.
        document: what a process needs beside its file to run it; None where the file alone is not the variant.
        kept: its file in the store.
        comparison: what it is beside its baseline.
    """

    name: str
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    format: str | None = None
    path: Path | None = None
    artifact: str = ORIGINAL
    arm: str = ""
    conversion: Conversion | None = None
    accuracy: Accuracy | None = None
    call: str = ""
    seconds_a_round: float = 0.0
    document: dict[str, Any] | None = None
    kept: Kept | None = None
    comparison: Comparison | None = None

    def stop(self, kind: CheckKind, error: InferoptError) -> None:
        """Its way ends here."""
        self.checks.append(red_check(kind, self.name, error))

    @property
    def is_alive(self) -> bool:
        """Whether there is something to measure; what is wrong with its baseline does not keep it from that."""
        own = (check for check in self.checks if check.kind != "regression")
        return not any(check.outcome in {"not_measured", "refused"} for check in own)


def step_record(step: PlannedStep, done: dict[str, Any]) -> Step:
    """What a step did, for the report, from the worker's answer or from the store."""
    notes = list(done["notes"])
    if step.was_inserted:
        notes.insert(0, "inserted, because the next step takes ONNX")
    if "made_at" in done:
        notes.append(f"taken from the store: nothing that it depends on has changed since {done['made_at'][:10]}")
    figures = {key: done[key] for key in ("name", "seconds", "size_before_bytes", "size_after_bytes")}
    return Step(**figures, notes=tuple(notes), cached="made_at" in done)


def red_check(kind: CheckKind, variant: str, error: InferoptError) -> Check:
    """The check of what could not be measured, or was refused."""
    outcome = "refused" if error.kind == "refused" else "not_measured"
    return Check(kind=kind, variant=variant, outcome=outcome, reason=error.message, next_step=error.hint)
