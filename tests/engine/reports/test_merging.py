"""Several reports as one."""

from __future__ import annotations

import pytest

from pytest_inferopt.engine.reports.files import FoundReport
from pytest_inferopt.engine.reports.merging import merge_reports
from pytest_inferopt.errors import UsageError


@pytest.fixture
def shard(reports):
    """`shard("churn", python="3.12")`: the report of a job with one model, on a machine of its own."""

    def shard(*names, where="a", report=None, **machine):
        here = reports.HERE.model_copy(update=machine)
        results = (reports.result(reports.variant(), name=name, environment=here) for name in names)
        return FoundReport(where, reports.report(*results, environment=here, **(report or {})))

    return shard


def names(*shards):
    return [result.name for result in merge_reports(shards).results]


def test_all_results_are_in_one_report_in_the_order_of_the_shards(shard, reports):
    one = shard("churn", report={"created_at": "2030-01-02T03:00:00+00:00", "incidents": ("gw1 died",)})
    two = shard("price", "rank", report={"created_at": "2030-01-02T04:00:00+00:00", "command": "pytest b"})
    merged = merge_reports([one, two])
    assert [result.name for result in merged.results] == ["churn", "price", "rank"]
    assert (merged.created_at, merged.command, merged.incidents, merged.is_partial) == (
        "2030-01-02T04:00:00+00:00",
        "pytest --inferopt tests/test_churn.py; pytest b",
        ("gw1 died",),
        False,
    )
    assert (merged.git, merged.environment) == (reports.GIT, reports.HERE)


def test_a_shard_that_was_ended_makes_the_whole_partial_and_a_red_one_makes_it_red(shard, reports):
    assert merge_reports([shard("a"), shard("b", report={"is_partial": True})]).verdict == "partial"
    red = FoundReport("b", reports.report(reports.result(reports.failed_variant(), name="b")))
    assert merge_reports([shard("a"), red]).verdict == "red"


def test_raw_samples_stay_where_they_are(reports):
    samples = reports.Samples(path="../../etc/passwd", sha256="3" * 64)
    merged = merge_reports([FoundReport("a", reports.report(reports.result(reports.variant(), samples=samples)))])
    assert [result.samples for result in merged.results] == [None]


def test_one_model_of_two_shards_is_kept_twice_and_told_apart_by_its_machine(shard):
    assert names(shard("churn", "price"), shard("churn", python="3.12.4")) == [
        "churn (Python 3.11.9)",
        "price",
        "churn (Python 3.12.4)",
    ]


@pytest.mark.parametrize(
    ("machines", "labels"),
    [
        ([{}, {"system": "linux aarch64"}], ["linux x86_64", "linux aarch64"]),
        ([{}, {"cpu_model": "AMD EPYC"}], ["2× Intel Xeon", "2× AMD EPYC"]),
        ([{}, {"isa_flags": ()}], ["avx2, avx512f, avx512_vnni", "no vector flags"]),
        ([{}, {"libraries": {"numpy": "2.4.6"}}], ["onnxruntime 1.31.1", "no onnxruntime"]),
        ([{"python": "3.12", "cpu_model": "x"}, {"cpu_model": "y"}], ["Python 3.12", "Python 3.11.9"]),
        (
            [{}, {"python": "3.12"}, {"cpu_model": "x"}],
            ["Python 3.11.9, 2× Intel Xeon", "Python 3.12, 2× Intel Xeon", "Python 3.11.9, 2× x"],
        ),
    ],
)
def test_as_few_facts_as_tell_the_machines_apart_stand_in_the_name(shard, machines, labels):
    assert names(*(shard("churn", **machine) for machine in machines)) == [f"churn ({label})" for label in labels]


def test_machines_that_are_alike_are_told_apart_by_the_shards_number(shard):
    later = {"created_at": "2031-01-01T00:00:00+00:00"}
    assert names(shard("churn"), shard("churn", report=later)) == ["churn (shard 1)", "churn (shard 2)"]


def test_two_tests_of_one_shard_that_call_their_models_alike_stay_as_they_are(shard):
    assert names(shard("churn", "churn"), shard("price")) == ["churn", "churn", "price"]


def test_a_report_that_is_given_twice_counts_once(shard):
    assert names(shard("churn"), shard("price", where="b"), shard("churn", where="c")) == ["churn", "price"]


def test_reports_of_two_commits_are_not_merged(shard, reports):
    other = reports.GIT.model_copy(update={"commit": "b" * 40})
    with pytest.raises(UsageError) as caught:
        merge_reports([shard("a"), shard("b", where="b.json", report={"git": other})])
    assert str(caught.value) == (
        "the reports are of different commits: a was measured at 3f9c2e1, b.json at bbbbbbb. "
        "Merge the reports of one run."
    )


def test_a_shard_outside_of_a_repository_does_not_hide_the_others_commit(shard, reports):
    clean = reports.GIT.model_copy(update={"is_dirty": False})
    none = shard("a", report={"git": None})
    assert merge_reports([none, shard("b", report={"git": clean})]).git == clean
    assert merge_reports([shard("b", report={"git": clean}), shard("c")]).git == reports.GIT
    assert merge_reports([none]).git is None
