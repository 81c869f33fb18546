"""What is drawn beside each other: the original, its variants, and what was timed for context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_inferopt.domain.text import printable
from pytest_inferopt.domain.words import variant_label

if TYPE_CHECKING:
    from pytest_inferopt.domain.result import RunResult, VariantResult

__all__ = ["LOOKS", "Arm", "arms_of", "place_of"]

LABEL_LIMIT = 40
LOOKS = 8  # colours, shapes and dashes, which repeat after as many arms


@dataclass(frozen=True)
class Arm:
    """One of them.

    Attributes:
        position: its number in the tables, from 0.
        label: what it is called everywhere in the report; no two arms of a model have the same.
        look: which colour, shape and dash it has, 0 to `LOOKS` − 1; the original's is 0.
        variant: its figures.
    """

    position: int
    label: str
    look: int
    variant: VariantResult

    @property
    def is_original(self) -> bool:
        """Whether the others are held against it."""
        return self.variant.role == "original"


def arms_of(result: RunResult) -> tuple[Arm, ...]:
    """The arms in the order of the tables; names that look the same once they are printable are numbered."""
    arms: list[Arm] = []
    taken: set[str] = set()
    for position, variant in enumerate((result.original, *result.variants.values(), *result.context)):
        label = name = printable(variant_label(variant), limit=LABEL_LIMIT)
        number = 1
        while label in taken:
            number += 1
            label = f"{name} ({number})"
        taken.add(label)
        look = position if position < LOOKS else 1 + (position - 1) % (LOOKS - 1)
        arms.append(Arm(position, label, look, variant))
    return tuple(arms)


def place_of(arm: Arm, result: RunResult) -> list[str | int]:
    """Where an arm stands in the JSON of its result."""
    if arm.is_original:
        return ["original"]
    if arm.variant.role == "context":
        return ["context", next(at for at, other in enumerate(result.context) if other is arm.variant)]
    return ["variants", next(name for name, other in result.variants.items() if other is arm.variant)]
