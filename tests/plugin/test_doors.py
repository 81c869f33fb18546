"""How a test hands over a model, its rows and its metric."""

from __future__ import annotations

import pytest

LOAD = "import numpy as np\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
PICKLE = "import joblib, pytest\nmodel = joblib.load('model.joblib')\n"


def test_a_live_estimator_is_converted_measured_and_passes(inferopt_run):
    result = inferopt_run(
        LOAD + PICKLE + "def test_digits(inferopt):\n"
        "    result = inferopt(model, x, y)\n"
        "    assert (result.original.format, result.optimized.format) == ('sklearn', 'onnx')\n"
        "    assert result.optimized.latency[16].p50_ms > 0\n"
        "    assert result.speedup.keys() == {1, 16}\n"
        "    assert result.accuracy_ratio == 1.0\n"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*inferopt: digits*", "original sklearn*reference*", "optimized*passed*"])


def test_a_model_may_be_the_path_of_an_onnx_file(inferopt_run):
    inferopt_run(LOAD + "def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n").assert_outcomes(passed=1)


def test_a_pickle_by_path_is_refused_until_the_request_trusts_it(inferopt_run):
    result = inferopt_run(
        LOAD + "def test_without(inferopt):\n    inferopt('model.joblib', x, y)\n"
        "def test_with(inferopt):\n    inferopt('model.joblib', x, y, trust=True)\n"
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*refused: *model.joblib: a pickle executes code*", "*next: Set trust=True*"])


def test_a_model_may_be_a_factory_in_an_importable_module(inferopt_run, repo):
    repo.makepyfile(factory="import joblib\ndef make():\n    return joblib.load('model.joblib')\n")
    repo.syspathinsert()
    inferopt_run(LOAD + "def test_digits(inferopt):\n    inferopt('factory:make', x, y)\n").assert_outcomes(passed=1)


def test_a_factory_that_does_not_exist_is_a_short_failure(inferopt_run):
    result = inferopt_run(LOAD + "def test_digits(inferopt):\n    inferopt('no_such_module:make', x, y)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inferopt: model='no_such_module:make': there is no module 'no_such_module' here."])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_class_of_the_test_module_itself_reaches_the_worker(inferopt_run):
    inferopt_run(
        LOAD + "from sklearn.linear_model import RidgeClassifier\n"
        "class Mine(RidgeClassifier):\n    pass\n"
        "def test_digits(inferopt):\n    inferopt(Mine().fit(x, y), x, y)\n"
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "dataset",
    [
        {"source": "npz", "path": "rows.npz", "x": "x", "y": "y"},
        {"source": "csv", "path": "rows.csv", "target": "digit"},
    ],
    ids=lambda dataset: dataset["source"],
)
def test_a_marker_that_names_model_and_rows_needs_no_body(inferopt_run, dataset):
    result = inferopt_run(
        f"import pytest\n@pytest.mark.inferopt(model='model.onnx', validation_dataset={dataset!r})\n"
        "def test_digits(): pass\n"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*inferopt: digits*", "optimized*passed*"])


def test_rows_may_come_from_a_parquet_file(inferopt_run, repo):
    import pandas as pd

    pd.read_csv(repo.path / "rows.csv").to_parquet(repo.path / "rows.parquet")
    inferopt_run(
        "import pytest\n@pytest.mark.inferopt(model='model.onnx', "
        "validation_dataset={'source': 'parquet', 'path': 'rows.parquet', 'target': 'digit'})\n"
        "def test_digits(inferopt_result):\n    assert inferopt_result.passed\n"
    ).assert_outcomes(passed=1)


def test_the_fixtures_for_model_data_and_metric_can_be_overridden(inferopt_run):
    result = inferopt_run(
        LOAD + PICKLE + "@pytest.fixture\ndef inferopt_model(): return model\n"
        "@pytest.fixture\ndef inferopt_data(): return x, y\n"
        "@pytest.fixture\ndef inferopt_metric(): return 'f1'\n"
        "def test_digits(inferopt_result):\n    assert inferopt_result.optimized.accuracy.metric == 'f1'\n"
    )
    result.assert_outcomes(passed=1)


def test_an_own_metric_decides_with_its_direction(inferopt_run):
    result = inferopt_run(
        LOAD + "def right(y_true, y_pred): return float((y_true == y_pred).mean())\n"
        "def test_digits(inferopt):\n"
        "    result = inferopt('model.onnx', x, y, metric=right, metric_direction='higher')\n"
        "    assert result.optimized.accuracy.metric == 'right'\n"
    )
    result.assert_outcomes(passed=1)


def test_c45_an_own_metric_without_a_direction_is_a_usage_error(inferopt_run):
    result = inferopt_run(
        LOAD + "def right(y_true, y_pred): return 1.0\n"
        "def test_digits(inferopt):\n    inferopt('model.onnx', x, y, metric=right)\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the metric 'right' is a function, and nobody knows*metric_direction=*"])


def test_without_labels_agreement_with_the_original_is_judged(inferopt_run):
    result = inferopt_run(
        LOAD + "def test_digits(inferopt):\n"
        "    result = inferopt('model.onnx', x)\n"
        "    assert result.optimized.accuracy.metric == 'agreement'\n"
    )
    result.assert_outcomes(passed=1)


def test_check_false_returns_a_red_result_instead_of_failing(inferopt_run):
    inferopt_run(
        LOAD + "def test_digits(inferopt):\n"
        "    result = inferopt('model.onnx', x, y[::-1].copy(), metric='no', check=False)\n"
    ).assert_outcomes(failed=1)
    inferopt_run(
        LOAD + "def test_digits(inferopt):\n"
        "    result = inferopt('model.onnx', x[:3], y[:3], check=False)\n"
        "    assert not result.passed\n"
    ).assert_outcomes(passed=1)


def test_the_result_as_a_dictionary_holds_plain_json_values(inferopt_run):
    inferopt_run(
        LOAD + "import json\n"
        "def test_digits(inferopt):\n"
        "    document = inferopt('model.onnx', x, y).to_dict()\n"
        "    assert json.loads(json.dumps(document, allow_nan=False)) == document\n"
    ).assert_outcomes(passed=1)


def test_the_optimized_file_stays_in_a_store_that_ignores_itself(inferopt_run, repo):
    inferopt_run(
        LOAD + "from pathlib import Path\n"
        "def test_digits(inferopt):\n"
        "    result = inferopt('model.onnx', x, y)\n"
        "    assert Path(result.optimized.path).name == f'{result.optimized.sha256}.onnx'\n"
    ).assert_outcomes(passed=1)
    assert (repo.path / ".inferopt" / ".gitignore").read_text().endswith("*\n")
    assert list((repo.path / ".inferopt" / "work").iterdir()) == []
