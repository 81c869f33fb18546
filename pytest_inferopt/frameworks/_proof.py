"""The first proof of a converted file: onnxruntime runs it, and it answers the samples as the original does.

The converters raise no error for some models that they write wrongly: calibrated pipelines, hard votes of support
vector machines, bagged ones. The engine counts the rows that differ; here a file is held back that is another model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import RefusedError
from pytest_inferopt.frameworks._feeds import arrays_for

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Prediction, Rows, Signature

__all__ = ["prove"]

# A tree may take another branch for a row that lies on a threshold, so that single rows may differ by much.
TOLERANCE = 0.01  # of the largest number
ROWS_THAT_MAY_DIFFER = 0.2
INSTEAD = "Convert another estimator, or register a converter with skl2onnx.update_registered_converter."


def prove(name: str, path: Path, signature: Signature, samples: Rows, expected: Prediction) -> list[str]:
    """Run the file on all samples and on the first one alone.

    Args:
        name: what was converted, for the message.
        path: the ONNX file.
        signature: its inputs and outputs.
        samples: rows of any number N.
        expected: the original's answer to them.

    Returns:
        What could not be proved, as notes.

    Raises:
        RefusedError: it does not run, or more than a fifth of the rows (and more than one) have other answers.
    """
    try:
        import onnxruntime
    except ImportError:
        return ["not compared with the original: onnxruntime is not installed"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    feed = arrays_for(signature.inputs, samples)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        alone = session.run(None, {name: array[:1] for name, array in feed.items()})
        outputs = session.run(None, feed)
    except Exception as error:  # noqa: BLE001 - onnxruntime's classes share no public base
        reason = " ".join(str(error).replace(str(path), path.name).split())[:300].rstrip(".")
        raise RefusedError(f"{name} converts to a file that onnxruntime does not run: {reason}.", INSTEAD) from None
    shapes = [tuple(output.shape) for output in alone]
    if any(shape[:1] != (1,) for shape in shapes):
        raise RefusedError(f"{name} converts to outputs of shape {shapes} for one row.", INSTEAD)
    roles = [spec.role for spec in signature.outputs]
    _compare(name, dict(zip(reversed(roles), reversed(outputs), strict=True)), expected)
    return []


def _compare(name: str, answers: dict[Any, Any], expected: Prediction) -> None:
    import numpy as np

    scores = "probabilities" if expected.scores_are_probabilities else "decision"
    for role, original in (("label", expected.labels), (scores, expected.scores), ("values", expected.values)):
        if original is None or role not in answers:
            continue
        rows = len(original)
        before, after = np.asarray(original).reshape(rows, -1), np.asarray(answers[role])
        if after.size != before.size:
            raise RefusedError(f"{name} converts to a {role} of shape {after.shape}, not {original.shape}.", INSTEAD)
        differ = _other_rows(before, after.reshape(rows, -1), is_label=role == "label")
        if differ > max(1, ROWS_THAT_MAY_DIFFER * rows):
            raise RefusedError(
                f"{name} converts to another model: {differ} of {rows} rows have another {role}.", INSTEAD
            )


def _other_rows(before: Any, after: Any, *, is_label: bool) -> int:
    """The number of rows whose answers differ by more than rounding and a tree's other branch can explain."""
    import numpy as np

    if is_label:
        return int((before.astype(after.dtype) != after).any(axis=1).sum())
    one, other = before.astype(np.float64), after.astype(np.float64)
    largest = np.nanmax(np.abs(one), initial=np.finfo(np.float64).tiny)
    same = np.isclose(one, other, rtol=0.0, atol=TOLERANCE * float(largest), equal_nan=True)
    return int((~same).any(axis=1).sum())
