"""From a report to files: which reports are wanted, where they go, and that each is whole or not there."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_inferopt.engine.store.files import replacing, write_text
from pytest_inferopt.errors import InferoptError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_inferopt.domain.measured import Samples
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.registry import Registry

__all__ = ["Destination", "Published", "parse_destinations", "publish"]

DEVICES = Path("/dev")


SAMPLES_NAME = re.compile(r"[0-9a-f]{64}\.npz")


@dataclass(frozen=True)
class Destination:
    """One wanted report: its type, and its file; None is the terminal."""

    kind: str
    path: Path | None


@dataclass(frozen=True)
class Published:
    """A report that was made.

    Attributes:
        kind: its type.
        path: its file; None if `text` is for the terminal.
        text: what was rendered.
        failure: why there is none.
    """

    kind: str
    path: Path | None
    text: str = ""
    failure: str = ""


def parse_destinations(
    wanted: Iterable[str], registry: Registry, *, base: Path, store: Path
) -> tuple[Destination, ...]:
    """Read ``TYPE`` and ``TYPE:DEST``; a report without a place of its own goes into the store.

    Args:
        wanted: as the user wrote them.
        registry: the reporters.
        base: what a relative destination is relative to.
        store: the folder of reports that name no destination.

    Raises:
        UsageError: an unknown type, a place for the terminal, what is no file, or one file for two reports.
    """
    known = registry.names("reporters")
    found: list[Destination] = []
    for text in dict.fromkeys(wanted):
        kind, colon, place = text.partition(":")
        if kind not in known:
            raise UsageError(f"no report type named {kind!r};", did_you_mean(kind, known))
        default = registry.reporter(kind).file_name
        if default is None and colon:
            raise UsageError(f"report {text!r}: the terminal takes no destination.", f"Write: {kind}.")
        if colon and not place:
            raise UsageError(f"report {text!r} names no destination.", f"Write {kind}, or {kind}:out/{default}.")
        path = None
        if default is not None:
            path = base / _home_expanded(place, text) if place else store / default
            _check_is_for_a_file(path, place, text, f"{kind}:{path / default}")
            if any(other.path is not None and _is_same(path, other.path) for other in found):
                raise UsageError(f"report {text!r}: {path} is to hold another report already.", "Name another file.")
        found.append(Destination(kind, path))
    return tuple(found)


def _home_expanded(place: str, text: str) -> Path:
    if "\0" in place:
        raise UsageError(f"report {text!r}: no path holds a NUL character.", "Name a file.")
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise UsageError(f"report {text!r}: whose home folder is meant is not known.", "Write it in full.") from error


def _check_is_for_a_file(path: Path, place: str, text: str, inside: str) -> None:
    # Not Path.is_dir(), which raises where a path is too long or may not be looked at; writing will say so.
    if place.endswith("/") or os.path.isdir(path):  # noqa: PTH112
        raise UsageError(f"report {text!r}: {path} is a folder.", f"Write {inside}.")
    # Who may write into /dev would put a file in the place of the device, or of the link /dev/stdout.
    if path.parent == DEVICES or (os.path.exists(path) and not os.path.isfile(path)):  # noqa: PTH110, PTH113
        raise UsageError(f"report {text!r}: {path} is a device, a pipe or a socket.", "Name a file.")


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def publish(report: Report, destinations: Sequence[Destination], registry: Registry) -> tuple[Published, ...]:
    """Render and write each report; one that cannot be made keeps none of the others from it."""
    return tuple(_published(report, destination, registry) for destination in destinations)


def _published(report: Report, destination: Destination, registry: Registry) -> Published:
    kind, path = destination.kind, destination.path
    try:
        reporter = registry.reporter(kind)
        registry.require(reporter)
        if path is None:
            return Published(kind, None, reporter.render(report))
        if reporter.carries_samples:
            report = _with_samples_beside(report, path)
        text = reporter.render(report)
        write_text(path, text)
        if reporter.carries_samples:
            _forget_samples(report, _samples_folder(path))
    except InferoptError as error:
        return Published(kind, path, failure=str(error))
    # A reporter may be anybody's; its fault must not cost the verdict or the other reports.
    except Exception as error:  # noqa: BLE001
        return Published(kind, path, failure=f"report {kind!r} failed: {type(error).__name__}: {error}")
    return Published(kind, path, text)


def _with_samples_beside(report: Report, path: Path) -> Report:
    """The report with its samples in ``<stem>-samples/`` beside the file, under their digests."""
    folder = _samples_folder(path)
    results = tuple(
        result if result.samples is None else _moved(result, result.samples, folder, path.parent)
        for result in report.results
    )
    return report.model_copy(update={"results": results})


def _samples_folder(path: Path) -> Path:
    return path.with_name(f"{path.stem}-samples")


def _forget_samples(report: Report, folder: Path) -> None:
    """Remove what an earlier document at this place had beside it, once the new one is there."""
    kept = {f"{result.samples.sha256}.npz" for result in report.results if result.samples is not None}
    for path in folder.glob("*.npz"):
        if path.name not in kept and SAMPLES_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _moved(result: RunResult, samples: Samples, folder: Path, parent: Path) -> RunResult:
    source = Path(samples.path)
    # Beside a report in the store they lie already; anywhere else, they would be gone when the store is pruned.
    target = source if source.parent.parent == parent else folder / f"{samples.sha256}.npz"
    if not target.exists():
        with source.open("rb") as content, replacing(target) as stream:
            shutil.copyfileobj(content, stream)
    place = target.relative_to(parent).as_posix()
    return result.model_copy(update={"samples": samples.model_copy(update={"path": place})})
