"""Every example runs as its README says, in a folder of its own, and ends with the verdicts it promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
OFF = "an inferopt test: run it with pytest --inferopt"

# What the tables must name: model, then variant, then verdict. Which variant is the fastest is not promised.
NETWORK_VARIANTS = ("onnx", "graph", "dynamic", "static", "fp16")
PROMISED = {
    "digits": {
        "forest": {"original sklearn": "reference", "optimized": "passed"},
        "network": {"original sklearn": "reference", "onnx": "passed", "int8": "passed"},
    },
    "breast_cancer": {
        "diagnosis[sklearn]": {"original sklearn": "reference", "optimized": "passed"},
        "diagnosis[xgboost]": {"original xgboost": "reference", "optimized": "passed"},
        "diagnosis[lightgbm]": {"original lightgbm": "reference", "optimized": "passed"},
        "file": {"original sklearn": "reference", "optimized": "passed"},
    },
    "networks": {
        f"digits[{network}]": {"original pytorch": "reference", **dict.fromkeys(NETWORK_VARIANTS, "passed")}
        for network in ("convolutional", "transformer")
    },
    "mixed_columns": {
        "progression": {"original sklearn": "reference", "optimized": "passed"},
    },
}


def test_every_example_is_promised_something():
    assert {path.parent.name for path in EXAMPLES.glob("*/README.md")} == set(PROMISED)


@pytest.mark.parametrize("name", PROMISED)
def test_an_example_passes_with_the_verdicts_it_promises(name, tmp_path):
    run = run_example(name, tmp_path, "--inferopt", "--inferopt-quick", "--inferopt-measure-seconds", "5")

    assert run.returncode == 0, run.stdout + run.stderr
    assert counts(run.stdout) == {"passed": len(PROMISED[name])}
    assert verdicts(run.stdout) == PROMISED[name]


def test_without_the_flag_every_test_of_an_example_is_skipped_and_the_reason_says_what_to_do(tmp_path):
    run = run_example("digits", tmp_path, "-rs")

    assert run.returncode == 0, run.stdout + run.stderr
    assert counts(run.stdout) == {"skipped": len(PROMISED["digits"])}
    assert run.stdout.count(OFF) == len(PROMISED["digits"])


def run_example(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example's tests on a copy of it, so that nothing is written beside the original."""
    copy = shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    environ = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    environ |= {"COLUMNS": "220"}  # no cell of the table is folded
    environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the fit takes four times as long on busy cores
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, timeout=120, check=False)


def counts(output: str) -> dict[str, int]:
    """The last line, ``2 passed, 1 skipped in 3.21s``, as a mapping."""
    return {
        word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", output.splitlines()[-1].split(" in ")[0])
    }


def verdicts(output: str) -> dict[str, dict[str, str]]:
    """The verdict of each variant, by model; arms that are timed only for context, and who is best, are left out."""
    found: dict[str, dict[str, str]] = {}
    for line in output.splitlines():
        if title := re.fullmatch(r"=+ inferopt: (.+?) =+", line):
            found[title[1]] = rows = {}
        elif found and not line.startswith((" ", "variant ")):
            variant, *cells = re.split(r" {2,}", line.strip())
            if cells and cells[-1] != "for context":
                rows[variant] = cells[-1].removesuffix(", best")
    return found
