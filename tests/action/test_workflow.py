"""What a step tells its runner: values stay values, whatever stands in them."""

from __future__ import annotations

import re

import pytest

from steps.workflow import annotate, say, set_outputs, summarize, without_commands


def outputs_of(text):
    """The outputs as a runner reads them: https://docs.github.com/actions multiline strings."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if line:
            name, mark = line.split("<<", 1)
            value = []
            for inner in lines:
                if inner == mark:
                    break
                value.append(inner)
            found[name] = "\n".join(value)
    return found


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The files of a step's outputs and of its summary."""
    paths = {}
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        paths[name] = tmp_path / name
        monkeypatch.setenv(name, str(paths[name]))
    return paths


def test_an_annotation_keeps_its_line_and_its_properties_whatever_they_hold(capsys):
    annotate("error", "100 % slower\r\n::warning::not ours", title="a,b:c", file="tests/a:b,c.py", line=12)
    assert capsys.readouterr().out == (
        "::error file=tests/a%3Ab%2Cc.py,line=12,title=a%2Cb%3Ac::100 %25 slower%0D%0A::warning::not ours\n"
    )


def test_an_annotation_without_a_file_names_no_line(capsys):
    annotate("notice", "not protected", line=3)
    assert capsys.readouterr().out == "::notice title=pytest-inferopt::not protected\n"


@pytest.mark.parametrize("value", ["", "onnx", "a\nb", "a\nconclusion<<EOF\nsuccess\nEOF", "x=y", "end-0\n"])
def test_an_output_is_read_as_it_was_written(written, value):
    set_outputs({"best-variant": value, "conclusion": "failure"})
    found = outputs_of(written["GITHUB_OUTPUT"].read_text(encoding="utf-8"))
    assert found == {"best-variant": value, "conclusion": "failure"}


@pytest.mark.parametrize("line", ["::error::no", "  ::set-env name=a::b", "##[error]no"])
def test_a_line_of_the_log_is_no_command(capsys, line):
    say(line)
    assert capsys.readouterr().out == f" {line}\n"


def test_commands_are_stopped_with_a_word_that_nobody_knows_and_begin_again_whatever_happens(capsys):
    with pytest.raises(KeyboardInterrupt), without_commands():
        raise KeyboardInterrupt
    before, after = capsys.readouterr().out.split()
    token = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", before)[1]
    assert after == f"::{token}::"


def test_a_summary_is_added_to_what_is_there(written):
    assert summarize("# first")
    assert summarize("second\n")
    assert written["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8") == "# first\nsecond\n"


def test_i109_a_summary_of_more_than_900_kb_is_not_written(written):
    assert summarize("é" * 449_999)
    before = written["GITHUB_STEP_SUMMARY"].read_bytes()
    assert not summarize("é" * 450_001)
    assert written["GITHUB_STEP_SUMMARY"].read_bytes() == before
