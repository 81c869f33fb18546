"""The Python door, and what all doors share: a request and its live things become a result."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_inferopt.domain.artifact import Dataset, RunOptions
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.report import Report
from pytest_inferopt.domain.request import OptimizationRequest, parse_request
from pytest_inferopt.domain.result import RunResult
from pytest_inferopt.engine.baseline.accepting import accept
from pytest_inferopt.engine.baseline.source import BaselineSource
from pytest_inferopt.engine.git import git_state
from pytest_inferopt.engine.publish import parse_destinations
from pytest_inferopt.engine.publish import publish as publish_report
from pytest_inferopt.engine.run import USUAL, RunMode, Subject, run_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.registry import Registry, discover
from pytest_inferopt.settings import check_is_built, project_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

__all__ = ["InferenceOptimizer", "Subject", "publish", "run"]

DEFAULT_STORE = ".inferopt"


def run(
    request: OptimizationRequest,
    subject: Subject | None = None,
    *,
    worker: Worker | None = None,
    registry: Registry | None = None,
    store: Store | None = None,
    mode: RunMode = USUAL,
    on_progress: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Optimize, measure and judge one model.

    Args:
        request: what to do.
        subject: the live model, rows and metric that go with it.
        worker: a worker to use and leave running; without one, a worker is started and ended.
        registry: the plugins; all that can be found, if None.
        store: where optimized models are kept; ``.inferopt`` in the current folder, if None.
        mode: whether finished steps are used again, whether anything is timed, and what is compared with.
        on_progress: told what takes long.

    Raises:
        UsageError: the request is wrong or asks for what this version cannot do.
    """
    check_is_built(request, where="the request")
    parts: dict[str, Any] = {"registry": registry or discover(), "store": store or Store(Path(DEFAULT_STORE))}
    parts |= {"mode": mode, "on_progress": on_progress}
    if worker is not None:
        return run_request(request, subject or Subject(), worker=worker, **parts)
    with Worker() as own:
        return run_request(request, subject or Subject(), worker=own, **parts)


def publish(
    results: RunResult | Sequence[RunResult],
    *reports: str,
    store: str | os.PathLike[str] = DEFAULT_STORE,
    registry: Registry | None = None,
) -> tuple[Path, ...]:
    """Write reports of one result or several: ``publish(result, "html:out/churn.html", "json")``.

    Args:
        results: what was found out.
        reports: ``TYPE`` or ``TYPE:DEST``, as ``--inferopt-report`` takes them.
        store: the folder of a report that names no destination.
        registry: the reporters; all that can be found, if None.

    Returns:
        The files, in the order of `reports`.

    Raises:
        UsageError: an unknown type, one for the terminal alone, or a destination that cannot be one.
        NotMeasuredError: a report could not be made or written.
    """
    plugins = registry or discover()
    folder = Path(store).absolute()
    destinations = parse_destinations(reports, plugins, base=Path.cwd(), store=folder)
    paths = tuple(destination.path for destination in destinations if destination.path is not None)
    if len(paths) < len(destinations):
        raise UsageError("a report for the terminal has no file.", "Print the result, or name another type.")
    several = (results,) if isinstance(results, RunResult) else tuple(results)
    report = Report(results=several, environment=Environment.here(), git=git_state(Path.cwd()))
    for published in publish_report(report, destinations, plugins):
        if published.failure:
            raise NotMeasuredError(f"no {published.kind} report: {published.failure}")
    return paths


class InferenceOptimizer:
    """Optimizes models from Python: the same engine as the pytest plugin, without a test.

    A worker process is started at the first call and kept; `close`, or a ``with`` block, ends it.

    Args:
        store: the folder for optimized models.
        reuse: whether steps whose outcome is in the store already are taken from there.
        defaults: fields of `OptimizationRequest` that hold for every call, over those of the environment
            variables and of ``[tool.inferopt]``.

    Example:
        >>> with InferenceOptimizer(iterations=200) as optimizer:             # doctest: +SKIP
        ...     result = optimizer.optimize(model, x, y, optimizations=["onnx_conversion", "quantization"])
        ...     result.speedup[1], result.accuracy_ratio
    """

    def __init__(self, store: str | os.PathLike[str] = DEFAULT_STORE, *, reuse: bool = True, **defaults: Any) -> None:
        project = project_defaults(Path.cwd(), os.environ)
        self._defaults = {key: value for key, value in project.items() if key not in {"report", "store"}} | defaults
        parse_request(self._defaults, where="InferenceOptimizer")
        self._store = Store(Path(store))
        self._reuse = reuse
        self._worker = Worker()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process; the next call starts another one."""
        self._worker.stop()

    def optimize(
        self,
        model: Any,
        x: Any = None,
        y: Any = None,
        *,
        groups: Any = None,
        training_data: Any = None,
        metric: Any = None,
        **fields: Any,
    ) -> RunResult:
        """Optimize, measure and judge; a red check is in the result's `checks`, not raised.

        Args:
            model: a live model, a path, or ``package.module:factory``.
            x: validation rows (N, …); None if `validation_dataset` names them.
            y: their targets (N,).
            groups: their query groups (N,), for rankings.
            training_data: rows to calibrate or train on: x, or a pair (x, y).
            metric: a metric's name or a function ``fn(y_true, y_pred) -> float``.
            fields: further fields of the request.

        Raises:
            UsageError: the request is wrong, or the rows do not fit the model.
        """
        request, subject = request_for(
            {**self._defaults, **fields},
            model=model,
            data=None if x is None else Dataset(x, y, groups),
            training=as_dataset(training_data),
            metric=metric,
            where="InferenceOptimizer.optimize",
        )
        # Without a test there is no name that a baseline is found by on its own, so it is asked for.
        if "baseline" in request.model_fields_set and request.baseline != "none":
            with closing(BaselineSource(request.baseline, store=self._store, root=Path.cwd())) as source:
                mode = RunMode(reuse=self._reuse, baseline=source.find("", request.name))
                return run(request, subject, worker=self._worker, store=self._store, mode=mode)
        mode = RunMode(reuse=self._reuse)
        return run(request, subject, worker=self._worker, store=self._store, mode=mode)

    def accept(self, result: RunResult) -> None:
        """Make a result's models the baseline of its name, for ``optimize(…, baseline="auto")``.

        Raises:
            NotMeasuredError: they are not fit to be one, or the store cannot be written.
        """
        accept(result, self._store, git_state(Path.cwd()))

    def convert_to_onnx(self, model: Any, sample_input: Any) -> str:
        """Convert a model to ONNX, check the file, and return its path in the store.

        Args:
            model: a live model.
            sample_input: a few rows of what it takes (N ≥ 1, …); their types and column names shape the inputs.

        Raises:
            InferoptError: what cannot be converted, and why.
        """
        registry = discover()
        framework = registry.owner(model)
        registry.require(framework)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            original = folder / "original"
            framework.save(model, original)
            artifact = framework.describe(model, original)
            opset = parse_request(self._defaults, where="InferenceOptimizer").opset
            converted = framework.to_onnx(artifact, folder / "model.onnx", opset=opset, samples=sample_input)
            runtime = registry.runtime_for(converted.format)
            if runtime is not None:
                registry.require(runtime)
                runtime.open(converted, RunOptions()).predict(sample_input)
            kept, _ = self._store.keep(converted.path)
        return str(kept)


def request_for(
    fields: dict[str, Any],
    *,
    model: Any,
    data: Dataset | None,
    training: Dataset | None = None,
    metric: Any = None,
    where: str,
    by_value: Sequence[ModuleType] = (),
) -> tuple[OptimizationRequest, Subject]:
    """Part what a call was given into a document and live things.

    A model that is a text or a path, and a metric that is a name, go into the request; the rest travels beside it.
    """
    values = dict(fields)
    if isinstance(model, str | os.PathLike):
        values["model"] = os.fspath(model)
        model = None
    function = None
    if isinstance(metric, str):
        values["metric"] = metric
    elif callable(metric):
        function = metric
        values["metric"] = getattr(metric, "__name__", type(metric).__name__)
    elif metric is not None:
        raise UsageError(f"{where}: metric={metric!r} is neither a name nor a function.")
    if function is not None and values.get("metric_direction") is None:
        raise UsageError(
            f"{where}: the metric {values['metric']!r} is a function, and nobody knows whether more of it is better.",
            'Add metric_direction="higher" or "lower".',
        )
    return parse_request(values, where=where), Subject(model, data, training, function, by_value)


def as_dataset(value: Any) -> Dataset | None:
    """A dataset of rows, or of a pair of rows and targets."""
    if value is None or isinstance(value, Dataset):
        return value
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - a pair
        return Dataset(*value)
    return Dataset(value)
