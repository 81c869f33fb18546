from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import pytest_inferopt
from pytest_inferopt.engine.workshop import provenance
from pytest_inferopt.engine.workshop.provenance import import_roots, modules_under


def module(name, file):
    made = ModuleType(name)
    made.__file__ = None if file is None else str(file)
    return made


@pytest.fixture
def imported(tmp_path):
    """`imported(name=path relative to the repository)`: modules as they stand in `sys.modules`."""

    def imported(**files):
        return {
            name.replace("__", "."): module(name.replace("__", "."), tmp_path / file) for name, file in files.items()
        }

    return imported


def test_modules_of_the_repository_are_named_with_their_files(imported, tmp_path):
    modules = imported(churn="src/churn/__init__.py", helpers="tests/helpers.py")
    assert modules_under(tmp_path, modules) == {
        "churn": str(tmp_path / "src/churn/__init__.py"),
        "helpers": str(tmp_path / "tests/helpers.py"),
    }


def test_modules_from_elsewhere_without_a_file_or_of_this_package_are_not(tmp_path, imported):
    modules = {
        "json": sys.modules["json"],
        "sys": sys,
        "empty": module("empty", None),
        **imported(pytest_inferopt__api="pytest_inferopt/api.py"),
    }
    assert modules_under(tmp_path, modules) == {}
    assert modules_under(Path(pytest_inferopt.__file__).parents[1]) == modules_under(
        Path(pytest_inferopt.__file__).parents[1], dict(sys.modules)
    )


def test_what_is_installed_in_an_environment_inside_the_repository_is_not_the_repositorys(
    tmp_path, imported, monkeypatch
):
    monkeypatch.setattr(provenance, "_installed", lambda: iter([tmp_path / ".venv"]))
    modules = imported(churn="churn.py", numpy=".venv/lib/site-packages/numpy/__init__.py")
    assert list(modules_under(tmp_path, modules)) == ["churn"]


def test_import_roots_are_those_on_the_path_and_those_of_packages_that_an_editable_install_finds(tmp_path, imported):
    (tmp_path / "tests").mkdir()
    modules = imported(churn="src/churn/__init__.py", churn__model="src/churn/model.py", score="lib/score.py")
    roots = import_roots(tmp_path, ["", str(tmp_path), str(tmp_path / "tests"), "/usr/lib/python3"], modules)
    assert roots == [".", "tests", "src", "lib"]


def test_a_module_whose_name_and_place_differ_has_no_root(tmp_path, imported):
    assert import_roots(tmp_path, [], imported(test_churn="tests/test_churn_model.py")) == []


def test_a_repository_that_is_reached_through_a_link_is_the_same(tmp_path):
    home = tmp_path / "home"
    (home / "src").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(home)
    modules = {"churn": module("churn", link / "src" / "churn.py")}
    assert import_roots(home, [str(link)], modules) == [".", "src"]
