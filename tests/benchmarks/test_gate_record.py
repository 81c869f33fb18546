"""A recording that was cut off goes on; nothing is timed here."""

from __future__ import annotations

import pytest

from benchmarks.gate.__main__ import main
from benchmarks.gate.burner import burning
from benchmarks.gate.files import read_json, write_json
from benchmarks.gate.record import count, raw_folder
from benchmarks.gate.recorded import gather
from benchmarks.gate.replicates import contrasts
from benchmarks.gate.series import Series

SERIES = Series("mlp", "same", "quiet")


def test_a_replicate_counts_once_its_document_is_there(tmp_path):
    folder = raw_folder(tmp_path, SERIES)
    assert count(tmp_path, SERIES) == 0
    write_json(folder / "000.json", {})
    (folder / "001.npz").write_bytes(b"cut off before its document was written")
    (folder / ".001.json.part").write_bytes(b"{")
    assert count(tmp_path, SERIES) == 1
    write_json(folder / "001.json", {})
    write_json(folder / "003.json", {})
    assert count(tmp_path, SERIES) == 2


def test_a_document_is_whole_or_not_there(tmp_path):
    write_json(tmp_path / "deep" / "one.json", {"a": [1, None]})
    assert read_json(tmp_path / "deep" / "one.json") == {"a": [1, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "deep" / "one.json", {"a": object()})
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["one.json"]
    assert read_json(tmp_path / "deep" / "one.json") == {"a": [1, None]}


def test_a_replicate_with_an_error_ends_the_recording():
    cells = [{"contrast": 0.1}, {"error": {"message": "batch size 16 failed"}}]
    with pytest.raises(SystemExit, match="batch size 16 failed"):
        contrasts({"cells": cells})
    assert contrasts({"cells": cells[:1]}) == [0.1]


def test_nothing_recorded_says_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match=r"run python -m benchmarks\.gate record"):
        gather(tmp_path)


def test_a_step_that_is_not_known_is_refused_before_anything_runs(capsys):
    with pytest.raises(SystemExit):
        main(["judge", "tabel"])
    assert "no step is named 'tabel'; there are record, tune, judge, live, versions, table" in capsys.readouterr().err


def test_the_other_processors_are_busy_inside_and_free_after():
    with burning() as count_of_processes:
        assert count_of_processes >= 1
