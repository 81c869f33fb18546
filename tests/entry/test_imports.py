"""What an import costs: nothing heavy is loaded before somebody asks for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "altair", "cloudpickle", "httpx", "jinja2", "joblib", "lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime",
    "pandas", "pyarrow", "pydantic", "rich", "scipy", "skl2onnx", "sklearn", "tensorflow", "torch", "typer",
    "vl_convert", "xgboost",
}  # fmt: skip
REPORT = """
import json, sys
def pytest_unconfigure(config):
    print("\\n", json.dumps(sorted(sys.modules)))
"""


def loaded_by(code):
    """The modules of a fresh interpreter after it has run this."""
    command = [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"]
    return set(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def heavy(modules):
    return {name for name in modules if name.partition(".")[0] in HEAVY}


@pytest.fixture
def loaded_by_pytest(tmp_path):
    """`loaded_by_pytest(*options)`: the modules of a pytest run over one empty test, and its exit status."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "conftest.py").write_text(REPORT)

    def loaded_by_pytest(*options):
        # Other plugins of this environment (hypothesis, pytest-cov…) load libraries of their own.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
        run = subprocess.run(
            [*map(str, command), *options],
            cwd=tmp_path,
            env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        line = next(line for line in run.stdout.splitlines() if line.startswith(" ["))
        return set(json.loads(line)), run.returncode

    return loaded_by_pytest


@pytest.mark.parametrize(
    "module", ["pytest_inferopt", "pytest_inferopt.options", "pytest_inferopt.errors", "pytest_inferopt.cli"]
)
def test_h99_importing_the_package_loads_neither_numpy_nor_pydantic_nor_pytest(module):
    modules = loaded_by(f"import {module}")
    assert (module in modules, heavy(modules), "pytest" in modules) == (True, set(), False)


def test_h99_importing_the_plugin_loads_pytest_alone():
    modules = loaded_by("import pytest_inferopt.plugin")
    assert heavy(modules) == set()
    assert {name for name in modules if name.startswith("pytest_inferopt")} == {
        "pytest_inferopt",
        "pytest_inferopt._version",
        "pytest_inferopt.errors",
        "pytest_inferopt.options",
        "pytest_inferopt.plugin",
    }


def test_every_public_name_is_there_when_it_is_asked_for():
    code = "import pytest_inferopt as package\nassert None not in [getattr(package, name) for name in package.__all__]"
    assert "pytest_inferopt.api" in loaded_by(code)


def test_the_package_lists_its_public_names_without_loading_them():
    code = "import pytest_inferopt as package\nassert dir(package) == sorted(package.__all__)"
    assert heavy(loaded_by(code)) == set()


def test_a_name_that_the_package_does_not_have_is_an_attribute_error():
    import pytest_inferopt

    with pytest.raises(AttributeError, match="module 'pytest_inferopt' has no attribute 'optimise'"):
        pytest_inferopt.optimise  # noqa: B018 - asking is the act


def test_h99_without_the_flag_a_run_loads_neither_numpy_nor_pydantic(loaded_by_pytest):
    modules, status = loaded_by_pytest("-p", "pytest_inferopt.plugin")
    assert ("pytest_inferopt.plugin" in modules, heavy(modules), status) == (True, set(), 0)


def test_h99_with_the_flag_the_session_is_loaded(loaded_by_pytest):
    modules, status = loaded_by_pytest("-p", "pytest_inferopt.plugin", "--inferopt")
    assert ({"pytest_inferopt.plugin.session", "pydantic"} <= modules, status) == (True, 0)


def test_switched_off_the_plugin_is_not_there_at_all(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "conftest.py").write_text(REPORT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:inferopt", "."]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = json.loads(next(line for line in run.stdout.splitlines() if line.startswith(" [")))
    assert [name for name in modules if name.startswith("pytest_inferopt")] == []


def test_installed_the_plugin_is_there_by_itself(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "conftest.py").write_text(REPORT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = json.loads(next(line for line in run.stdout.splitlines() if line.startswith(" [")))
    assert "pytest_inferopt.plugin" in modules
    assert "pytest_inferopt.plugin.session" not in modules
