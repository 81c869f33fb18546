"""From a request to a plan: each variant a chain of steps whose formats fit; nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from pytest_inferopt.domain.request import CONVERSION, OptimizationRequest, TechniqueSpec
from pytest_inferopt.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_inferopt.registry import Registry

__all__ = ["PlannedStep", "plan"]

ONNX = "onnx"
MAX_STEPS_TO_REORDER = 6


@dataclass(frozen=True)
class PlannedStep:
    """A step of a variant.

    Attributes:
        spec: what to do.
        takes: the format that goes in, `gives` the one that comes out.
        was_inserted: whether the request does not name it, but a later step needs it.
    """

    spec: TechniqueSpec
    takes: str
    gives: str
    was_inserted: bool = False


def plan(request: OptimizationRequest, native: str, registry: Registry) -> dict[str, tuple[PlannedStep, ...]]:
    """The steps of every variant for a model whose own format is `native`.

    A missing conversion is inserted before the first step that wants ONNX; the user's order is kept.

    Raises:
        UsageError: a step is unknown, is set up wrongly, or does not take what it would get; the message has the
            list that would work, if there is one.
    """
    pipelines = request.pipelines
    for name in request.technique_options:
        if name != CONVERSION and name not in registry.names("techniques"):
            raise _unknown(name, registry, f"{name}_config: ")
    return {variant: _chain(variant, steps, native, registry) for variant, steps in pipelines.items()}


def _chain(variant: str, steps: Sequence[TechniqueSpec], native: str, registry: Registry) -> tuple[PlannedStep, ...]:
    if not steps:
        raise UsageError(f"variant {variant!r} has no steps.", f'Name at least one: ["{CONVERSION}"].')
    chain: list[PlannedStep] = []
    current = native
    for number, spec in enumerate(steps):
        given = _gives(spec, current, registry)
        if (spoiler := _spoiler(spec, steps[:number], registry)) is not None:
            hint = _working_order_told(steps, native, registry)
            raise UsageError(f"variant {variant!r}: {_label(spec)} cannot come after {spoiler};", hint)
        if given is None and (given := _gives_once_converted(spec, current, registry)) is not None:
            chain.append(PlannedStep(TechniqueSpec(name=CONVERSION), current, ONNX, was_inserted=True))
            current = ONNX
        if given is None:
            raise _misfit(variant, spec, current, steps, native, registry)
        chain.append(PlannedStep(spec, current, given))
        current = given
    return tuple(chain)


def _gives(spec: TechniqueSpec, takes: str, registry: Registry) -> str | None:
    """What a step makes of a format; conversion is the planner's own step, since every framework has one.

    What no framework owns (a compiled engine) cannot be converted back.
    """
    if spec.name == CONVERSION:
        if spec.options:
            raise UsageError(f"{CONVERSION} has no option {next(iter(spec.options))!r};", "the opset is opset=17.")
        return ONNX if takes in registry.names("frameworks") else None
    known = {*registry.names("techniques"), *(lost.name for lost in registry.broken if lost.kind == "techniques")}
    if spec.name not in known:
        raise _unknown(spec.name, registry)
    return registry.technique(spec).gives(takes)


def _gives_once_converted(spec: TechniqueSpec, current: str, registry: Registry) -> str | None:
    is_convertible = current != ONNX and current in registry.names("frameworks")
    return _gives(spec, ONNX, registry) if is_convertible else None


def _unknown(name: str, registry: Registry, where: str = "") -> UsageError:
    return UsageError(f"{where}no technique named {name!r};", did_you_mean(name, technique_names(registry)))


def technique_names(registry: Registry) -> tuple[str, ...]:
    """All that a request may name as a step."""
    return tuple(sorted((CONVERSION, *registry.names("techniques"))))


def _misfit(
    variant: str,
    spec: TechniqueSpec,
    current: str,
    steps: Sequence[TechniqueSpec],
    native: str,
    registry: Registry,
) -> UsageError:
    formats = (ONNX, *registry.names("frameworks"))
    takes = sorted({known for known in formats if _gives(spec, known, registry) is not None})
    return UsageError(
        f"variant {variant!r}: {_label(spec)} takes {' or '.join(takes) or 'nothing'}, but gets {current};",
        _working_order_told(steps, native, registry),
    )


def _label(spec: TechniqueSpec) -> str:
    method = spec.options.get("method")
    return f"{spec.name} ({method})" if method else spec.name


def _spoiler(spec: TechniqueSpec, before: Iterable[TechniqueSpec], registry: Registry) -> str | None:
    """The step among those before that leaves nothing for this one to work on."""
    made = (step for step in before if step.name != CONVERSION)
    return next((step.name for step in made if spec.name in registry.technique(step).spoils), None)


def _working_order_told(steps: Sequence[TechniqueSpec], native: str, registry: Registry) -> str:
    working = _working_order(steps, native, registry)
    names = ", ".join(f'"{step.name}"' for step in working or ())
    return f"This order works: [{names}]." if working else "No order of these steps works; leave it out."


def _working_order(steps: Sequence[TechniqueSpec], native: str, registry: Registry) -> Sequence[TechniqueSpec] | None:
    if len(steps) > MAX_STEPS_TO_REORDER:
        return None
    return next((order for order in permutations(steps) if _fits(order, native, registry)), None)


def _fits(steps: Sequence[TechniqueSpec], native: str, registry: Registry) -> bool:
    current = native
    for number, spec in enumerate(steps):
        given = _gives(spec, current, registry) or _gives_once_converted(spec, current, registry)
        if given is None or _spoiler(spec, steps[:number], registry) is not None:
            return False
        current = given
    return True
