"""--inferopt-store."""

from __future__ import annotations


def test_optimized_models_are_kept_there(holds):
    holds("'/kept/models/' in result.optimized.path", "--inferopt-store=kept")


def test_e69_where_it_cannot_be_written_the_run_warns_and_judges_all_the_same(holds, tmp_path):
    (tmp_path / "file").touch()
    run = holds("result.passed", f"--inferopt-store={tmp_path / 'file' / 'store'}")
    run.stdout.fnmatch_lines(
        ["*the store *file/store cannot be written (Not a directory); a temporary folder is used*"]
    )
