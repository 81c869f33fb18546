"""What the tests of one option each have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LOAD = "import numpy as np\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
USAGE_ERROR = 4


@pytest.fixture
def holds(inferopt_run: Callable[..., pytest.RunResult]) -> Callable[..., pytest.RunResult]:
    """`holds(claim, *options)`: a test passes in which the claim about its `result` holds under these options."""

    def holds(claim: str, *options: str, fast: bool = True) -> pytest.RunResult:
        body = f"def test_digits(inferopt):\n    result = inferopt('model.onnx', x, y)\n    assert {claim}, {claim!r}\n"
        run = inferopt_run(LOAD + body, *options, fast=fast)
        run.assert_outcomes(passed=1)
        return run

    return holds


@pytest.fixture
def usage_error(inferopt_run: Callable[..., pytest.RunResult]) -> Callable[..., None]:
    """`usage_error(option, words)`: pytest ends with exit code 4 and these words, before any test runs."""

    def usage_error(option: str, words: str) -> None:
        result = inferopt_run("def test_nothing(): pass\n", option)
        assert result.ret == USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: *{words}*"])
        result.stdout.no_fnmatch_line("*passed*")

    return usage_error
