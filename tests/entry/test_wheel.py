"""What an installed wheel has that a checkout has by itself: the templates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RENDER = """
import json, pathlib, sys
import pytest_inferopt
from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.registry import discover
from pytest_inferopt.reporters._templates import template_folder

report = parse_report(pathlib.Path("report.json").read_text(), where="report.json")
page = discover().reporter("html").render(report)
print(json.dumps([pytest_inferopt.__file__, str(template_folder()), page]))
"""


def run(command, folder):
    """The standard output of a command, in a folder and an environment that know nothing of the checkout."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(command, cwd=folder, env=kept, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built with what is installed here."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    run(list(map(str, build)), folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The interpreter of a fresh venv with the wheel in it, and this venv's other packages."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], ROOT.parent)
    python = venv / "bin" / "python"
    (site,) = (venv / "lib").glob("python*/site-packages")
    # The path file of a path file is not read, so the editable install of the checkout stays behind.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    run([*install, "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel)], venv)
    return python


def test_the_wheel_carries_the_templates_inside_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"pytest_inferopt/_templates/{path.name}" for path in (ROOT / "templates").iterdir()}
    assert "pytest_inferopt/_templates/report.html.j2" in shipped
    assert shipped <= names
    assert not {name for name in names if name.startswith(("templates/", "tests/"))}


def test_an_installed_wheel_renders_the_page_outside_of_a_checkout(installed, reports, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(reports.full().to_dict()), encoding="utf-8")
    package, templates, page = json.loads(run([str(installed), "-c", RENDER], tmp_path))
    site = installed.parents[1] / "lib"
    assert Path(package).is_relative_to(site)
    assert Path(templates).is_relative_to(site)
    assert page.startswith("<!doctype html>")
    assert "Not passed" in page
    assert page.count('class="plot"') == 17


def test_an_editable_install_finds_the_templates_beside_the_package(reports, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(reports.full().to_dict()), encoding="utf-8")
    package, templates, page = json.loads(run([sys.executable, "-c", RENDER], tmp_path))
    assert Path(package) == ROOT / "pytest_inferopt" / "__init__.py"
    assert Path(templates) == ROOT / "templates"
    assert page.startswith("<!doctype html>")
