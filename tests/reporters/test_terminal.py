# ruff: noqa: E501 - a table is as wide as it is
from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.gate_summary import gate_lines
from pytest_inferopt.domain.measured import Accuracy, Conversion, Latency, Speedup
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.report import Report
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, Step, VariantResult
from pytest_inferopt.reporters.terminal import Terminal

HERE = Environment(cpu_model="CPU", cpu_count=2, isa_flags=(), python="3.11.9", system="linux x86_64")
HOSTILE = "\x1b[31m[red]a\nb[/red]:smile:\u202e"


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")


def latency(batch_size, p50, p95, p99, *, advisory=(), iterations=1000, feed=0.0):
    return Latency(
        batch_size=batch_size,
        iterations=iterations,
        iterations_requested=1000,
        warmup_iterations=100,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        cold_call_ms=12.5,
        feed_ms=feed,
        advisory=advisory,
    )


def accuracy(score, ratio=None, interval=None, notes=()):
    return Accuracy(
        metric="f1",
        direction="higher",
        rows=400,
        score=score,
        original=0.912,
        ratio=ratio,
        interval=interval,
        notes=notes,
    )


def speedup(estimate, low, high):
    return {1: Speedup(batch_size=1, estimate=estimate, interval=Interval(low=low, high=high), blocks=32)}


def check(outcome, variant, kind="accuracy", reason="", next_step=""):
    return Check(kind=kind, variant=variant, outcome=outcome, reason=reason, next_step=next_step)


def original(**changes):
    fields = {
        "format": "sklearn",
        "size_bytes": 41_200_000,
        "call": "predict_proba",
        "accuracy": accuracy(0.912),
        "latency": {1: latency(1, 3.906, 4.4, 5.02, feed=0.00012), 32: latency(32, 38.1, 40.0, 44.4)},
    }
    return VariantResult(name="original", role="original", **{**fields, **changes})


def converted(name="onnx", **changes):
    fields = {
        "format": "onnx",
        "size_bytes": 9_800_000,
        "call": "InferenceSession.run",
        "steps": (
            Step(name="onnx_conversion", seconds=1.0, size_before_bytes=2, size_after_bytes=1, notes=("opset 17.",)),
        ),
        "conversion": Conversion(opset=17, rows=400),
        "accuracy": accuracy(0.912, 1.0, Interval(low=0.99, high=1.01), notes=("one class is rare",)),
        "latency": {1: latency(1, 0.062, 0.71, 0.94), 32: latency(32, 5.9, 6.0, 1234.5)},
        "speedup": speedup(6.3, 6.1, 6.4),
        "checks": (
            check("passed", name, "conversion", "400 rows agree"),
            check("passed", name),
        ),
    }
    return VariantResult(name=name, **{**fields, **changes})


def result(*variants, name="churn", best=None, notes=(), context=(), request=None, **changes):
    return RunResult(
        name=name,
        request=OptimizationRequest.model_validate(request or {}),
        environment=HERE,
        original=changes.pop("original", original()),
        variants={variant.name: variant for variant in variants},
        context=context,
        best=best,
        notes=notes,
    )


def rendered(*results):
    """What is printed, without the spaces at the ends of lines."""
    return "\n".join(
        line.rstrip() for line in Terminal().render(Report(results=results, environment=HERE)).splitlines()
    )


def text(expected):
    return dedent(expected).strip("\n")


def title(name):
    return f" inferopt: {name} ".center(140, "=")


def test_a_run_is_a_table_and_what_each_step_did_below_it():
    slow = converted(
        "int8",
        size_bytes=2_500,
        steps=(),
        accuracy=accuracy(0.9, 0.98684),
        latency={1: latency(1, 12.34, 99.96, 100.4, advisory=("p95", "p99"), iterations=40)},
        speedup=speedup(0.317, 0.3, 0.33),
        checks=(
            check("passed", "int8", "conversion", "400 rows agree"),
            check("failed", "int8", reason="f1 ratio 0.9868 < 0.99.", next_step="Leave a layer in float."),
        ),
    )
    lost = VariantResult(
        name="fp16",
        checks=(check("not_measured", "fp16", "conversion", "step 'fp16': the worker crashed (SIGSEGV)."),),
    )
    own = original().model_copy(
        update={
            "name": "original (n_jobs=-1)",
            "role": "context",
            "accuracy": None,
            "latency": {1: latency(1, 2.0, 3.0, 4.0)},
            "speedup": speedup(1.9, None, None),
        }
    )
    found = result(converted(), slow, lost, best="onnx", notes=("time ran out at batch 32",), context=(own,))
    assert rendered(found) == title("churn") + "\n" + text("""
        variant                  size  f1                             batch 1 p50/p95/p99 ms  batch 32 p50  speed-up           verdict
        original sklearn      41.2 MB  0.9120                         3.91 / 4.40 / 5.02              38.1  –                  reference
        original (n_jobs=-1)  41.2 MB  –                              2.00 / 3.00 / 4.00                 –  1.9×               for context
        onnx                   9.8 MB  0.9120 (1.0000 [0.990,1.010])  0.0620 / 0.710 / 0.940          5.90  6.3× [6.1,6.4]     passed, best
        int8                   2.5 kB  0.9000 (0.9868)                12.3 / 100~ / 100~                 –  0.32× [0.30,0.33]  failed: accuracy
        fp16                        –  –                              –                                  –  –                  not measured
          timed: original predict_proba; batch 1, apart from the percentiles: original cold call 12.5 ms, feed 0.0001 ms; onnx cold call 12.5 ms, feed 0.0000 ms; int8 cold call 12.5 ms, feed 0.0000 ms, 40 calls only
          int8: accuracy failed: f1 ratio 0.9868 < 0.99.
            next: Leave a layer in float.
          fp16: conversion not measured: step 'fp16': the worker crashed (SIGSEGV).
          onnx, int8: opset 17, 400 rows agree
          onnx: onnx_conversion: opset 17.
          onnx: one class is rare
          on the Pareto front of p95 at batch 1, accuracy and size: onnx
          time ran out at batch 32
    """)


def test_budgets_are_told_with_their_figures_even_where_they_passed():
    def budget(outcome, subject, reason, next_step=""):
        return check(outcome, "onnx", "budget", reason, next_step).model_copy(update={"subject": subject})

    figures = "0.712 ms [0.704, 0.730] over 6 processes of 200 calls."
    found = result(
        converted(
            checks=(
                check("passed", "onnx", reason="not told"),
                budget("passed", "p95<5ms", figures),
                budget("advisory", "p50<0.7ms", f"not certain: {figures}", "Leave more room."),
                budget("failed", "size<1MB", "9.8 MB, 9,800,000 bytes.", "Shrink it."),
            )
        )
    ).model_copy(update={"probe_ms": 1.934})
    drawn = rendered(found)
    assert drawn.splitlines()[3].endswith("failed: budget size<1MB")
    assert text("""
          onnx: budget size<1MB failed: 9.8 MB, 9,800,000 bytes.
            next: Shrink it.
          onnx: budget p50<0.7ms advisory: not certain: 0.712 ms [0.704, 0.730] over 6 processes of 200 calls.
            next: Leave more room.
          onnx: budget p95<5ms passed: 0.712 ms [0.704, 0.730] over 6 processes of 200 calls.
          budgets: this machine took 1.93 ms for a fixed probe
    """) in dedent(drawn.partition("timed:")[2].partition("\n")[2])
    assert "not told" not in drawn


def test_the_only_variant_that_passes_is_not_called_the_best():
    assert "passed, best" not in rendered(result(converted(), best="onnx"))
    assert "passed, best" in rendered(result(converted(), converted("int8"), best="onnx"))


def test_a_quick_run_marks_every_latency():
    quick = rendered(result(converted(), best="onnx", request={"quick": True}))
    assert quick == title("churn") + "\n" + text("""
        variant              size  f1                             batch 1 p50/p95/p99 ms     batch 16 p50  speed-up         verdict
        original sklearn  41.2 MB  0.9120                         3.91~ / 4.40~ / 5.02~                 –  –                reference
        onnx               9.8 MB  0.9120 (1.0000 [0.990,1.010])  0.0620~ / 0.710~ / 0.940~             –  6.3× [6.1,6.4]~  passed
          timed: original predict_proba; batch 1, apart from the percentiles: original cold call 12.5 ms, feed 0.0001 ms; onnx cold call 12.5 ms, feed 0.0000 ms
          onnx: opset 17, 400 rows agree
          onnx: onnx_conversion: opset 17.
          onnx: one class is rare
          quick run: every latency figure is advisory (~)
    """)


def test_an_original_that_was_not_measured_leaves_its_variants_unmeasured():
    reason = "the original itself rejects the validation rows: ValueError: Input X contains NaN."
    found = result(
        VariantResult(name="optimized"),
        original=VariantResult(
            name="original",
            role="original",
            format="sklearn",
            size_bytes=999,
            checks=(check("not_measured", "original", "conversion", reason),),
        ),
    )
    assert rendered(found) == title("churn") + "\n" + text("""
        variant             size  accuracy  batch 1 p50/p95/p99 ms  batch 32 p50  speed-up  verdict
        original sklearn  1.0 kB  –         –                                  –  –         not measured
        optimized              –  –         –                                  –  –         not measured: the original was not
          original: conversion not measured: the original itself rejects the validation rows: ValueError: Input X contains NaN.
    """)


def test_a_score_without_a_figure_and_a_size_without_a_file_are_dashes():
    bare = converted(
        accuracy=accuracy(None), size_bytes=None, latency={}, speedup={1: speedup(None, None, None)[1]}, checks=()
    )
    row = rendered(result(bare)).splitlines()[3].split()
    assert row == ["onnx", "–", "–", "–", "–", "–", "not", "measured:", "the", "original", "was", "not"]


def test_nothing_that_was_timed_is_said_so():
    found = result(converted(latency={}, speedup={}), original=original(latency={}))
    assert "  timed: original predict_proba; nothing was timed" in rendered(found)


def test_a_percentile_that_is_not_there_is_a_dash():
    bare = converted(latency={1: latency(1, 0.5, None, None)})
    assert "0.500 / – / –" in rendered(result(bare)).splitlines()[3]


def test_one_batch_size_has_one_column():
    header = rendered(result(converted(), request={"batch_sizes": [1]})).splitlines()[1]
    assert (header.count("batch"), "batch 1 p50/p95/p99 ms" in header) == (1, True)


@pytest.mark.parametrize(("sizes", "second"), [([1, 16, 32, 64], 32), ([1, 16, 64], 64), ([32, 1], 1)])
def test_the_second_batch_size_is_32_where_it_was_measured_and_else_the_last(sizes, second):
    assert f"batch {second} p50" in rendered(result(converted(), request={"batch_sizes": sizes})).splitlines()[1]


def test_what_two_variants_have_in_common_is_said_once():
    said = rendered(result(converted("a"), converted("b"))).splitlines()
    assert [line for line in said if "one class is rare" in line] == ["  a, b: one class is rare"]


def test_several_models_are_drawn_one_below_the_other():
    one, two = result(converted(), name="one"), result(converted(), name="two")
    assert rendered(one, two) == f"{rendered(one)}\n{rendered(two)}"
    assert rendered() == ""


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 140, 180, 250])
def test_a_narrow_terminal_shows_fewer_columns_and_never_half_a_figure(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    table = rendered(result(converted(), best="onnx")).splitlines()[1:4]
    assert max(map(len, table)) <= max(columns, 80)
    assert {"3.91", "0.0620"} <= {word for line in table for word in line.split()}
    assert "…" not in "".join(table)
    assert "6.3×" in table[2]
    assert table[2].endswith("passed")


def test_intervals_are_the_detail_that_a_narrow_terminal_leaves_out(monkeypatch):
    shown = []
    for columns in ("80", "180"):
        monkeypatch.setenv("COLUMNS", columns)
        row = rendered(result(converted(), best="onnx")).splitlines()[3]
        shown.append([figure in row for figure in ("(1.0000 [0.990,1.010])", "6.3× [6.1,6.4]", "6.3×", "5.90")])
    assert shown == [[False, False, True, False], [True, True, True, True]]


def test_a_name_too_long_for_any_table_is_cut_and_the_table_still_drawn(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = rendered(result(converted("n" * 300), best="n" * 300)).splitlines()[1:4]
    assert max(map(len, table)) <= 80
    assert "nnnn" in table[2]
    assert "…" in table[2]


def test_hostile_names_are_inert():
    hostile = converted(
        HOSTILE,
        steps=(Step(name=HOSTILE, seconds=0, size_before_bytes=1, size_after_bytes=1, notes=(HOSTILE,)),),
        checks=(check("refused", HOSTILE, "conversion", HOSTILE, HOSTILE),),
        accuracy=accuracy(0.9, 0.9, notes=(HOSTILE,)),
    )
    metric = accuracy(0.912).model_copy(update={"metric": HOSTILE})
    found = result(
        hostile,
        name=HOSTILE,
        original=original(call=HOSTILE, accuracy=metric, format=HOSTILE),
        notes=(HOSTILE,),
    )
    drawn = Terminal().render(Report(results=(found,), environment=HERE))
    inert = r"\x1b[31m[red]a\nb[/red]:smile:\u202e"
    # Title, metric, original, variant, call, aside, three for the check, its next step, step and its note, two notes.
    assert drawn.count(inert) >= 12
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert not [line for line in drawn.splitlines() if line.startswith("b[/red]")]


# --- beside a baseline ------------------------------------------------------------------------------------------


def shown(*results):
    """The lines of these results, without titles, calls and what the steps did."""
    left_out = ("==", "  timed:", "  onnx: opset", "  onnx: onnx_conversion", "  onnx, int8:", "  on the Pareto")
    return [line for line in rendered(*results).splitlines() if not line.startswith(left_out)]


def test_a_gate_is_a_column_and_below_the_table_its_verdict_with_what_is_behind_it(reports):
    table = """
        variant              size  f1                             batch 1 p50/p95/p99 ms  batch 16 p50  speed-up        vs base             verdict
        original sklearn  41.2 MB  0.9120                         4.00 / 5.80 / 5.96                 –  –               –                   reference
        onnx               9.8 MB  0.9120 (1.0000 [0.990,1.010])  0.500 / 0.725 / 0.745              –  8.0× [7.8,8.2]  +0.3 % [-0.8,+1.4]  passed, best
        int8               9.8 MB  0.9120 (1.0000 [0.990,1.010])  0.500 / 0.725 / 0.745              –  8.0× [7.8,8.2]  +0.4 % [-0.7,+1.5]  regressed
    """
    slow = "int8 at batch 16 is 7.2 % slower [6.1, 8.3] than merge base 81b4480, allowed 2.0 %"
    assert shown(reports.regressed()) == [
        *text(table).splitlines(),
        *(f"  {line}" for line in gate_lines(reports.regressed())),
        f"inferopt: 1 of 1 model is red: churn: {slow}.",
    ]


@pytest.mark.parametrize(
    ("build", "column", "verdict"),
    [
        ("unchanged", "same file", "passed"),
        ("inconclusive", "+0.3 % [-0.8,+1.4]", "passed"),
        ("contaminated", "+6.1 % [+5.0,+7.2]", "passed"),
        ("improved", "-9.0 % [-10.1,-7.9]", "passed"),
        ("with_tails", "+0.3 % [-0.8,+1.4]", "regressed"),
    ],
)
def test_the_column_has_the_change_or_why_there_is_none(reports, build, column, verdict):
    row = rendered(getattr(reports, build)()).splitlines()[3]
    cells = [cell.strip() for cell in row.partition("8.0× [7.8,8.2]")[2].split("  ") if cell]
    assert cells == [column, verdict]


def test_where_nothing_was_ever_saved_there_is_no_such_column(reports):
    assert "vs base" not in rendered(reports.new())


def test_what_is_missing_or_cannot_be_compared_is_told_by_its_check_with_what_to_do(reports):
    assert shown(reports.missing())[-6:] == [
        (
            "  gate: unchanged: the same files as merge base 81b4480, so nothing was measured; "
            "fp16 of merge base 81b4480 is missing"
        ),
        "    baseline merge base 81b4480 (main, saved 2030-01-01 02:03 UTC)",
        "  accept: pytest --inferopt --inferopt-update-baseline",
        "  fp16: regression missing: merge base 81b4480 has it.",
        "    next: Ask for it again.",
        "inferopt: 1 of 1 model is red: gone: fp16 of merge base 81b4480 is missing.",
    ]


def test_a_gate_that_only_warns_is_green_and_says_what_it_would_have_failed(reports):
    lines = shown(reports.regressed(mode="warn"))
    assert lines[3].endswith("  warned: regressed")
    assert lines[-1].startswith("inferopt: 1 model passed; warned: churn: int8 at batch 16 is 7.2 % slower")


def test_a_session_says_whom_it_does_not_protect_and_how_far_it_can_be_wrong(reports):
    assert rendered(reports.improved(), reports.improved("b"), reports.new()).splitlines()[-2:] == [
        "inferopt: 3 models passed; new is not protected: no baseline.",
        "2 gates, each red by chance in at most 1 %: at most 2 % for the session",
    ]
    assert rendered(reports.new()).splitlines()[-1] == "inferopt: 1 model passed; not protected: no baseline."


@pytest.mark.parametrize("columns", [80, 100, 110, 120, 130, 140, 160, 180, 250])
def test_a_narrow_terminal_leaves_out_the_interval_of_the_change_and_then_the_change(monkeypatch, reports, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    table = rendered(reports.improved()).splitlines()[1:4]
    assert max(map(len, table)) <= columns
    assert "…" not in "".join(table)
    assert table[2].endswith("passed")
    assert ("-9.0 %" in table[2], "-9.0 % [-10.1,-7.9]" in table[2]) == (columns > 80, columns >= 110)


def test_hostile_names_of_a_gate_are_inert(reports):
    drawn = Terminal().render(reports.hostile(HOSTILE))
    # A name in the base, the branch, the notes, the operators and the reasons of a gate.
    assert drawn.count(r"\x1b[31m[red]a\nb[/red]:smile:\u202e") > 40
    assert not set("\x1b\u202e") & set(drawn)
    assert not [line for line in drawn.splitlines() if line.startswith("b[/red]")]
