"""What a library raises inside of a technique becomes a sentence."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_inferopt.domain.silence import silence
from pytest_inferopt.errors import InferoptError, NotMeasuredError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["explained"]

REASON_LENGTH = 300
EVERY_LOGGER = ""


@contextmanager
def explained(what: str, hint: str) -> Iterator[None]:
    """Run a library in silence; what it raises names what was being done.

    Args:
        what: ``technique 'fp16'``.
        hint: what to do next.

    Raises:
        NotMeasuredError: the library raised something; our own errors pass as they are.
    """
    try:
        with silence(EVERY_LOGGER):
            yield
    except InferoptError:
        raise
    # Quantizers and optimizers raise whatever their passes raise, onnxruntime classes without a public base among it.
    except Exception as error:
        reason = " ".join(str(error).split())[:REASON_LENGTH]
        raise NotMeasuredError(f"{what} failed: {type(error).__name__}: {reason}", hint) from error
