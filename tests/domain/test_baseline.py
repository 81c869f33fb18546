from __future__ import annotations

import hashlib
import json
import re

import pytest
from pydantic import ValidationError

from pytest_inferopt.domain.baseline import (
    SCHEMA_VERSION,
    BaselineFile,
    BaselineVariant,
    Manifest,
    manifest_text,
    parse_manifest,
)
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.errors import NotMeasuredError, UsageError

COMMIT = "3f9c2e1a7b5d4c6e8f90123456789abcdef01234"
HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
FILE = BaselineFile(name="model.onnx", sha256="a" * 64, size_bytes=7)


def manifest(**changes):
    variant = BaselineVariant(format="onnx", files=(FILE,), sha256="a" * 64, artifact={"signature": None})
    fields = {
        "test_id": "test_a.py::test_a",
        "name": "churn",
        "commit": COMMIT,
        "saved_at": "2030-01-02T03:04:05+00:00",
        "environment": HERE,
        "variants": {"int8": variant},
    }
    return Manifest(**{**fields, **changes})


def changed(**fields):
    """The document of a manifest with other fields, and the digest that fits them."""
    document = {**json.loads(manifest().model_dump_json()), **fields}
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return json.dumps({**document, "digest": digest})


def test_a_manifest_that_was_written_is_read_again_with_what_is_not_known_of_it():
    told = manifest(environment=HERE.model_copy(update={"moon": "full"}), weather="rain")
    read = parse_manifest(manifest_text(told), where="x.json")
    assert read == told
    assert (read.weather, read.environment.moon) == ("rain", "full")
    assert manifest_text(read) == manifest_text(told)


def test_the_order_of_fields_and_the_spaces_between_them_are_of_no_account():
    document = json.loads(manifest_text(manifest()))
    turned = json.dumps(dict(reversed(document.items())))
    assert parse_manifest(turned, where="x.json") == manifest()


def test_f76_a_byte_that_is_changed_or_missing_anywhere_is_told_or_changes_nothing():
    whole = manifest_text(manifest()).encode()
    for at in range(len(whole)):
        for damaged in (
            whole[:at],
            whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
            whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :],
        ):
            try:
                assert parse_manifest(damaged, where="x.json") == manifest()
            except NotMeasuredError:
                continue
            assert json.loads(damaged) == json.loads(whole)


def test_f78_what_a_newer_version_wrote_asks_for_an_upgrade():
    with pytest.raises(UsageError) as caught:
        parse_manifest(changed(schema_version=SCHEMA_VERSION + 1), where="x.json")
    assert re.fullmatch(
        r"x\.json has schema version 2, and this pytest-inferopt \(\S+\) reads up to 1\. Upgrade: pip install "
        r"--upgrade pytest-inferopt\.",
        str(caught.value),
    )


def test_f78_a_newer_version_may_have_given_up_the_digest():
    with pytest.raises(UsageError, match="Upgrade"):
        parse_manifest('{"schema_version": 2}', where="x.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x.json: not valid JSON ("),
        ("[" * 100_000, "x.json: not valid JSON ("),
        (b"\xff\xfe{", "x.json: not valid JSON ("),
        ("[1]", "x.json: no baseline of pytest-inferopt (it names no schema_version)."),
        ('{"schema_version": "1"}', "x.json: no baseline of pytest-inferopt (it names no schema_version)."),
        ('{"schema_version": 1}', "x.json is damaged: its content is not what was written."),
        (changed(name=3), "x.json: name: Input should be a valid string."),
    ],
)
def test_what_is_no_manifest_says_what_is_wrong_with_it(text, message):
    with pytest.raises(NotMeasuredError, match=re.escape(message)):
        parse_manifest(text, where="x.json")


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.onnx.data", "weights/part 1.bin", "größe.onnx", "..data", "x" * 255]
)
def test_a_file_of_a_variant_may_lie_beside_or_below_the_model(name):
    assert BaselineFile(name=name, sha256="a" * 64, size_bytes=0).name == name


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/",
        "",
        ".",
        "..",
        "C:\\x",
        "a\0b",
        "a\nb",
        "x" * 256,
        "x/" * 513 + "x",
    ],
)
def test_f84_a_name_that_leads_elsewhere_is_no_file_of_a_variant(name):
    with pytest.raises(ValidationError, match="it is no plain file name"):
        BaselineFile(name=name, sha256="a" * 64, size_bytes=0)


@pytest.mark.parametrize("digest", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
def test_f84_a_digest_is_64_hexadecimal_digits(digest):
    with pytest.raises(ValidationError, match="sha256"):
        BaselineFile(name="x", sha256=digest, size_bytes=0)


def test_a_variant_has_its_size_from_all_of_its_files_and_none_of_them_twice():
    data = BaselineFile(name="model.onnx.data", sha256="b" * 64, size_bytes=10)
    fields = {"format": "onnx", "sha256": "c" * 64, "artifact": {}}
    assert BaselineVariant(files=(FILE, data), **fields).size_bytes == 17
    assert (FILE.suffix, data.suffix) == (".onnx", ".data")
    with pytest.raises(ValidationError, match="two files have the same name"):
        BaselineVariant(files=(FILE, FILE), **fields)
