"""What a graph or a network answers, by what its outputs mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.domain.artifact import TensorSpec

__all__ = ["by_role"]

MATRIX = 2


def by_role(outputs: Sequence[Any], specs: Sequence[TensorSpec]) -> Prediction:
    """Outputs as a prediction: of several with one role, the first counts; where none has a role, the first of all.

    Args:
        outputs: arrays (N, …).
        specs: what each of them is, in the same order.
    """
    import numpy as np

    parts: dict[str, Any] = {}
    for spec, output in zip(specs, outputs, strict=True):
        parts.setdefault(spec.role, np.asarray(output))
    scores = parts.get("probabilities", parts.get("decision"))
    values = parts.get("values")
    if not parts.keys() & {"label", "probabilities", "decision", "values"}:
        values = np.asarray(outputs[0])
    labels = parts.get("label")
    if labels is not None and labels.ndim == MATRIX and labels.shape[1] == 1:
        labels = labels[:, 0]
    return Prediction(labels, scores, "probabilities" in parts, values)
