from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_inferopt.domain import environment
from pytest_inferopt.domain.environment import Environment

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni
"""
GRAVITON = """processor\t: 0
Features\t: fp asimd asimddp i8mm sve
CPU implementer\t: 0x41
"""


@pytest.fixture
def cpu(monkeypatch):
    """`cpu(text)` is what the environment makes of this /proc/cpuinfo; None is a machine that has none."""

    def cpu(text):
        def read_text(path, **_):
            assert str(path) == "/proc/cpuinfo"
            if text is None:
                raise FileNotFoundError(path)
            return text

        environment._cpu.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_text", read_text)
            patch.setattr(platform, "machine", lambda: "aarch64")
            patch.setattr(platform, "processor", lambda: "")
            return environment._cpu()

    yield cpu
    environment._cpu.cache_clear()


def machine(**changes):
    fields = {
        "cpu_model": "Intel Xeon",
        "cpu_count": 2,
        "isa_flags": ("avx2", "avx512f"),
        "python": "3.11.9",
        "system": "linux x86_64",
    }
    return Environment(**{**fields, **changes})


def test_this_machine_is_read_without_running_anything():
    here = Environment.here()
    assert (here.python, here.system) == (platform.python_version(), f"{sys.platform} {platform.machine()}")
    assert here.libraries["numpy"] == version("numpy")
    assert "tensorflow" not in here.libraries or version("tensorflow")
    assert here.cpu_model.strip() == here.cpu_model != ""


def test_processors_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert Environment.here().cpu_count == 3


@pytest.mark.parametrize(("count", "shown"), [(6, 6), (None, 1)])
def test_where_a_system_has_no_affinity_all_processors_count(monkeypatch, count, shown):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert Environment.here().cpu_count == shown


def test_an_intel_processor_is_named_without_noise_and_with_the_flags_that_matter(cpu):
    assert cpu(XEON) == ("Intel Xeon Platinum 8358", ("avx2", "avx512f", "avx512_vnni"))


def test_an_arm_processor_has_features_and_no_model_name(cpu):
    assert cpu(GRAVITON) == ("aarch64", ("asimddp", "i8mm", "sve"))


def test_a_machine_without_proc_is_named_by_its_architecture(cpu):
    assert cpu(None) == ("aarch64", ())


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        ((), "no vector flags"),
        (("avx2",), "avx2"),
        (("avx2", "avx512f"), "avx512f"),
        (("avx2", "avx512f", "avx512_vnni"), "avx512_vnni"),
        (("avx2", "avx512_vnni", "amx_int8"), "amx_int8"),
        (("asimddp",), "asimddp"),
    ],
)
def test_the_headline_names_the_extension_that_runs_integers_best(flags, best):
    assert machine(isa_flags=flags).headline == f"2×Intel Xeon ({best})"


def test_c48_results_are_comparable_only_on_the_same_processor_with_the_same_extensions():
    base = machine()
    assert base.comparable_to(machine(cpu_count=64, python="3.13.0", libraries={"numpy": "9"}))
    assert not base.comparable_to(machine(cpu_model="AMD EPYC"))
    assert not base.comparable_to(machine(isa_flags=("avx2", "avx512f", "avx512_vnni")))


def test_what_a_newer_writer_knew_of_a_machine_is_kept():
    document = {**machine().model_dump(mode="json"), "steal": 0.5}
    assert Environment.model_validate(document).model_dump(mode="json") == document


def test_the_facts_are_the_machine_and_then_the_versions():
    here = Environment(
        cpu_model="Xeon", cpu_count=2, isa_flags=("avx2", "amx_int8"), python="3.11.9", system="linux x86_64",
        libraries={"numpy": "2.4.6"},
    )  # fmt: skip
    assert here.facts == (
        ("processor", "2× Xeon"),
        ("instructions", "avx2, amx_int8"),
        ("system", "linux x86_64"),
        ("Python", "3.11.9"),
        ("numpy", "2.4.6"),
    )
    assert here.model_copy(update={"isa_flags": ()}).facts[1] == ("instructions", "–")
