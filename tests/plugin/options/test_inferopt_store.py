"""--inferopt-store."""

from __future__ import annotations

import pytest


def test_optimized_models_are_kept_there(holds):
    holds("'/kept/models/' in result.optimized.path", "--inferopt-store=kept")


def test_e69_where_it_cannot_be_written_the_run_warns_and_judges_all_the_same(holds, tmp_path):
    (tmp_path / "file").touch()
    run = holds("result.passed", f"--inferopt-store={tmp_path / 'file' / 'store'}")
    run.stdout.fnmatch_lines(
        ["*the store *file/store cannot be written (Not a directory); a temporary folder is used*"]
    )


@pytest.mark.parametrize("place", ["table", "option"])
def test_a_home_folder_is_meant_where_no_shell_has_read_the_tilde(inferopt_run, repo, monkeypatch, tmp_path, place):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    repo.makepyprojecttoml("[tool.inferopt]\nstore = '~/kept'\n" if place == "table" else "")
    text = (
        "import numpy as np\nROWS = np.load('rows.npz')\n"
        "def test_digits(inferopt):\n    inferopt('model.onnx', ROWS['x'], ROWS['y'])\n"
    )
    inferopt_run(text, *(["--inferopt-store=~/kept"] if place == "option" else [])).assert_outcomes(passed=1)
    assert (tmp_path / "home" / "kept" / "models").is_dir()
    assert not (repo.path / "~").exists()


def test_a_home_folder_of_nobody_is_a_usage_error(inferopt_run):
    run = inferopt_run("def test_nothing(): pass\n", "--inferopt-store=~no-such-user/kept")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["ERROR: store '~no-such-user/kept': whose home folder is meant is not known. *"])
