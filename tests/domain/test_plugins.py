from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
from pydantic import ValidationError

from pytest_inferopt.domain.artifact import Artifact, RunOptions
from pytest_inferopt.domain.plugins import Framework, Runtime, Technique

if TYPE_CHECKING:
    from pathlib import Path


class Halved(Technique):
    """Half of everything.

    Attributes:
        rounds: how often.
    """

    name: ClassVar[str] = "halved"

    rounds: int = 1

    def gives(self, takes):
        return takes

    def apply(self, model, bench):
        raise AssertionError(model, bench)


def of_ours(*roots):
    """A framework whose models come from these modules."""

    class Ours(Framework):
        """A framework."""

        name: ClassVar[str] = "ours"
        module_roots: ClassVar[tuple[str, ...]] = roots
        suffixes: ClassVar[tuple[str, ...]] = (".ours", ".txt")

        def _unused(self, *_, **__):
            raise AssertionError

        save = load = describe = to_onnx = open = fingerprint = _unused

    return Ours()


def test_the_summary_of_a_plugin_is_the_first_line_of_its_docstring():
    assert Halved.summary() == "Half of everything."


def test_the_options_of_a_plugin_are_its_fields_and_do_not_change():
    assert Halved(rounds=2) == Halved.model_validate({"rounds": 2}) != Halved()
    with pytest.raises(ValidationError, match="frozen"):
        Halved().rounds = 3
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Halved(round=2)


def test_a_framework_owns_the_models_whose_class_descends_from_one_of_its_own_the_nearer_the_better():
    base = type("Base", (), {"__module__": "ours.models"})
    child = type("Child", (base,), {"__module__": "elsewhere"})
    grandchild = type("Grandchild", (child,), {"__module__": "ours_too"})
    models = [base(), child(), grandchild(), object()]
    assert [of_ours("ours").owns(model) for model in models] == [0, 1, 2, None]
    assert [of_ours("ours", "ours_too").owns(model) for model in models] == [0, 1, 0, None]
    assert [of_ours().owns(model) for model in models] == [None] * 4


@pytest.mark.parametrize(("name", "is_claimed"), [("m.ours", True), ("M.OURS", True), ("m.pkl", False), ("m", False)])
def test_a_framework_claims_a_file_by_its_suffix(tmp_path: Path, name, is_claimed):
    assert of_ours().claims(tmp_path / name) == is_claimed


def test_a_runtime_that_cannot_tell_what_operators_take_has_an_empty_profile(tmp_path):
    class Plain(Runtime):
        """A runtime."""

        name: ClassVar[str] = "plain"

        def open(self, artifact, options):
            raise AssertionError(artifact, options)

        def inspect(self, artifact):
            return artifact

    assert Plain().profile(Artifact("onnx", tmp_path), RunOptions(), [1], calls=1, folder=tmp_path) == ()
