from __future__ import annotations

import importlib
import math
import sys
from collections import OrderedDict

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.engine.store import code
from pytest_inferopt.engine.store.code import code_digest, source_digest

CLASS = "class Own:\n    pass\n"


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """`imported(name)`: a module of the folder `tmp_path`, as a process that has just been started sees it."""
    monkeypatch.syspath_prepend(tmp_path)
    names = set()

    def imported(name):
        for known in names:
            sys.modules.pop(known, None)
        names.update({name, name.partition(".")[0]})
        importlib.invalidate_caches()
        code._digest_of_file.cache_clear()
        code._digest_of_folder.cache_clear()
        return importlib.import_module(name)

    yield imported
    for known in names:
        sys.modules.pop(known, None)


@pytest.mark.parametrize("changed", ["own/transformers.py", "own/converters.py", "own/deep/part.py"])
def test_a_value_of_a_class_in_a_package_depends_on_all_of_the_package(imported, tmp_path, changed):
    (tmp_path / "own" / "deep").mkdir(parents=True)
    for name in ("own/__init__.py", "own/deep/__init__.py", "own/deep/part.py", "own/converters.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "own" / "transformers.py").write_text(CLASS)
    first, again = (code_digest([imported("own.transformers").Own()]) for _ in range(2))
    assert first == again is not None
    (tmp_path / changed).write_text(CLASS + "# changed\n")
    assert code_digest([imported("own.transformers").Own()]) != first


@pytest.mark.parametrize("changed", ["lone.py", "neighbour.py"])
def test_a_value_of_a_class_in_a_lone_module_depends_on_it_and_its_neighbours(imported, tmp_path, changed):
    (tmp_path / "lone.py").write_text(CLASS)
    (tmp_path / "neighbour.py").write_text("")
    first, again = (code_digest([imported("lone").Own]) for _ in range(2))
    assert first == again is not None
    (tmp_path / changed).write_text(CLASS + "# changed\n")
    assert code_digest([imported("lone").Own]) != first


def test_a_value_of_an_installed_library_depends_on_the_modules_that_it_names(imported, tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    (folder / "library.py").write_text(CLASS)
    first = [code_digest(imported("library").Own()), source_digest("library")]
    (folder / "neighbour.py").write_text("another library")
    assert [code_digest(imported("library").Own()), source_digest("library")] == first
    (folder / "library.py").write_text(CLASS + "# changed\n")
    assert code_digest(imported("library").Own()) != first[0]


def test_the_digest_of_a_model_does_not_depend_on_its_content():
    few, many = (LogisticRegression().fit(np.eye(n), np.arange(n) % 2) for n in (4, 40))
    assert code_digest(few) == code_digest(many) != code_digest(None)


def test_the_standard_library_and_what_has_no_file_have_no_code_of_their_own():
    assert code_digest(OrderedDict(a=math.sqrt)) == code_digest(None)
    assert source_digest("no_such_module") == "no_such_module"


def test_what_cannot_be_pickled_has_no_digest():
    assert code_digest(lambda: None) is None
