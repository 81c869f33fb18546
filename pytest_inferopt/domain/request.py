"""The one schema of input: marker keywords, TOML, command line, HTTP and Python all become an `OptimizationRequest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from pytest_inferopt.domain.budget import MAX_BATCH_SIZE, Budget, LatencyBudget, parse_budget
from pytest_inferopt.domain.slowdown import SlowdownLimits, parse_max_slowdown
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import UsageError, did_you_mean

__all__ = [
    "CONVERSION",
    "DEFAULT_VARIANT",
    "BenchmarkSpec",
    "DatasetSpec",
    "OptimizationRequest",
    "TechniqueSpec",
    "parse_request",
]

CONVERSION = "onnx_conversion"
DEFAULT_VARIANT = "optimized"
CONFIG_SUFFIX = "_config"
MAX_MINUTES = 10_080  # a week
MAX_WORKSPACE_GB = 1024
GATE_PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}
# Fewer calls do not reach that far into the tail: the 95th percentile of 19 calls is all but the longest of them.
LEAST_ITERATIONS = {50: 1, 95: 20, 99: 100}

Ratio = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)]

QUICK = {"warmup_iterations": 10, "iterations": 50, "batch_sizes": (1, 16)}


def _named(value: Any) -> Any:
    """Accept ``"fp16"`` for ``{"name": "fp16"}``, and gather the other keys of a mapping as options."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and "options" not in value:
        return {"name": value.get("name"), "options": {key: item for key, item in value.items() if key != "name"}}
    return value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TechniqueSpec(_Frozen):
    """A technique and its options, as a request names it: ``"quantization"`` or ``{"name": …, "method": …}``."""

    name: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)

    @model_serializer
    def _as_written(self) -> str | dict[str, Any]:
        return {"name": self.name, **self.options} if self.options else self.name


Technique = Annotated[TechniqueSpec, BeforeValidator(_named)]


class DatasetSpec(_Frozen):
    """Where rows come from: ``{"source": "csv", "path": …, "target": …}``; the keys beside `source` are its options."""

    source: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "options" not in value and "source" in value:
            return {"source": value["source"], "options": {k: v for k, v in value.items() if k != "source"}}
        return value

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"source": self.source, **self.options}


class BenchmarkSpec(_Frozen):
    """How latency is measured; a view of a request's fields, with the same names."""

    warmup_iterations: int
    iterations: int
    batch_sizes: tuple[int, ...]
    measure_seconds: float
    threads: int
    provider: str


class OptimizationRequest(_Frozen):
    """What to do with one model, and what it must reach.

    Attributes:
        name: what the report calls the model.
        model: a path or ``package.module:factory``; a live object travels beside the request.
        model_id: the name of a model in a configured registry folder.
        trust: allow what executes code when it is loaded (a pickle).
        validation_dataset: the rows that judge; live arrays travel beside the request.
        training_dataset: rows to calibrate or train on; live arrays travel beside the request.
        optimizations: the steps of the one variant, in order, or ``auto``.
        variants: several named pipelines instead.
        technique_options: defaults for the steps of a name, written as ``quantization_config = {…}``.
        accuracy_threshold: the least accuracy ratio to the original, 0 to 1.
        accuracy_decision: whether the ratio itself decides, or the lower limit of its interval.
        metric: a metric's name or ``package.module:function``; by task if None.
        metric_direction: whether more of an own metric is better.
        warmup_iterations: untimed calls before the timed ones.
        iterations: timed calls a batch size and arm.
        batch_sizes: rows per call.
        measure_seconds: what all measuring of the request may take, in seconds.
        threads: intra-op threads of every arm.
        provider: the execution provider, asserted after the session exists.
        opset: the ONNX opset of the default domain to write.
        max_time_minutes: hard deadline of the optimization, in minutes.
        tensorrt_workspace_gb: TensorRT's workspace memory in GB.
        budget: limits such as ``p95<5ms`` (at the first batch size), ``p99@batch32<40ms``, ``size<50MB``, as written.
        max_slowdown: the slow-down against the baseline that is surely caught, in percent or as a text ``5%``.
        gate: whether a proven regression fails (``on``), an undecided one too (``strict``), or neither (``warn``).
        gate_percentiles: the percentiles that the gate judges beside p50: p95, p99.
        baseline: what the candidate is compared with: ``auto``, ``none``, a folder, a bundle or a git ref.
        quick: fewer iterations, every latency check advisory.
        random_seed: of whatever is random.
    """

    name: Annotated[str, Field(min_length=1, max_length=300)] = "model"
    model: str | None = None
    model_id: str | None = None
    trust: Annotated[bool, Field(strict=True)] = False
    validation_dataset: DatasetSpec | None = None
    training_dataset: DatasetSpec | None = None
    optimizations: tuple[Technique, ...] | Literal["auto"] = (TechniqueSpec(name=CONVERSION),)
    variants: dict[Annotated[str, Field(min_length=1, max_length=300)], tuple[Technique, ...]] = Field(
        default_factory=dict
    )
    technique_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    accuracy_threshold: Ratio = 0.99
    accuracy_decision: Literal["point", "lower_bound"] = "point"
    metric: str | None = None
    metric_direction: Literal["higher", "lower"] | None = None
    warmup_iterations: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] = 100
    iterations: Count = 1000
    batch_sizes: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=MAX_BATCH_SIZE)], ...], Field(min_length=1)
    ] = (1, 16, 32, 64)
    measure_seconds: Seconds = 60.0
    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    provider: Annotated[str, Field(min_length=1)] = "cpu"
    opset: Annotated[int, Field(strict=True, ge=9, le=26)] = 17
    max_time_minutes: Annotated[float, Field(strict=True, gt=0, le=MAX_MINUTES, allow_inf_nan=False)] = 30.0
    tensorrt_workspace_gb: Annotated[float, Field(strict=True, gt=0, le=MAX_WORKSPACE_GB, allow_inf_nan=False)] = 4.0
    budget: tuple[str, ...] = ()
    max_slowdown: str | float = "5%"
    gate: Literal["strict", "on", "warn"] = "on"
    gate_percentiles: tuple[str, ...] = ("p50",)
    baseline: str = "auto"
    quick: Annotated[bool, Field(strict=True)] = False
    random_seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0

    @model_validator(mode="before")
    @classmethod
    def _quick_counts(cls, value: Any) -> Any:
        return {**QUICK, **value} if isinstance(value, Mapping) and value.get("quick") is True else value

    @model_validator(mode="before")
    @classmethod
    def _gather_technique_options(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        known = cls.model_fields
        options = {key: item for key, item in value.items() if key.endswith(CONFIG_SUFFIX) and key not in known}
        rest = {key: item for key, item in value.items() if key not in options}
        if not options or not isinstance(rest.get("technique_options", {}), Mapping):
            return value
        gathered = {key.removesuffix(CONFIG_SUFFIX): item for key, item in options.items()}
        return {**rest, "technique_options": {**rest.get("technique_options", {}), **gathered}}

    @field_validator("batch_sizes")
    @classmethod
    def _no_batch_size_twice(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a batch size stands twice")
        return value

    @field_validator("max_slowdown")
    @classmethod
    def _slowdown_can_be_read(cls, value: str | float) -> str | float:
        try:
            parse_max_slowdown(value)
        except UsageError as error:
            # The field and its value stand before it in any case.
            message = error.message.removeprefix(f"max_slowdown={printable(repr(value))} ")
            raise ValueError(f"{message} {error.hint}".removesuffix(".")) from None
        return value

    @field_validator("gate_percentiles")
    @classmethod
    def _percentiles_can_be_judged(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in GATE_PERCENTILES:
                hint = did_you_mean(name, GATE_PERCENTILES)
                raise ValueError(f"the gate judges no percentile {name!r}; {hint}".removesuffix("."))
        return value

    @field_validator("budget", mode="before")
    @classmethod
    def _one_budget(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _budgets_can_be_judged(self) -> OptimizationRequest:
        judged: dict[tuple[int, int] | None, str] = {}
        for budget in self.budgets:
            cell = None
            if isinstance(budget, LatencyBudget):
                cell = budget.percentile, budget.batch_size or self.batch_sizes[0]
                least = LEAST_ITERATIONS[budget.percentile]
                # A quick run's latency fails nothing, so it may rest on too few calls.
                if self.iterations < least and not self.quick:
                    raise ValueError(
                        f"budget {budget.text!r} with iterations={self.iterations} is p{budget.percentile} of fewer "
                        f"than {least} samples; set iterations to {least} or more, or drop the budget"
                    )
            if cell in judged:
                raise ValueError(
                    f"budget {budget.text!r} and {judged[cell]!r} limit the same figure; keep the one that holds"
                )
            judged[cell] = budget.text
        return self

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> OptimizationRequest:
        if self.variants and "optimizations" in self.model_fields_set:
            raise ValueError("give optimizations (one variant) or variants (several), not both")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        options = document.pop("technique_options", {})
        document.pop("optimizations" if self.variants else "variants", None)
        return {**document, **{f"{name}{CONFIG_SUFFIX}": item for name, item in options.items()}}

    @property
    def pipelines(self) -> dict[str, tuple[TechniqueSpec, ...]]:
        """The variants by name, each step with the defaults that the request gives for its technique."""
        if self.variants:
            named = self.variants
        else:
            steps = () if self.optimizations == "auto" else self.optimizations
            named = {DEFAULT_VARIANT: steps}
        return {
            name: tuple(
                TechniqueSpec(name=step.name, options={**self.technique_options.get(step.name, {}), **step.options})
                for step in steps
            )
            for name, steps in named.items()
        }

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, read."""
        return tuple(parse_budget(text) for text in self.budget)

    @property
    def slowdown_limits(self) -> SlowdownLimits:
        """`max_slowdown`, read."""
        return parse_max_slowdown(self.max_slowdown)

    @property
    def judged_percentiles(self) -> tuple[int, ...]:
        """What the gate judges, in percent: the median in any case, tails only where they are named."""
        return tuple(percent for name, percent in GATE_PERCENTILES.items() if name in {"p50", *self.gate_percentiles})

    @property
    def benchmark(self) -> BenchmarkSpec:
        """How latency is measured."""
        return BenchmarkSpec(**{field: getattr(self, field) for field in BenchmarkSpec.model_fields})


def parse_request(values: Mapping[str, Any], *, where: str) -> OptimizationRequest:
    """Turn what a door was given into a request.

    Args:
        values: field names and values; ``<technique>_config`` gives a technique's defaults.
        where: what the user wrote them in, for the message: ``pytest.mark.inferopt``.

    Raises:
        UsageError: an unknown name (with a suggestion) or a value out of range.
    """
    try:
        return OptimizationRequest.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _explained(first, where) from None


def _explained(error: Any, where: str) -> UsageError:
    # pydantic names the branch of a union or a validator in the place; the user wrote neither.
    place = ".".join(str(part) for part in error["loc"] if not set(str(part)) & set("[("))
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        hint = did_you_mean(name, OptimizationRequest.model_fields) if len(error["loc"]) == 1 else ""
        return UsageError(f"{where} got {name!r};", hint or "no such field")
    message = error["msg"].removeprefix("Value error, ")
    subject = f"{place}={error['input']!r}: " if place else ""
    return UsageError(f"{where}: {subject}{message}{'' if message.endswith('?') else '.'}")
