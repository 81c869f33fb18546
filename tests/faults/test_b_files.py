"""Fault B34: CSV files as they come; parsed, or refused with the line."""

from __future__ import annotations

import pytest

from pytest_inferopt.datasets.files import Csv
from pytest_inferopt.errors import UsageError

SOUND = "age,town,churned\n31,Köln,1\n47,Nîmes,0\n"
ROWS = {"age": [31, 47], "town": ["Köln", "Nîmes"]}


@pytest.fixture
def load(tmp_path):
    """`load(content, **options)`: the columns and the targets of a CSV file."""

    def load(content, **options):
        path = tmp_path / "holdout.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = Csv(path=str(path), target="churned", **options).load()
        return {name: column.tolist() for name, column in found.x.items()}, found.y.tolist()

    return load


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (SOUND, {}),
        (b"\xef\xbb\xbf" + SOUND.encode(), {}),
        (SOUND.replace("\n", "\r\n"), {}),
        (SOUND.encode("latin-1"), {"encoding": "latin-1"}),
        (SOUND.replace(",", ";"), {"separator": ";"}),
        (SOUND.replace("Köln", '"Köln"'), {}),
        (SOUND + "\n\n", {}),
    ],
    ids=["plain", "byte order mark", "carriage returns", "latin-1", "semicolons", "quotes", "empty lines"],
)
def test_b34_a_csv_file_of_any_dialect_is_parsed(load, content, options):
    assert load(content, **options) == (ROWS, [1, 0])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            SOUND.encode("latin-1"),
            r"holdout\.csv', line 2: holds the byte 0xf6, which is not utf-8\. Give the file's e",
        ),
        (SOUND + "12,Rom\n", r"holdout\.csv', line 4: the number of fields is 2, the header's is 3\."),
        (SOUND + "12,Rom,1,1\n", r"holdout\.csv', line 4: the number of fields is 4, the header's is 3\."),
        (SOUND.replace("47", "4\0007"), r"holdout\.csv', line 3: holds a NUL byte\."),
        (SOUND.replace("town", "age"), r"holdout\.csv', line 1: names the column 'age' twice\."),
    ],
    ids=["latin-1", "too short", "too long", "NUL", "header"],
)
def test_b34_what_would_be_read_wrongly_is_a_usage_error_with_the_line(load, content, told):
    with pytest.raises(UsageError, match=told):
        load(content)
