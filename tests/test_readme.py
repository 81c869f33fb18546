"""README.md and CONTRIBUTING.md hold what they say: options, variables and every block of Python in them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_inferopt import cli
from pytest_inferopt.cli.app import application
from pytest_inferopt.cli.output import INCONCLUSIVE, PASSED
from pytest_inferopt.options import ENVIRONMENT, LATER, OPTIONS, Option

if TYPE_CHECKING:
    from typer.models import CommandInfo

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

# What a reader's repository has: a model, rows held out, and nothing else.
MODEL = """
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

x, y = load_digits(return_X_y=True)
model = LogisticRegression(max_iter=2000).fit(x[:900], y[:900])
x, y = x[900:], y[900:]
"""
CONFTEST = f"""
from types import SimpleNamespace

import pytest
{MODEL}

@pytest.fixture(name="model")
def _model():
    return model


@pytest.fixture
def holdout():
    return SimpleNamespace(x=x, y=y)
"""
QUICK = ("--inferopt", "--inferopt-quick", "-p", "no:randomly", "-p", "no:cacheprovider")
METADATA = "Metadata-Version: 2.1\nName: pytest-inferopt-half-weights\nVersion: 0.1\n"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_every_option_stands_in_the_table_with_its_default(option):
    name = f"{option.flag} {option.metavar}" if option.metavar else option.flag

    assert f"| `{name}` | {shown_default(option)} |" in README


def test_no_option_is_refused_for_being_unbuilt():
    assert not [option.flag for option in OPTIONS if {option.field, option.flag} & {*LATER}]


def test_the_table_lists_no_option_that_is_not_there():
    listed = re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE)

    assert sorted(listed) == sorted(option.flag for option in OPTIONS)


@pytest.mark.parametrize(("variable", "field"), [(name, field) for name, (field, _) in ENVIRONMENT.items()])
def test_every_environment_variable_stands_beside_the_field_it_sets(variable, field):
    assert f"| `{variable}` | `{field}` |" in README


def test_every_command_stands_in_the_table_and_nothing_else_does():
    listed = re.findall(r"^\| `((?:baseline )?[a-z]+)[^`]*` \| ", section("Command line"), re.MULTILINE)

    assert sorted(listed) == sorted(commands())


def test_the_exit_codes_of_the_command_are_those_of_the_table():
    listed = re.findall(r"^\| ([0-9]) \|", section("Command line"), re.MULTILINE)

    assert list(map(int, listed)) == [PASSED, cli.FAILED, cli.USAGE, cli.INTERNAL, INCONCLUSIVE, cli.REFUSED]


def test_the_first_test_of_the_readme_passes_with_the_table_that_stands_above_it(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_churn.py").write_text(block(README, "test_churn.py"), encoding="utf-8")

    run = python("-m", "pytest", *QUICK, "--strict-markers", "--rootdir", str(tmp_path), folder=tmp_path)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
    assert heads(run.stdout) == heads(README)[:1]
    assert (tmp_path / ".inferopt" / "report.html").is_file()


def test_every_block_of_the_readme_is_run_by_a_test():
    fenced = re.findall(r"(?:<!-- ([^\n]+) -->\n)?```(\w*)\n(.*?)```", README, re.DOTALL)
    titled = [title for title, _, _ in fenced if title]
    commands = [
        line.partition("#")[0].strip() for title, kind, text in fenced if kind == "sh" for line in text.splitlines()
    ]
    others = [text for title, kind, text in fenced if not title and kind != "sh"]

    assert titled == ["test_churn.py", "inferopt.yml", "strict.toml", "door.py"]
    assert commands == [
        'pip install "pytest-inferopt[cpu,sklearn]"',
        "pytest --inferopt",
        "pytest-inferopt merge shards/ --output report.json",
        'pytest-inferopt comment report.json --summary "$GITHUB_STEP_SUMMARY"',
        "make demo",
        "make test",
    ]
    assert [heads(text)[0][0] for text in others] == ["variant"]


def test_the_workflow_of_the_readme_is_a_part_of_the_one_to_copy():
    whole = (ROOT / "github_action" / "workflows" / "minimal.yml").read_text(encoding="utf-8").splitlines()

    assert [line for line in block(README, "inferopt.yml").splitlines() if line not in whole] == []


def test_the_commands_of_the_readme_name_what_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert {"cpu", "cuda", "sklearn", "xgboost", "lightgbm", "github"} <= project["optional-dependencies"].keys()
    assert {"demo", "test"} <= set(targets)


def test_a_job_that_does_as_the_readme_says_merges_its_shards_and_tells_its_summary(reports, tmp_path, monkeypatch):
    for name in ("GITHUB_TOKEN", "INFEROPT_GITHUB_TOKEN", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "shards" / name).mkdir(parents=True)
        document = reports.report(reports.improved(name)).model_dump_json()
        (tmp_path / "shards" / name / "report.json").write_text(document, encoding="utf-8")
    lines = re.findall(r"^pytest-inferopt (.*)$", section("Command line"), re.MULTILINE)

    codes = [cli.main(shlex.split(os.path.expandvars(line))) for line in lines]

    assert codes == [0, 0]
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("# ✅ inferopt: 2 models passed")


def test_with_the_lines_for_a_strict_repository_its_tests_pass_without_the_plugin(tmp_path):
    (tmp_path / "pyproject.toml").write_text(block(README, "strict.toml"), encoding="utf-8")
    (tmp_path / "test_churn.py").write_text(
        block(README, "test_churn.py") + "\n\ndef test_other():\n    pass\n", encoding="utf-8"
    )

    without = ("-m", "pytest", "-p", "no:inferopt", "-p", "no:cacheprovider", "-k", "other")
    run = python(*without, folder=tmp_path)

    assert (run.returncode, "1 passed, 1 deselected" in run.stdout) == (0, True), run.stdout + run.stderr


def test_a_technique_that_is_dropped_into_the_folder_works_and_is_checked_without_another_edit(tmp_path):
    checkout, repository = tmp_path / "checkout", tmp_path / "repository"
    for name in ("pytest_inferopt", "templates", "tests"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    technique = checkout / "pytest_inferopt" / "techniques" / "half_weights.py"
    technique.write_text(block(CONTRIBUTING, "half_weights.py"), encoding="utf-8")
    repository.mkdir()
    network = CONFTEST.replace("LogisticRegression(max_iter=2000)", NETWORK)
    (repository / "conftest.py").write_text(network, encoding="utf-8")
    (repository / "test_half.py").write_text(block(CONTRIBUTING, "test_half.py"), encoding="utf-8")

    used = python("-m", "pytest", *QUICK, "--rootdir", str(repository), folder=repository, PYTHONPATH=str(checkout))
    contract = ("tests/contract", "-v", "-k", "half_weights", "-p", "no:cacheprovider", "-p", "no:randomly")
    checked = python("-m", "pytest", *contract, folder=checkout)

    assert used.returncode == 0, used.stdout + used.stderr
    assert "half: half_weights: 2 tensors are stored as float16" in used.stdout
    assert (checked.returncode, " passed" in checked.stdout) == (0, True), checked.stdout + checked.stderr


def test_the_python_door_of_the_readme_opens(tmp_path):
    (tmp_path / "door.py").write_text(MODEL + block(README, "door.py"), encoding="utf-8")

    run = python("door.py", folder=tmp_path)

    assert run.returncode == 0, run.stdout + run.stderr
    assert re.fullmatch(r"True 1\.0 \d+\.\d+ .+\.onnx", run.stdout.strip())
    assert (tmp_path / "churn.html").stat().st_size > 100_000


def test_the_plugin_of_the_guide_is_found_by_its_entry_point_and_does_what_it_says(tmp_path):
    info = tmp_path / "half_weights-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_point(block(CONTRIBUTING, "pyproject.toml")), encoding="utf-8")
    (tmp_path / "half_weights.py").write_text(block(CONTRIBUTING, "half_weights.py"), encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        CONFTEST.replace("LogisticRegression(max_iter=2000)", NETWORK), encoding="utf-8"
    )
    (tmp_path / "test_half.py").write_text(block(CONTRIBUTING, "test_half.py"), encoding="utf-8")

    run = python("-m", "pytest", *QUICK, "--rootdir", str(tmp_path), folder=tmp_path)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "half: half_weights: 2 tensors are stored as float16" in run.stdout


NETWORK = "__import__('sklearn.neural_network').neural_network.MLPClassifier((64,), max_iter=30, random_state=0)"


def shown_default(option: Option) -> str:
    """A default as the table writes it."""
    if option.parse is None:
        return "off"
    if option.default is None:
        return "by task"
    if isinstance(option.default, tuple):
        return ",".join(map(str, option.default)) or "none"
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def commands() -> list[str]:
    """All commands of the command line: ``baseline list`` is one."""
    app = application()
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    inner = [f"{name} {_name(command)}" for name, group in groups.items() for command in group.registered_commands]
    return [*map(_name, app.registered_commands), *inner]


def _name(command: CommandInfo) -> str:
    return command.name or command.callback.__name__


def section(title: str) -> str:
    """What stands below a heading of the README."""
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def block(document: str, title: str) -> str:
    """The fenced block below the comment that names it."""
    return re.search(rf"<!-- {re.escape(title)} -->\n```\w+\n(.*?)```", document, re.DOTALL)[1]


def entry_point(toml: str) -> str:
    """A table of entry points, as an installed distribution keeps it."""
    return toml.replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "")


def heads(text: str) -> list[list[str]]:
    """The head of each table in a text; the batch sizes are the request's and left out."""
    lines = [line for line in text.splitlines() if line.startswith("variant ")]
    return [re.split(r" {2,}", re.sub(r"batch \d+", "batch", line.strip())) for line in lines]


def python(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder from which it can import."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    environ |= {"COLUMNS": "220", "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environ |= variables
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
