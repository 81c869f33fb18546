from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_inferopt.datasets.files import Csv, Parquet
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError

pd = pytest.importorskip("pandas")

TABLE = {"age": [30, 40, 50], "city": ["Ulm", "Bonn", None], "query": [1, 1, 2], "churned": [0, 1, 0]}


def csv(folder: Path, content: bytes | str) -> Path:
    path = folder / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, **options: Any) -> tuple[type, str]:
    """The error that reading `path` ends in, and its text after the path."""
    with pytest.raises((UsageError, NotMeasuredError)) as caught:
        Csv(path=path, **options).load()
    return type(caught.value), str(caught.value).replace(str(path), "PATH")


@pytest.fixture(params=["csv", "parquet"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The same table from either source, as a function of its options."""
    path = tmp_path / f"data.{request.param}"
    frame = pd.DataFrame(TABLE)
    if request.param == "csv":
        frame.to_csv(path, index=False)
        return lambda **options: Csv(path=path, **options)
    pytest.importorskip("pyarrow")
    frame.to_parquet(path)
    return lambda **options: Parquet(path=path, **options)


def test_a_table_stays_a_table_with_target_and_groups_set_apart(table) -> None:
    data = table(target="churned", groups="query").load()
    pd.testing.assert_frame_equal(data.x, pd.DataFrame(TABLE)[["age", "city"]])
    assert (data.y.tolist(), data.groups.tolist(), data.rows) == ([0, 1, 0], [1, 1, 2], 3)


def test_without_a_target_every_column_is_an_input(table) -> None:
    data = table().load()
    assert (list(data.x.columns), data.y, data.groups) == (["age", "city", "query", "churned"], None, None)


def test_the_named_columns_come_in_the_named_order(table) -> None:
    data = table(target="churned", columns=["city", "age"]).load()
    assert list(data.x.columns) == ["city", "age"]


def test_a_grouping_column_may_also_be_an_input(table) -> None:
    data = table(groups="query", columns=["query"]).load()
    assert (data.x["query"].tolist(), data.groups.tolist()) == ([1, 1, 2], [1, 1, 2])


def test_a_limit_takes_the_first_rows(table) -> None:
    assert table(limit=2).load().x["age"].tolist() == [30, 40]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "churnd"}, "target: '{path}' has no column 'churnd'; did you mean 'churned'?"),
        ({"groups": "zzz"}, "groups: '{path}' has no column 'zzz'; known: age, churned, city, query"),
        ({"columns": ["Age"]}, "columns: '{path}' has no column 'Age'; did you mean 'age'?"),
        (
            {"target": "age", "columns": ["age"]},
            "columns: 'age' is the target of '{path}'. Leave it out of the columns.",
        ),
    ],
)
def test_a_column_that_does_not_fit_is_a_usage_error_with_a_suggestion(table, options, said: str) -> None:
    source = table(**options)
    with pytest.raises(UsageError) as caught:
        source.load()
    assert str(caught.value) == said.format(path=source.path)


def test_a_table_without_rows_is_not_measured(table) -> None:
    source = table()
    empty = pd.DataFrame(TABLE).head(0)
    empty.to_csv(source.path, index=False) if isinstance(source, Csv) else empty.to_parquet(source.path)
    with pytest.raises(NotMeasuredError) as caught:
        source.load()
    assert str(caught.value) == f"'{source.path}' has no rows to measure with. Give a table with rows."


def test_a_table_of_the_target_alone_is_a_usage_error(tmp_path: Path) -> None:
    assert refusal(csv(tmp_path, "y\n1\n"), target="y") == (
        UsageError,
        "'PATH' has no column beside target and groups. Add the model's inputs.",
    )


@pytest.mark.parametrize("source", [Csv, Parquet])
@pytest.mark.parametrize("make", [None, Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_a_usage_error_and_never_blocks(tmp_path: Path, source, make) -> None:
    path = tmp_path / "data"
    if make:
        make(path)
    with pytest.raises(UsageError, match=r"^the dataset '"):
        source(path=path).load()


@pytest.mark.parametrize(("source", "library"), [(Csv, "pandas"), (Parquet, "pandas"), (Parquet, "pyarrow")])
def test_a_missing_library_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source, library: str
) -> None:
    path = csv(tmp_path, "a\n1\n")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError) as caught:
        source(path=path).load()
    assert (f"needs {library}," in caught.value.message, caught.value.hint) == (True, f"pip install {library}")


# CSV


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"name,y\nJos\xc3\xa9,1\n", {}),
        (b"\xef\xbb\xbfname,y\r\nJos\xc3\xa9,1\r\n", {}),
        (b"name,y\nJos\xe9,1\n", {"encoding": "latin-1"}),
        ("name,y\nJosé,1\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("name;y\nJosé;1\n".encode(), {"separator": ";"}),
        ('\nname,y\n\n"José",1\n\n'.encode(), {}),
        (b"name,y\nJos\xc3\xa9,1\na,b,c,d\n", {"limit": 1}),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path: Path, content: bytes, options: dict[str, Any]) -> None:
    data = Csv(path=csv(tmp_path, content), target="y", **options).load()
    assert (data.x.to_dict("list"), data.y.tolist()) == ({"name": ["José"]}, [1])


def test_a_long_text_with_line_ends_is_one_field(tmp_path: Path) -> None:
    text = "line\n" * 100_000
    assert Csv(path=csv(tmp_path, f'text,y\n"{text}",1\n')).load().x["text"].tolist() == [text]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"a,b\n1,2\n3\n", {}, "line 3: the number of fields is 1, the header's is 2. "),
        (b"a,b\n1,2\n3,4,5\n", {}, "line 3: the number of fields is 3, the header's is 2. "),
        (b"a,b\n1,2,3\n1,2,3\n", {}, "line 2: the number of fields is 3, the header's is 2. "),
        (b'a,b\n"1\n2",2\n3\n', {}, "line 4: the number of fields is 1, the header's is 2. "),
        (b"a,b\n1,2\n\x00,4\n", {}, "line 3: holds a NUL byte. Save the file as plain text."),
        (
            b"a,b\n1,Jos\xe9\n",
            {},
            ('line 2: holds the byte 0xe9, which is not utf-8. Give the file\'s encoding, as encoding="latin-1".'),
        ),
        (b"\na,b,a\n1,2,3\n", {}, "line 2: names the column 'a' twice. Rename one of them."),
    ],
)
def test_a_line_that_would_be_misread_is_a_usage_error_that_names_it(
    tmp_path: Path, content: bytes, options: dict[str, Any], said: str
) -> None:
    kind, message = refusal(csv(tmp_path, content), **options)
    assert (kind, message.startswith(f"'PATH', {said}")) == (UsageError, True)


@pytest.mark.parametrize(
    ("content", "options", "outcome"),
    [
        (b"", {}, (NotMeasuredError, "'PATH' has no rows and no header. Give a table with rows.")),
        (
            b"a,b\n1,2\n",
            {"encoding": "utf-16"},
            (UsageError, "'PATH' is not text in utf-16. Give the file's encoding, as encoding=\"latin-1\"."),
        ),
    ],
)
def test_a_file_that_is_no_table_is_told_from_one(tmp_path: Path, content, options, outcome) -> None:
    assert refusal(csv(tmp_path, content), **options) == outcome


def test_what_only_pandas_finds_is_a_usage_error_too(tmp_path: Path) -> None:
    path = csv(tmp_path, b"a\n1\n" + b"2\n" * 10 + b"\xe9\n")
    assert refusal(path, limit=1)[0] is UsageError


def test_a_file_that_may_not_be_read_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = csv(tmp_path, "a\n1\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no permission bit stops.
    monkeypatch.setattr(Path, "open", denied)
    assert refusal(path) == (
        UsageError,
        "the dataset 'PATH' cannot be read: Permission denied. Check its permissions.",
    )


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "utf-9"},
        {"separator": ""},
        {"separator": ";;"},
        {"separator": "\n"},
        {"limit": 0},
        {"limit": "3"},
        {"columns": []},
        {"targt": "y"},
    ],
)
def test_an_option_that_makes_no_sense_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Csv(path="data.csv", **options)


# Parquet


def test_a_damaged_parquet_file_is_a_usage_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    pd.DataFrame(TABLE).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError) as caught:
        Parquet(path=path).load()
    assert caught.value.message.startswith(f"'{path}' does not parse as Parquet: ")


def test_row_labels_are_dropped_so_that_rows_count_from_zero(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    pd.DataFrame(TABLE, index=[7, 8, 9]).to_parquet(path)
    assert Parquet(path=path).load().x.index.tolist() == [0, 1, 2]
