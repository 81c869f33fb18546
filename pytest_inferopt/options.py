"""The pytest options, as a literal table: standard library only, so that an unused plugin costs nothing.

An option that sets a field of the request carries the field's name and its default, which a test holds to the
request itself. What is not built yet is refused by name when it is set, never for its default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENVIRONMENT", "LATER", "OPTIONS", "Option", "as_float", "as_integer", "dest"]

TRUE = "true"


def as_text(text: str) -> str:
    """The text itself."""
    return text


def as_integer(text: str) -> int:
    """A whole number.

    Raises:
        ValueError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise ValueError("not a whole number") from None


def as_float(text: str) -> float:
    """A number.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError("not a number") from None


def as_names(text: str) -> tuple[str, ...] | str:
    """Names between commas; ``auto`` alone stays a word."""
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise ValueError("a name is missing between two commas")
    return "auto" if names == ("auto",) else names


def as_integers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    return tuple(as_integer(part) for part in text.split(","))


class Option(NamedTuple):
    """One command-line option; a named tuple, because a dataclass costs a millisecond of every pytest run.

    Attributes:
        flag: with its dashes.
        help: one sentence.
        parse: from the text to the value; None for a switch.
        field: the field of the request that it sets; None if it sets none.
        default: what holds without it, of the field's type.
        metavar: what stands for the value in the help.
        is_repeatable: whether it may be given more than once.
    """

    flag: str
    help: str
    parse: Callable[[str], Any] | None = None
    field: str | None = None
    default: Any = None
    metavar: str | None = None
    is_repeatable: bool = False


def dest(option: Option) -> str:
    """The name under which pytest keeps it."""
    return option.flag.removeprefix("--").replace("-", "_")


OPTIONS: tuple[Option, ...] = (
    Option("--inferopt", "Run inferopt tests; without it they are skipped and nothing heavy is imported."),
    Option("--inferopt-only", "Deselect every other test."),
    Option(
        "--inferopt-quick",
        "10 warm-up and 50 timed iterations at batch sizes 1 and 16; every latency figure is advisory.",
        field="quick",
        default=False,
    ),
    Option(
        "--inferopt-optimizations",
        "Technique names in order, between commas.",
        as_names,
        "optimizations",
        ("onnx_conversion",),
        "LIST",
    ),
    Option(
        "--inferopt-accuracy-threshold",
        "Least accuracy ratio to the original, 0 to 1.",
        as_float,
        "accuracy_threshold",
        0.99,
        "F",
    ),
    Option("--inferopt-metric", "A metric's name or package.module:function.", as_text, "metric", None, "NAME"),
    Option(
        "--inferopt-warmup-iterations",
        "Untimed calls before the timed ones.",
        as_integer,
        "warmup_iterations",
        100,
        "N",
    ),
    Option("--inferopt-iterations", "Timed calls at each batch size.", as_integer, "iterations", 1000, "N"),
    Option("--inferopt-batch-sizes", "Rows per call.", as_integers, "batch_sizes", (1, 16, 32, 64), "LIST"),
    Option(
        "--inferopt-measure-seconds", "Time for all measuring of a request.", as_float, "measure_seconds", 60.0, "F"
    ),
    Option("--inferopt-threads", "Intra-op threads of every model.", as_integer, "threads", 1, "N"),
    Option("--inferopt-provider", "Execution provider; never fallen back from.", as_text, "provider", "cpu", "NAME"),
    Option("--inferopt-opset", "ONNX opset to write (ONNX_OPSET_VERSION).", as_integer, "opset", 17, "N"),
    Option(
        "--inferopt-max-time-minutes",
        "Hard deadline of an optimization (OPTIMIZATION_MAX_TIME_MINUTES).",
        as_float,
        "max_time_minutes",
        30.0,
        "F",
    ),
    Option(
        "--inferopt-tensorrt-workspace-gb",
        "TensorRT's workspace memory (TENSORRT_WORKSPACE_SIZE_GB).",
        as_float,
        "tensorrt_workspace_gb",
        4.0,
        "F",
    ),
    Option(
        "--inferopt-budget",
        "A limit such as p95<5ms, p99@batch32<40ms or size<50MB.",
        as_text,
        "budget",
        (),
        "EXPR",
        is_repeatable=True,
    ),
    Option(
        "--inferopt-max-slowdown",
        "The slow-down against the baseline that is surely caught.",
        as_text,
        "max_slowdown",
        "5%",
        "PERCENT",
    ),
    Option(
        "--inferopt-gate-percentiles",
        "The percentiles that the gate judges: p95 and p99 beside p50.",
        as_names,
        "gate_percentiles",
        ("p50",),
        "LIST",
    ),
    Option(
        "--inferopt-baseline",
        "What is compared with: auto, none, a folder, a bundle or a git ref.",
        as_text,
        "baseline",
        "auto",
        "SRC",
    ),
    Option("--inferopt-update-baseline", "Accept what was measured as the new baseline."),
    Option("--inferopt-gate", "Whether a proven regression fails: strict, on or warn.", as_text, "gate", "on", "MODE"),
    Option(
        "--inferopt-report",
        "A report as TYPE or TYPE:DEST: terminal, html, md, comment, json, csv or pytest-benchmark.",
        as_text,
        default=("terminal", "html"),
        metavar="TYPE[:DEST]",
        is_repeatable=True,
    ),
    Option("--inferopt-store", "Where models and reports are kept.", as_text, default=".inferopt", metavar="PATH"),
    Option("--inferopt-no-cache", "Optimize again even if nothing changed."),
)

ENVIRONMENT: dict[str, tuple[str, Callable[[str], Any]]] = {
    "OPTIMIZATION_MAX_TIME_MINUTES": ("max_time_minutes", as_float),
    "OPTIMIZATION_ACCURACY_THRESHOLD": ("accuracy_threshold", as_float),
    "TENSORRT_WORKSPACE_SIZE_GB": ("tensorrt_workspace_gb", as_float),
    "ONNX_OPSET_VERSION": ("opset", as_integer),
}
"""The environment variables, the fields they set, and how their text is read."""

LATER: dict[str, str] = {
    "model_id": "a model registry is not part of this version; name the model's path instead",
}
"""What a request may name and this version cannot do, with the way to say so."""
