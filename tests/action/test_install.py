"""What the Action installs: this very checkout, once, with its extras, and nothing where it is there already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP = """
import json, os, sys
json.dump(sys.argv[1:], open(os.environ["ASKED"], "w"))
sys.exit(int(os.environ.get("ENDS", 0)))
"""


@pytest.fixture
def install(tmp_path):
    """`install(extras="cpu")`: run the step in a checkout of its own, with a pip that only notes what it is asked."""
    checkout, asked = tmp_path / "checkout", tmp_path / "asked.json"
    for name in ("github_action", "pytest_inferopt"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "pip" / "__main__.py").write_text(PIP, encoding="utf-8")

    def install(extras="cpu", activity="run", path=str(tmp_path), **environ):
        inputs = {
            "activity": activity, "pytest_args": [], "extras": extras.split(","), "working_directory": ".",
            "options": [], "baseline": "auto", "comment": "off", "comment_id": "", "job_summary": True,
            "report_name": "r",
        }  # fmt: skip
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"activity": activity, "inputs": inputs, "workspace": str(tmp_path)}))
        environ = {**os.environ, "PYTHONPATH": path, "INFEROPT_PLAN": str(plan), "ASKED": str(asked), **environ}
        asked.unlink(missing_ok=True)
        command = [sys.executable, str(checkout / "github_action" / "step.py"), "install"]
        ran = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        return ran.returncode, ran.stdout, json.loads(asked.read_text()) if asked.is_file() else None

    install.checkout = checkout
    return install


def test_where_this_code_is_importable_with_its_extras_nothing_is_installed(install):
    code, printed, asked = install(path=str(ROOT))
    assert (code, asked) == (0, None)
    assert printed == "pytest_inferopt is importable in this version with all that it needs; nothing is installed.\n"


def test_another_version_of_it_is_replaced_by_the_checkout(install):
    (install.checkout / "pytest_inferopt" / "_version.py").write_text('__version__ = "9"\n', encoding="utf-8")
    code, printed, asked = install(extras="cpu,sklearn")
    target = f"{install.checkout}[github,cpu,sklearn]"
    assert (code, asked) == (0, ["install", "--disable-pip-version-check", target])
    assert printed.startswith(f"$ {sys.executable} -m pip install ")


def test_an_extra_of_which_something_is_missing_is_installed(install):
    _, _, asked = install(extras="cpu,tensorrt")
    assert asked[-1].endswith("[github,cpu,tensorrt]")


def test_a_job_that_only_comments_or_merges_needs_no_extra_but_the_one_for_github(install):
    (install.checkout / "pytest_inferopt" / "_version.py").write_text('__version__ = "9"\n', encoding="utf-8")
    assert [install(activity=name)[2][-1] for name in ("comment", "merge")] == [f"{install.checkout}[github]"] * 2


def test_an_unknown_extra_is_told_with_those_that_are_known(install):
    code, printed, asked = install(extras="cpu,torhc")
    assert (code, asked) == (1, None)
    assert printed.startswith(
        "::error title=pytest-inferopt::input extras: there is no extra 'torhc'. Known: cpu, cuda, sklearn, "
    )


def test_what_the_installer_cannot_do_is_told_with_what_helps(install):
    code, printed, _ = install(extras="tensorrt", ENDS="1")
    assert code == 1
    assert "could not be installed into" in printed
    assert "set the input python-version, or run actions/setup-python before" in printed
