"""What reports weigh and take, and what the store saves a second run.

Run ``python -m benchmarks.reports``; it writes ``benchmarks/reports/table.md``. The models are real and trained here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from benchmarks.machine import provenance
from pytest_inferopt import InferenceOptimizer, Report, RunResult
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.registry import discover

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Path(__file__).parent / "table.md"
MODELS = 10
TRAINING_ROWS = 898
VARIANTS = {
    "onnx": ["onnx_conversion"],
    "int8": ["onnx_conversion", "quantization"],
    "uint8": ["onnx_conversion", {"name": "quantization", "precision": "uint8"}],
}
RENDER = """
import sys, time
started = time.perf_counter()
from pathlib import Path
from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.registry import discover
report = parse_report(Path(sys.argv[1]).read_bytes(), where=sys.argv[1])
text = discover().reporter(sys.argv[2]).render(report)
print(time.perf_counter() - started, len(text.encode()))
"""


def main() -> int:
    """Measure both and write the table."""
    x, y = load_digits(return_X_y=True)
    with tempfile.TemporaryDirectory() as name:
        results = dict(_runs(x, y, Path(name)))
        sections = [_weights([first for first, _ in results.values()], Path(name)), _second_runs(results)]
    TABLE.write_text("\n\n".join(["# Reports and the store", provenance(), *sections]) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))
    return 0


def _models() -> dict[str, Any]:
    return {
        "random forest, 500 trees": RandomForestClassifier(500, random_state=0),
        "gradient boosting, 100 × 10 trees": GradientBoostingClassifier(n_estimators=100, random_state=0),
        "network 512, 256": MLPClassifier((512, 256), max_iter=40, random_state=0),
        "support vectors": SVC(random_state=0),
    }


def _runs(x: Any, y: Any, folder: Path) -> Iterator[tuple[str, tuple[RunResult, RunResult]]]:
    """Each model's first and second run on one store."""
    rows, labels = x[TRAINING_ROWS:], y[TRAINING_ROWS:]
    for name, model in _models().items():
        model.fit(x[:TRAINING_ROWS], y[:TRAINING_ROWS])
        with InferenceOptimizer(folder / "store", measure_seconds=10.0) as optimizer:
            # The libraries are imported once a session; that is no step.
            optimizer.optimize(model, rows[:64], labels[:64], iterations=5, batch_sizes=[1], random_seed=1)
            yield name, tuple(optimizer.optimize(model, rows, labels, name=name, variants=VARIANTS) for _ in "12")  # type: ignore[misc]


def _weights(results: list[RunResult], folder: Path) -> str:
    """Each report of ten models: its size, and the seconds of a fresh process that reads the JSON and draws it."""
    ten = [
        results[index % len(results)].model_copy(update={"name": f"model {index + 1}", "test_id": f"test_{index}"})
        for index in range(MODELS)
    ]
    document = folder / "ten.json"
    document.write_text(Report(results=tuple(ten), environment=Environment.here()).model_dump_json(), encoding="utf-8")
    rows = []
    for kind in sorted(discover().names("reporters")):
        ran = subprocess.run(
            [sys.executable, "-c", RENDER, str(document), kind], check=True, capture_output=True, text=True
        )
        seconds, size = ran.stdout.split()
        rows.append(f"| {kind} | {int(size) / 1000:,.0f} | {float(seconds):.1f} |")
    return "\n".join(
        [
            f"## {MODELS} models, each with three variants at four batch sizes",
            "",
            "A fresh process reads the JSON and draws it, imports included.",
            "",
            "| report | kB | seconds |",
            "|---|---|---|",
            *rows,
        ]
    )


def _second_runs(results: dict[str, tuple[RunResult, RunResult]]) -> str:
    """What the steps of three variants took at first, and what taking them from the store took."""
    rows = []
    for name, (first, second) in results.items():
        steps = [step for variant in second.variants.values() for step in variant.steps]
        if not all(step.cached for step in steps):
            raise SystemExit(f"{name}: a step was not found in the store")
        before, after = first.seconds["optimize"], second.seconds["optimize"]
        rows.append(f"| {name} | {before:.2f} | {after:.3f} | {before / after:.0f}× |")
    return "\n".join(
        [
            "## A second run on the same store",
            "",
            "Seconds of optimizing (conversion, and two quantizations of it); measuring is done again in both runs.",
            "",
            "| model | first run | second run | ratio |",
            "|---|---|---|---|",
            *rows,
        ]
    )


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(status)
