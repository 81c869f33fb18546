"""Keeps what libraries print, log and warn of away from their user, who did not call them."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["silence"]


@contextmanager
def silence(*loggers: str) -> Iterator[None]:
    """No warnings, nothing on stdout, and of these loggers nothing but what is critical; afterwards all is as before.

    A test suite that turns warnings into errors would fail by a converter's deprecations.

    Args:
        loggers: their names, "" for that of all.
    """
    logs = [logging.getLogger(name) for name in loggers]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
