"""What a workflow may ask for, and what it is told where it asks for something else."""

from __future__ import annotations

import pytest

from steps.inputs import NAME_HINT, Inputs, read_inputs
from steps.workflow import StepError

NOTHING = Inputs(
    activity="auto",
    pytest_args=(),
    extras=(),
    working_directory=".",
    options=(),
    baseline="auto",
    comment="always",
    comment_id="",
    job_summary=True,
    report_name="inferopt-report",
)


def read(**given):
    return read_inputs({f"INPUT_{name.upper()}": value for name, value in given.items()})


def test_what_is_left_out_sets_nothing_of_the_project():
    assert read_inputs({}) == read(batch_sizes=" ", budget="\n", gate="") == NOTHING


def test_options_are_those_of_the_plugin_and_budgets_stand_on_lines_or_between_commas():
    inputs = read(
        batch_sizes="1,16",
        accuracy_threshold="0.98",
        max_slowdown="3%",
        gate="strict",
        budget="p95<5ms, size<50MB\np99@batch32<40ms\n",
    )
    assert inputs.options == (
        "--inferopt-batch-sizes=1,16",
        "--inferopt-accuracy-threshold=0.98",
        "--inferopt-max-slowdown=3%",
        "--inferopt-gate=strict",
        "--inferopt-budget=p95<5ms",
        "--inferopt-budget=size<50MB",
        "--inferopt-budget=p99@batch32<40ms",
    )


def test_arguments_are_taken_apart_as_a_shell_does_it():
    assert read(pytest_args="tests/models -k 'forest or network'\n-m \"not slow\"").pytest_args == (
        "tests/models",
        "-k",
        "forest or network",
        "-m",
        "not slow",
    )


def test_extras_stand_between_commas():
    assert read(extras="cpu, sklearn,xgboost").extras == ("cpu", "sklearn", "xgboost")


def test_an_artifact_has_the_name_of_its_comment():
    assert read(report_name="gate").artifact_name == "gate"
    assert read(report_name="gate", comment_id="py3.12").artifact_name == "gate-py3.12"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"activity": "post"}, "input activity: 'post'. Write one of auto, run, comment, merge, save-baseline."),
        ({"gate": "off"}, "input gate: 'off'. Write one of on, strict, warn."),
        ({"baseline": "main"}, "input baseline: 'main'. Write one of auto, cache, rebuild, none."),
        ({"job_summary": "yes"}, "input job-summary: 'yes'. Write one of true, false."),
        ({"pytest_args": "-k 'forest"}, 'input pytest-args: "-k \'forest": No closing quotation. Close the quote.'),
        (
            {"pytest_args": "--inferopt-store=here"},
            "input pytest-args: '--inferopt-store=here' is set by the Action itself. Leave it out.",
        ),
        ({"extras": "cpu,-e ."}, "input extras: '-e .' is no extra. Write names between commas: cpu,sklearn."),
        (
            {"comment_id": "py 3.12"},
            f"input comment-id: 'py 3.12' cannot be a part of an artifact's name. {NAME_HINT}",
        ),
        ({"comment_id": "a" * 65}, f"input comment-id: {'a' * 65!r} cannot be"),
        ({"working_directory": "a\0b"}, "input working-directory holds a NUL character. Write it anew."),
    ],
)
def test_a_wrong_value_is_told_with_its_input_and_what_to_write(given, message):
    with pytest.raises(StepError) as raised:
        read(**given)
    assert str(raised.value).startswith(message)
