"""The errors a user meets: each says what, which, and what to do next.

Every expected failure is one of three kinds, and the kind decides the verdict:
`UsageError` (the request is wrong), `NotMeasuredError` (no evidence could be taken) and
`RefusedError` (what was asked for is not done, on principle). "Not measured" is never "passed".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ERROR_KINDS",
    "InferoptError",
    "MissingDependencyError",
    "NotMeasuredError",
    "RefusedError",
    "UsageError",
    "WorkerError",
    "did_you_mean",
]

SENTENCE_ENDS = (".", ":", ";", "?", "!")
Kind = Literal["usage", "not_measured", "refused"]


class InferoptError(Exception):
    """What went wrong (`message`) and what to do next (`hint`, may be empty).

    `kind` is the verdict that the error leads to, and the name under which it crosses the worker's pipe.
    """

    kind: ClassVar[Kind] = "not_measured"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return f"{self.message}{' ' if self.message[-1:] in SENTENCE_ENDS else ': '}{self.hint}"


class UsageError(InferoptError):
    """The request itself is wrong: a typo, a value out of range, data that do not fit the model."""

    kind = "usage"


class NotMeasuredError(InferoptError):
    """The evidence could not be taken, so there is no verdict; never counted as passed."""

    kind = "not_measured"


class MissingDependencyError(NotMeasuredError):
    """A library that the request needs is not installed; the hint names the extra that brings it."""


class WorkerError(NotMeasuredError):
    """The worker process crashed, hung, ran out of memory or left without an answer."""


class RefusedError(InferoptError):
    """What was asked for is not done: it is unsafe, or it is not what it claims to be."""

    kind = "refused"


ERROR_KINDS: dict[str, type[InferoptError]] = {
    error.kind: error for error in (UsageError, NotMeasuredError, RefusedError)
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint for a mistyped name: its nearest neighbour, else all that is known.

    >>> did_you_mean("batchsize", ["batch_sizes", "opset"])
    "did you mean 'batch_sizes'?"
    """
    # Only an error needs it, and this file is imported in every pytest run.
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
