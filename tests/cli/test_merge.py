"""``pytest-inferopt merge``: the reports of a matrix as one."""

from __future__ import annotations

import json
import zipfile

import pytest

from pytest_inferopt.domain.report import parse_report


@pytest.fixture
def shards(reports, tmp_path):
    """A folder, a file and an archive: the same model under three versions of Python, and another one."""
    found = []
    for number, python in enumerate(("3.11.9", "3.12.4", "3.13.1")):
        here = reports.HERE.model_copy(update={"python": python})
        results = [reports.regressed("churn"), *([reports.improved("price")] if number == 1 else [])]
        made = [result.model_copy(update={"environment": here}) for result in results]
        document = json.dumps(reports.report(*made, environment=here).to_dict())
        path = tmp_path / f"shard-{python}"
        if number == 0:
            path.mkdir()
            (path / "report.json").write_text(document, encoding="utf-8")
        elif number == 1:
            path.write_text(document, encoding="utf-8")
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("report.json", document)
        found.append(path)
    return found


def test_a_matrix_becomes_one_report_that_every_report_is_drawn_from(command, shards, tmp_path):
    out = tmp_path / "all" / "report.json"
    ran = command("merge", *shards, "--output", out)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(
        f"{out}: 3 reports merged. 3 of 4 models are red: churn (Python 3.11.9): int8 at batch 16"
    )
    merged = parse_report(out.read_bytes(), where="out")
    names = ["churn (Python 3.11.9)", "churn (Python 3.12.4)", "price", "churn (Python 3.13.1)"]
    assert [result.name for result in merged.results] == names
    types = {"md": "a.md", "html": "a.html", "csv": "a.csv", "comment": "b.md"}
    drawn = [option for kind, name in types.items() for option in ("--type", f"{kind}:{tmp_path / name}")]
    assert command("report", out, *drawn).code == 1
    for name in types.values():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert all(found in text for found in names)


def test_what_was_merged_is_told_as_a_document(command, shards, tmp_path):
    out = tmp_path / "report.json"
    ran = command("merge", "--json", *shards, "--output", out)
    document = json.loads(ran.out)
    assert (document["path"], document["verdict"], len(document["models"])) == (str(out), "red", 4)
    assert document["reports"] == [f"{shards[0]}/report.json", str(shards[1]), f"{shards[2]}: report.json"]


def test_j116_nothing_is_written_where_a_shard_is_refused(command, shards, tmp_path):
    out = tmp_path / "report.json"
    out.write_text("before", encoding="utf-8")
    with zipfile.ZipFile(shards[2], "a") as archive:
        archive.writestr("../report.json", "{}")
    ran = command("merge", *shards, "--output", out)
    told = (
        f"pytest-inferopt: {shards[2]} holds '../report.json', which is no place in an artifact. Download the artifact"
    )
    assert (ran.code, ran.out, ran.err) == (5, "", f"{told} again.\n")
    assert out.read_text(encoding="utf-8") == "before"


def test_j117_a_report_that_is_none_is_refused(command, shards, tmp_path):
    shards[1].write_text('{"schema_version": 1, "results": []}', encoding="utf-8")
    ran = command("merge", *shards, "--output", tmp_path / "report.json", "--json")
    error = json.loads(ran.out)["error"]
    assert (ran.code, error["kind"], "environment: Field required" in error["message"]) == (5, "refused", True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shard"], "Missing option '--output'"),
        (["gone", "--output", "x"], "'gone' does not exist"),
        (["empty", "--output", "x"], "empty holds no report.json."),
        (["shard", "--output", "."], "is a folder."),
    ],
)
def test_what_cannot_be_merged_is_a_usage_error(command, project, shards, arguments, told):
    (project / "empty").mkdir()
    (project / "shard").write_bytes(shards[1].read_bytes())
    ran = command("merge", *arguments)
    assert (ran.code, ran.out, told in ran.err) == (2, "", True)


def test_a_report_that_cannot_be_written_is_told(command, shards, tmp_path):
    (tmp_path / "file").touch()
    ran = command("merge", *shards, "--output", tmp_path / "file" / "report.json")
    assert (ran.code, "no merged report: " in ran.err) == (1, True)
