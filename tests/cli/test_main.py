"""How the command starts and ends: its exit codes, what stands on which stream, and what it never shows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_inferopt._version import __version__
from pytest_inferopt.cli import app, main


@pytest.fixture
def process(tmp_path):
    """`process("doctor")`: ``python -m pytest_inferopt doctor`` in an empty folder."""

    def process(*arguments):
        command = [sys.executable, "-m", "pytest_inferopt", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)

    return process


def test_a_command_prints_one_document_and_leaves_stderr_alone(process):
    ran = process("baseline", "list", "--json")
    assert (ran.returncode, json.loads(ran.stdout), ran.stderr) == (0, [], "")


def test_a_wrong_path_is_a_usage_error_without_a_traceback(process, tmp_path):
    ran = process("compare", tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "a.onnx' does not exist" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_h103_a_typo_in_the_projects_table_is_a_usage_error_with_a_suggestion(process, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.inferopt]\nstor = ".cache"\n', encoding="utf-8")
    ran = process("baseline", "list", "--json")
    assert (ran.returncode, json.loads(ran.stdout)["error"]) == (
        2,
        {"kind": "usage", "message": "[tool.inferopt] got 'stor';", "hint": "did you mean 'store'?"},
    )
    assert ran.stderr == "pytest-inferopt: [tool.inferopt] got 'stor'; did you mean 'store'?\n"


def test_the_version_is_printed(command):
    ran = command("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"pytest-inferopt {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [("compar",), ("baseline", "lst"), ("baseline", "list", "--jsn"), ("compare", "a")]
)
def test_a_command_that_is_not_there_is_a_usage_error(command, arguments):
    ran = command(*arguments)
    assert (ran.code, ran.out, "Traceback" in ran.err) == (2, "", False)


def test_what_nobody_expected_is_one_sentence_and_the_traceback_comes_only_when_asked_for(command, monkeypatch):
    def fall(_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(app, "run", fall)
    ran = command("doctor", "--json")
    assert ran.code == 3
    assert json.loads(ran.out)["error"]["kind"] == "internal"
    assert ran.err.startswith(
        "pytest-inferopt: this is a fault of pytest-inferopt: ZeroDivisionError: division by zero: Run"
    )
    assert "Traceback" not in ran.err
    assert "in fall" in command("--traceback", "doctor").err


def test_without_arguments_the_process_own_are_taken(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pytest-inferopt", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"pytest-inferopt {__version__}\n"


def test_progress_is_shown_on_a_terminal_only(monkeypatch, capsys):
    from pytest_inferopt.cli.output import progress

    with progress() as say:
        say("9 of 12 processes")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress() as say:
        say("9 of 12 processes")
    out, err = capsys.readouterr()
    assert (out, bool(err)) == ("", True)
