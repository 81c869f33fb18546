from __future__ import annotations

from typing import ClassVar

import pytest

from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.domain.request import TechniqueSpec, parse_request
from pytest_inferopt.engine.pipeline import PlannedStep, plan
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.registry import Broken, Registry


class Step(Technique):
    """Takes some formats and gives others."""

    formats: ClassVar[dict[str, str]]

    def gives(self, takes):
        return self.formats.get(takes)

    def apply(self, model, bench):
        raise NotImplementedError


class Int8(Step):
    """Of ONNX files; trained in, of the native model."""

    name: ClassVar[str] = "int8"

    @property
    def spoils(self):
        return ("tidy",)

    method: str = "dynamic"

    def gives(self, takes):
        wanted = "pytorch" if self.method == "qat" else "onnx"
        return takes if takes == wanted else None


class Fp16(Step):
    """Of ONNX files alone."""

    name: ClassVar[str] = "fp16"
    formats: ClassVar[dict[str, str]] = {"onnx": "onnx"}


class Prune(Step):
    """Of whatever has weights."""

    name: ClassVar[str] = "prune"
    formats: ClassVar[dict[str, str]] = {"pytorch": "pytorch", "onnx": "onnx"}


class Compile(Step):
    """Makes an engine, after which nothing follows."""

    name: ClassVar[str] = "compile"
    formats: ClassVar[dict[str, str]] = {"onnx": "engine"}


class Tidy(Step):
    """Finds nothing to tidy once weights are integers."""

    name: ClassVar[str] = "tidy"
    formats: ClassVar[dict[str, str]] = {"onnx": "onnx"}

    @property
    def spoils(self):
        return ("tidy",)


class Impossible(Step):
    """Takes nothing."""

    name: ClassVar[str] = "impossible"
    formats: ClassVar[dict[str, str]] = {}


REGISTRY = Registry(
    {
        "frameworks": {"onnx": None, "pytorch": None, "sklearn": None},
        "techniques": {technique.name: technique for technique in (Int8, Fp16, Prune, Compile, Impossible, Tidy)},
    },
    (Broken("techniques", "pytest_inferopt.techniques.lost", "ImportError: gone"), Broken("reporters", "x.txt", "")),
)
QAT = {"name": "int8", "method": "qat"}
CONVERT = TechniqueSpec(name="onnx_conversion")
ALL = "compile, fp16, impossible, int8, onnx_conversion, prune, tidy"


def planned(native="pytorch", **values):
    return plan(parse_request(values, where="test"), native, REGISTRY)


def chain(*steps, native="pytorch"):
    """What becomes of one variant: (step, takes, gives, inserted) each."""
    (found,) = planned(native, optimizations=list(steps)).values()
    return [(step.spec.name, step.takes, step.gives, step.was_inserted) for step in found]


def message(native="pytorch", **values):
    with pytest.raises(UsageError) as caught:
        planned(native, **values)
    return str(caught.value)


def test_a_plan_is_a_chain_of_steps_whose_formats_fit():
    assert planned(optimizations=[QAT, "onnx_conversion", "fp16", "compile"]) == {
        "optimized": (
            PlannedStep(TechniqueSpec(name="int8", options={"method": "qat"}), "pytorch", "pytorch"),
            PlannedStep(CONVERT, "pytorch", "onnx"),
            PlannedStep(TechniqueSpec(name="fp16"), "onnx", "onnx"),
            PlannedStep(TechniqueSpec(name="compile"), "onnx", "engine"),
        )
    }


def test_a_missing_conversion_is_inserted_and_shown():
    assert chain("int8") == [("onnx_conversion", "pytorch", "onnx", True), ("int8", "onnx", "onnx", False)]


def test_a_conversion_is_inserted_only_where_it_is_needed():
    assert chain("prune", "fp16", "int8") == [
        ("prune", "pytorch", "pytorch", False),
        ("onnx_conversion", "pytorch", "onnx", True),
        ("fp16", "onnx", "onnx", False),
        ("int8", "onnx", "onnx", False),
    ]


def test_a_model_that_is_onnx_already_needs_no_conversion_but_may_ask_for_it():
    assert chain("fp16", native="onnx") == [("fp16", "onnx", "onnx", False)]
    assert chain("onnx_conversion", native="onnx") == [("onnx_conversion", "onnx", "onnx", False)]


@pytest.mark.parametrize("steps", [("prune", "onnx_conversion"), ("onnx_conversion", "prune")])
def test_the_users_order_is_kept(steps):
    assert [step for step, *_ in chain(*steps)] == list(steps)


def test_every_variant_is_a_chain_with_the_defaults_of_its_techniques():
    found = planned(
        variants={"a": ["int8"], "b": [{"name": "int8", "method": "dynamic"}, "onnx_conversion"]},
        int8_config={"method": "qat"},
    )
    assert {name: [step.spec for step in steps] for name, steps in found.items()} == {
        "a": [TechniqueSpec(name="int8", options={"method": "qat"})],
        "b": [CONVERT, TechniqueSpec(name="int8", options={"method": "dynamic"}), CONVERT],
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"variants": {"int8-qat": ["onnx_conversion", QAT]}},
            (
                "variant 'int8-qat': int8 (qat) takes pytorch, but gets onnx; "
                'This order works: ["int8", "onnx_conversion"].'
            ),
        ),
        (
            {"optimizations": ["compile", "fp16"]},
            'variant \'optimized\': fp16 takes onnx, but gets engine; This order works: ["fp16", "compile"].',
        ),
        (
            {"optimizations": ["compile", "prune"]},
            (
                "variant 'optimized': prune takes onnx or pytorch, but gets engine; "
                'This order works: ["prune", "compile"].'
            ),
        ),
        (
            {"optimizations": ["compile", "onnx_conversion"]},
            (
                "variant 'optimized': onnx_conversion takes onnx or pytorch or sklearn, but gets engine; "
                'This order works: ["onnx_conversion", "compile"].'
            ),
        ),
        (
            {"optimizations": ["compile", "compile"]},
            "variant 'optimized': compile takes onnx, but gets engine; No order of these steps works; leave it out.",
        ),
        (
            {"optimizations": ["impossible"]},
            (
                "variant 'optimized': impossible takes nothing, but gets pytorch; "
                "No order of these steps works; leave it out."
            ),
        ),
        (
            {"optimizations": ["fp16", "fp16", "fp16", "fp16", "prune", "compile", "fp16"]},
            "variant 'optimized': fp16 takes onnx, but gets engine; No order of these steps works; leave it out.",
        ),
    ],
)
def test_a_misfit_is_refused_with_the_order_that_would_work(values, expected):
    assert message(**values) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            ("int8", "tidy"),
            'variant \'optimized\': tidy cannot come after int8; This order works: ["tidy", "int8"].',
        ),
        (
            ("int8", "fp16", "tidy"),
            'variant \'optimized\': tidy cannot come after int8; This order works: ["fp16", "tidy", "int8"].',
        ),
        (
            ("tidy", "tidy"),
            "variant 'optimized': tidy cannot come after tidy; No order of these steps works; leave it out.",
        ),
        (
            ("compile", "int8", "tidy"),
            'variant \'optimized\': int8 takes onnx, but gets engine; This order works: ["tidy", "int8", "compile"].',
        ),
    ],
)
def test_a_step_that_finds_nothing_left_to_do_is_refused_with_the_order_that_would_work(steps, expected):
    assert message(optimizations=list(steps)) == expected


def test_training_in_needs_the_framework_that_trains():
    assert message("sklearn", optimizations=[QAT]) == (
        "variant 'optimized': int8 (qat) takes pytorch, but gets sklearn; No order of these steps works; leave it out."
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"optimizations": ["int88"]}, "no technique named 'int88'; did you mean 'int8'?"),
        (
            {"optimizations": ["onnx_convertion"]},
            "no technique named 'onnx_convertion'; did you mean 'onnx_conversion'?",
        ),
        ({"optimizations": ["zzz"]}, f"no technique named 'zzz'; known: {ALL}"),
        ({"optimizations": ["txt"]}, f"no technique named 'txt'; known: {ALL}"),
        (
            {"optimizations": ["fp16"], "pruen_config": {}},
            "pruen_config: no technique named 'pruen'; did you mean 'prune'?",
        ),
        (
            {"optimizations": [{"name": "int8", "metod": 1}]},
            "technique 'int8' has no option 'metod'; did you mean 'method'?",
        ),
        (
            {"optimizations": [{"name": "onnx_conversion", "opset": 13}]},
            "onnx_conversion has no option 'opset'; the opset is opset=17.",
        ),
        (
            {"optimizations": ["onnx_conversion"], "onnx_conversion_config": {"opset": 13}},
            "onnx_conversion has no option 'opset'; the opset is opset=17.",
        ),
        ({"optimizations": []}, "variant 'optimized' has no steps. Name at least one: [\"onnx_conversion\"]."),
        ({"variants": {"a": ["fp16"], "b": []}}, "variant 'b' has no steps. Name at least one: [\"onnx_conversion\"]."),
    ],
)
def test_what_no_plan_can_be_made_of_is_a_usage_error(values, expected):
    assert message(**values) == expected


def test_defaults_for_a_technique_that_no_variant_uses_are_no_error():
    assert chain("fp16", native="onnx") == [("fp16", "onnx", "onnx", False)]
    assert planned(optimizations=["fp16"], int8_config={"method": "qat"}) == planned(optimizations=["fp16"])


def test_a_broken_technique_says_why_it_is_broken():
    with pytest.raises(NotMeasuredError) as caught:
        planned(optimizations=["lost"])
    assert str(caught.value) == "technique 'lost' is broken: ImportError: gone"
