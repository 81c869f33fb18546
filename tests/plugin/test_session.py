"""What a pytest session looks like with and without --inferopt."""

from __future__ import annotations

import pytest

LOAD = "import numpy as np, pytest\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
ONE = LOAD + "def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n"


def test_without_the_option_inferopt_tests_are_skipped_with_the_reason(repo):
    repo.makepyfile(
        "import pytest\n"
        "@pytest.mark.inferopt(model='model.onnx')\ndef test_marked(): raise AssertionError\n"
        "def test_fixture(inferopt): raise AssertionError\n"
        "def test_result(inferopt_result): raise AssertionError\n"
        "def test_other(): pass\n"
    )
    result = repo.runpytest_inprocess("-rs", "-p", "no:randomly")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*an inferopt test: run it with pytest --inferopt*"])


def test_the_header_tells_version_machine_and_how_latency_is_measured(inferopt_run):
    result = inferopt_run("def test_nothing(): pass\n", fast=False)
    result.stdout.re_match_lines(
        [r"inferopt: 0\.1\.0 · cpu \d+×.+ · 1 thread · 100\+1000 iterations · batch 1,16,32,64 · baseline auto"]
    )


def test_only_deselects_every_other_test(inferopt_run):
    result = inferopt_run(ONE + "def test_other(): raise AssertionError\n", "--inferopt-only")
    result.assert_outcomes(passed=1, deselected=1)


def test_a_red_test_shows_figure_limit_interval_and_next_step_and_no_traceback(inferopt_run):
    result = inferopt_run(
        LOAD + "from sklearn.linear_model import RidgeClassifier\n"
        "class Flattered(RidgeClassifier):\n"
        "    def predict(self, x): return np.asarray(y)\n"
        "def test_flattered(inferopt):\n"
        "    inferopt(Flattered().fit(x, y), x, y)\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_flattered*", "inferopt: flattered: * red", "*next: *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*session.py*")


def test_an_accuracy_below_the_threshold_fails_with_its_interval(inferopt_run):
    result = inferopt_run(
        LOAD + "@pytest.mark.inferopt(optimizations=['quantization'], accuracy_threshold=1.0, metric='roc_auc')\n"
        "def test_int8(inferopt):\n"
        "    from sklearn.neural_network import MLPClassifier\n"
        "    import warnings; warnings.simplefilter('ignore')\n"
        "    model = MLPClassifier((32,), max_iter=10, random_state=0).fit(x, y)\n"
        "    inferopt(model, x, y)\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"  optimized: accuracy failed: .* is below 1\.0: roc_auc .* on 397 rows, 95 % interval 0\.\d+ to 1\.\d+.*",
            r"    next: Look at the \d+ rows whose label differs; .*",
        ]
    )


def test_a_fixture_that_is_never_called_fails_because_nothing_was_measured(inferopt_run):
    result = inferopt_run("def test_forgot(inferopt): pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*asks for the inferopt fixture and never calls it, so nothing was measured.*"])


@pytest.mark.parametrize(("ending", "told"), [("skip", "Skipped: enough"), ("fail", "Failed: enough")])
def test_a_body_that_skips_or_fails_by_itself_does_not_hide_a_red_result(inferopt_run, ending, told):
    result = inferopt_run(
        LOAD + "@pytest.fixture\ndef inferopt_data(): return x, y\n"
        "@pytest.mark.inferopt(model='model.onnx', budget=['size<1kB'])\n"
        f"def test_large(inferopt_result):\n    pytest.{ending}('enough')\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["inferopt: large: 1 of 4 checks is red", f"  the test's own code then ended with {told}"]
    )


def test_a_second_call_needs_a_name_of_its_own(inferopt_run):
    result = inferopt_run(
        LOAD + "def test_two(inferopt):\n"
        "    inferopt('model.onnx', x, y, name='first')\n    inferopt('model.onnx', x, y)\n"
        "def test_twice(inferopt):\n    inferopt('model.onnx', x, y)\n    inferopt('model.onnx', x, y)\n"
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["inferopt: inferopt() was called without a name in one test. Give each*"])


def test_a_calls_name_goes_before_the_markers_so_that_both_results_stay(inferopt_run):
    result = inferopt_run(
        LOAD + "@pytest.mark.inferopt(name='churn')\n"
        "def test_two(inferopt):\n"
        "    names = [inferopt('model.onnx', x, y, name=name).name for name in (None, 'a', 'b')]\n"
        "    assert names == ['churn', 'a', 'b']\n"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*= inferopt: {name} =*" for name in ("churn", "a", "b")])


def test_a_second_call_may_not_have_the_name_that_the_first_has_from_its_test(inferopt_run):
    result = inferopt_run(
        LOAD + "def test_churn(inferopt):\n    inferopt('model.onnx', x, y)\n"
        "    inferopt('model.onnx', x, y, name='churn')\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inferopt: inferopt() was called with name='churn' again in one test. Give each*"])


def test_a_typo_in_the_marker_fails_that_test_with_a_suggestion(inferopt_run):
    result = inferopt_run(LOAD + "@pytest.mark.inferopt(batchsize=[1])\n" + ONE.removeprefix(LOAD))
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["inferopt: pytest.mark.inferopt got 'batchsize'; did you mean 'batch_sizes'?"])


def test_a_positional_argument_of_the_marker_is_a_usage_error(inferopt_run):
    result = inferopt_run(LOAD + "@pytest.mark.inferopt('model.onnx')\n" + ONE.removeprefix(LOAD))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inferopt: pytest.mark.inferopt takes keywords only, got 'model.onnx'. *"])


def test_the_order_is_call_then_marker_then_option_then_environment_then_table(inferopt_run, repo, monkeypatch):
    monkeypatch.setenv("ONNX_OPSET_VERSION", "15")
    monkeypatch.setenv("OPTIMIZATION_ACCURACY_THRESHOLD", "0.5")
    repo.makepyprojecttoml("[tool.inferopt]\nopset = 14\nthreads = 2\naccuracy_threshold = 0.4\nrandom_seed = 7\n")
    inferopt_run(
        LOAD + "@pytest.mark.inferopt(iterations=21, warmup_iterations=3)\n"
        "def test_digits(inferopt):\n"
        "    request = inferopt('model.onnx', x, y, iterations=22).request\n"
        "    assert (request.iterations, request.warmup_iterations, request.batch_sizes) == (22, 3, (4,))\n"
        "    assert (request.accuracy_threshold, request.opset) == (0.6, 15)\n"
        "    assert (request.threads, request.random_seed) == (2, 7)\n",
        "--inferopt-iterations=20",
        "--inferopt-batch-sizes=4",
        "--inferopt-accuracy-threshold=0.6",
    ).assert_outcomes(passed=1)


def test_a_table_of_the_project_sets_the_technique_and_its_options(inferopt_run, repo):
    repo.makepyprojecttoml(
        "[tool.inferopt]\noptimizations = ['quantization']\nquantization_config = { precision = 'uint8' }\n"
    )
    result = inferopt_run(ONE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*LinearClassifier has no INT8 form; the file is unchanged*"])


def test_strict_markers_know_the_marker(inferopt_run):
    result = inferopt_run(ONE, "--strict-markers", "-m", "not inferopt")
    result.assert_outcomes(passed=1)


def test_switched_off_as_a_plugin_nothing_of_it_is_loaded_and_other_tests_pass(repo):
    repo.makepyfile(
        "import sys\n"
        "def test_other(): assert not [name for name in sys.modules if name.startswith('pytest_inferopt')]\n"
    )
    repo.runpytest_subprocess("-p", "no:inferopt").assert_outcomes(passed=1)


def test_h99_without_the_option_neither_numpy_nor_onnx_nor_pydantic_is_imported(repo):
    repo.makepyfile(
        "import sys\n"
        "HEAVY = {'numpy', 'onnx', 'onnxruntime', 'pydantic', 'sklearn', 'rich', 'cloudpickle'}\n"
        "def test_light(): assert not HEAVY & sys.modules.keys()\n"
        "def test_marked(inferopt): pass\n"
    )
    result = repo.runpytest_subprocess("-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:xdist")
    result.assert_outcomes(passed=1, skipped=1)


def test_junit_and_last_failed_work_with_inferopt_tests(inferopt_run, repo):
    result = inferopt_run(ONE, "--junitxml=out.xml", "-p", "cacheprovider", "--lf")
    result.assert_outcomes(passed=1)
    assert 'tests="1"' in (repo.path / "out.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["-x", "--collect-only", "-q", "-v", "--tb=short"])
def test_the_usual_options_of_pytest_still_work(inferopt_run, option):
    assert inferopt_run(ONE, option).ret == 0
