"""What of a report the Action tells as outputs and as annotations."""

from __future__ import annotations

import pytest

from steps.annotations import Annotation, annotations_of
from steps.figures import conclusion_of, figures_of, is_regressed, subject_of


@pytest.mark.parametrize(
    ("names", "conclusion", "regressed"),
    [
        (("unchanged", "improved"), "success", False),
        (("unchanged", "new"), "neutral", False),
        (("inconclusive",), "success", False),
        (("unchanged", "regressed"), "failure", True),
        (("missing",), "failure", True),
        ((), "neutral", False),
    ],
)
def test_the_conclusion_is_the_worst_of_all_models(reports, names, conclusion, regressed):
    report = reports.report(*(getattr(reports, name)() for name in names))
    assert (conclusion_of(report), is_regressed(report)) == (conclusion, regressed)


def test_a_regression_that_is_only_warned_of_fails_nothing_and_is_told(reports):
    report = reports.report(reports.regressed(mode="warn"))
    assert (conclusion_of(report), is_regressed(report)) == ("success", True)


def test_a_run_that_lost_a_test_or_failed_by_itself_is_a_failure(reports):
    lost = reports.report(reports.unchanged(), incidents=("a worker died",))
    assert (conclusion_of(lost), conclusion_of(reports.report(reports.unchanged()), 1)) == ("failure", "failure")


def test_the_figures_are_those_of_the_model_that_became_slowest(reports):
    slower = reports.regressed("slower")
    cells = reports.cell("regressed", 1, 0.31), reports.cell("passed", 16, 0.0)
    slowest = reports.result(
        reports.compared("regressed", *cells), name="slowest", gate=reports.gate("regressed"), request=reports.SIZES
    )
    report = reports.report(reports.unchanged(), slower, slowest)
    assert figures_of(report) == {
        "best-variant": "onnx",
        "accuracy-ratio": "1",
        "speedup": "8",
        "p50-ms": "0.5",
        "p95-ms": "0.725",
        "p99-ms": "0.745",
        "slowdown-percent": "31",
        "baseline-sha": "81b4480d5a6f7e8c90123456789abcdef0123456",
    }


def test_where_nothing_regressed_they_are_those_of_the_first_red_model_else_of_the_first(reports):
    red = reports.result(reports.failed_variant(), name="red")
    report = reports.report(reports.unchanged("a"), red)
    assert subject_of(report).name == "red"
    assert subject_of(reports.report(reports.unchanged("a"), reports.new("b"))).name == "a"
    assert subject_of(reports.empty()) is None


def test_where_only_all_cells_together_are_slower_that_is_the_slow_down(reports):
    cells = reports.cell("inconclusive", 1, 0.03), reports.cell("inconclusive", 16, 0.04)
    result = reports.result(
        reports.compared("regressed", *cells), gate=reports.gate("regressed"), request=reports.SIZES
    )
    assert figures_of(reports.report(result))["slowdown-percent"] == "3.4"


def test_what_was_not_measured_is_empty(reports):
    found = figures_of(reports.unmeasured())
    assert found["best-variant"] == "optimized"
    assert not any(found[name] for name in found if name != "best-variant")
    assert figures_of(reports.empty()) == {}


def test_a_red_check_stands_beside_the_line_of_its_test_with_what_to_do(reports):
    result = reports.result(reports.failed_variant(), test_file="tests/test_churn.py", test_line=12)
    assert annotations_of(reports.report(result)) == [
        Annotation(
            "error",
            f"int8: accuracy failed: f1 ratio 0.9868 < 0.99.\nnext: {reports.NEXT_STEP}",
            "pytest-inferopt: churn",
            "tests/test_churn.py",
            12,
        )
    ]


def test_what_nobody_protects_is_a_notice_and_what_is_only_warned_of_a_warning(reports):
    found = annotations_of(reports.report(reports.regressed(mode="warn"), reports.new()))
    assert [(one.level, one.title) for one in found] == [
        ("warning", "pytest-inferopt: churn"),
        ("notice", "pytest-inferopt: new"),
    ]
    assert found[1].message == "not protected: no baseline of test_new at the merge base 81b4480."


def test_after_nine_annotations_of_a_kind_one_says_how_many_more_there_are(reports):
    report = reports.report(*(reports.regressed(f"model {number}") for number in range(12)), incidents=("lost",))
    found = annotations_of(report)
    assert [one.level for one in found] == ["error"] * 10
    assert found[-1].message == "4 more; the job's summary and the report have all of them."
    assert len(annotations_of(reports.report(*(reports.regressed() for _ in range(9))))) == 9
