"""Convert every scikit-learn estimator that skl2onnx claims, and the boosters, on real data.

Run ``python -m benchmarks.conversion``; it writes ``benchmarks/conversion/table.md``. Names as arguments run these
estimators alone and print their rows.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.conversion.cases import Case, all_cases
from benchmarks.machine import provenance
from pytest_inferopt import InferenceOptimizer, InferoptError

if TYPE_CHECKING:
    from pytest_inferopt import RunResult

TABLE = Path(__file__).parent / "table.md"
EXPLAINED = "## What did not convert, or converts to something else"
HEADER = """# Conversion

Every estimator of scikit-learn that skl2onnx lists as supported, and XGBoost's and LightGBM's models, each fitted on
real data that ships with scikit-learn, converted at opset 17, checked with `onnx.checker`, run with 1, 3 and 7 rows
and compared with the original on rows it has not seen. Speed-up: original / ONNX, both on one thread, alternating in
one process, with the 95 % interval; up to 200 timed calls after 20. `flips`: labels that differ, of the rows compared.
`difference`: the largest absolute difference of probabilities, decision values or values.

{provenance}

**{converted} of {tried} converted.** Outcomes: {outcomes}.

| estimator | data | outcome | flips | difference | size kB | speed-up, batch 1 | speed-up, batch 64 |
|---|---|---|---|---|---|---|---|
"""


def main(names: list[str]) -> int:
    """Run all cases, or those named; write the table if all ran."""
    warnings.simplefilter("ignore")
    cases = [case for case in all_cases() if not names or case.name in names]
    rows, outcomes, explained = [], Counter[str](), []
    with (
        tempfile.TemporaryDirectory() as store,
        InferenceOptimizer(
            store, batch_sizes=(1, 64), iterations=200, warmup_iterations=20, measure_seconds=6.0, max_time_minutes=2.0
        ) as optimizer,
    ):
        for case in cases:
            row, outcome, why = run_case(case, optimizer)
            rows.append(row)
            outcomes[outcome] += 1
            if why:
                explained.append(f"- **{case.name}**: {why}")
            print(row, why, flush=True)
    if not names:
        summary = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
        head = HEADER.format(
            provenance=provenance(),
            converted=outcomes["converted"] + outcomes["differs"],
            tried=len(cases),
            outcomes=summary,
        )
        body = "\n".join(rows)
        notes = "\n".join(explained)
        TABLE.write_text(
            f"{head}{body}\n\n## What did not convert, or converts to something else\n\n{notes}\n", "utf-8"
        )
    return 0


def run_case(case: Case, optimizer: InferenceOptimizer) -> tuple[str, str, str]:
    """The table row of a case, its outcome in a word, and why if it is not plain converted."""
    try:
        model, x, y = case.fitted()
        result = optimizer.optimize(model, x, y, name=case.name)
    except InferoptError as error:
        return _row(case, error.kind.replace("_", " ")), error.kind.replace("_", " "), str(error)
    # A case that cannot even be fitted is this benchmark's own fault, and shown as such.
    except Exception as error:  # noqa: BLE001
        return _row(case, "not fitted"), "not fitted", f"{type(error).__name__}: {error}"
    return _judged(case, result)


def _judged(case: Case, result: RunResult) -> tuple[str, str, str]:
    variant = result.optimized
    conversion = variant.conversion
    red = next((check for check in result.checks if check.is_red), None)
    if conversion is None or not variant.latency:
        outcome = red.outcome.replace("_", " ") if red else "not measured"
        return _row(case, outcome), outcome, f"{red.reason} {red.next_step}" if red else ""
    outcome = "converted" if red is None else "differs"
    flips = "–" if conversion.label_flips is None else f"{conversion.label_flips} of {conversion.rows}"
    difference = "–" if conversion.max_difference is None else f"{conversion.max_difference:.1g}"
    size = "–" if variant.size_bytes is None else f"{variant.size_bytes / 1000:.1f}"
    cells = [flips, difference, size, *(_speedup(variant.speedup.get(batch)) for batch in (1, 64))]
    return _row(case, outcome, *cells), outcome, red.reason if red else ""


def _speedup(speedup: Any) -> str:
    if speedup is None or speedup.estimate is None:
        return "–"
    low, high = speedup.interval.low, speedup.interval.high
    interval = f" [{low:.3g}, {high:.3g}]" if low is not None and high is not None else ""
    return f"{speedup.estimate:.3g}×{interval}"


def _row(case: Case, outcome: str, *cells: str) -> str:
    filled = [*cells, *["–"] * (5 - len(cells))]
    return f"| {case.name} | {case.data} | {outcome} | {' | '.join(filled)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
