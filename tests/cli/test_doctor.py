from __future__ import annotations

import json
import os

import pytest

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.engine import checkup as module
from pytest_inferopt.engine.checkup import Finding, installation, machine, noise_here, repository, store_findings
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import NotMeasuredError
from pytest_inferopt.registry import Broken, Registry, discover


def states(findings):
    return {found.subject: found.state for found in findings}


def test_the_machine_is_looked_at_and_its_noise_is_measured(command):
    ran = command("doctor", "--json")
    found = {one["subject"]: one for one in json.loads(ran.out)}
    assert (ran.code, ran.err) == (0, "")
    assert {
        "pytest-inferopt",
        "runtime",
        "libraries",
        "processor",
        "store",
        "merge base",
        "speed",
        "noise",
    } <= found.keys()
    assert {one["state"] for one in found.values()} <= {"ok", "look"}
    assert "% from process to process, a model beside itself in 6 processes" in found["noise"]["text"]


def test_each_finding_is_a_line_with_a_word_beside_its_mark(command):
    ran = command("doctor", "--no-noise")
    marks = {tuple(line.split()[:2]) for line in ran.out.splitlines() if line[:1] in "✓!✗"}
    assert (ran.code, marks <= {("✓", "ok"), ("!", "look")}, ("✓", "ok") in marks) == (0, True, True)
    assert "merge base: With --inferopt-update-baseline, what is measured becomes one." in ran.out.splitlines()


def test_what_is_wrong_is_the_exit_code(command, store):
    folder = store.folder("baselines/churn-0123456789abcdef")
    (folder / "no-commit.json").write_text("{", encoding="utf-8")
    ran = command("doctor", "--no-noise")
    assert (ran.code, "✗ wrong" in ran.out, "not valid JSON" in ran.out) == (1, True, True)


def test_a_store_that_cannot_be_written_is_wrong(store, monkeypatch):
    store.folder("models")
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = store_findings(store)
    assert (found.state, found.text.endswith("0 baselines; it cannot be written")) == ("wrong", True)


def test_a_repository_names_its_merge_base(git, project):
    commit = git("rev-parse", "HEAD")[:7]
    assert list(repository(project)) == [
        Finding("merge base", "ok", f"{commit}, where this branch left main"),
        Finding("commit", "ok", f"{commit} on main"),
    ]
    (project / "model.py").write_text("width = 65\n", encoding="utf-8")
    git("checkout", "--quiet", "--detach")
    assert list(repository(project))[-1].text == f"{commit} on no branch, with changed files"


@pytest.mark.parametrize(
    ("libraries", "state", "text"),
    [
        ({"onnxruntime": "1.0", "onnxruntime-gpu": "1.1"}, "wrong", "onnxruntime 1.0 and onnxruntime-gpu 1.1 are"),
        ({"onnxruntime-gpu": "1.1"}, "ok", "onnxruntime-gpu 1.1"),
        ({}, "wrong", "no onnxruntime"),
    ],
)
def test_exactly_one_runtime_is_right(monkeypatch, libraries, state, text):
    here = Environment.here().model_copy(update={"libraries": libraries})
    monkeypatch.setattr(Environment, "here", classmethod(lambda _: here))
    found = next(one for one in installation(discover()) if one.subject == "runtime")
    assert (found.state, found.text.startswith(text)) == (state, True)


def test_what_is_missing_or_broken_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "skl2onnx" else name)
    registry = discover()
    framework = registry.plugins["frameworks"]["sklearn"]
    needy = type("Needy", (framework,), {"needs": ("no_such_library",), "extra": "torch", "name": "torch"})
    plugins = {**registry.plugins, "frameworks": {"torch": needy}}
    found = list(installation(Registry(plugins, (Broken("techniques", "mine.fp4", "SyntaxError: bad"),))))
    told = [one for one in found if one.state != "ok"]
    assert [(one.subject, one.state) for one in told] == [
        ("converter", "look"),
        ("converter", "look"),
        ("converter", "look"),
        ("framework torch", "look"),
        ("techniques plugin", "wrong"),
    ]
    assert told[0].next_step == 'pip install "pytest-inferopt[sklearn]"'
    assert told[3].text == "torch needs no_such_library, not installed here."
    assert told[4].text == "mine.fp4: SyntaxError: bad"


def placed(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="ascii")


def test_what_bounds_the_processor_is_told_where_the_kernel_says_it(tmp_path):
    cpu, group = "sys__devices__system__cpu__", "sys__fs__cgroup__"
    assert states(machine(tmp_path)).keys() == {"processor"}
    files = {
        f"{cpu}cpu0__cpufreq__scaling_governor": "powersave",
        f"{cpu}intel_pstate__no_turbo": "0",
        f"{group}cpuDOTmax": "50000 100000",
        f"{group}memoryDOTmax": "4000000000",
    }
    placed(tmp_path, **files)
    found = {one.subject: (one.state, one.text) for one in machine(tmp_path)}
    assert (found["governor"], found["turbo"]) == (("look", "powersave"), ("look", "on"))
    count = Environment.here().cpu_count
    assert (found["quota"], found["memory"]) == (("look", f"0.5 of {count} processors"), ("ok", "at most 4.0 GB"))


def test_a_steady_processor_is_no_finding_to_look_at(tmp_path):
    cpu, group = "sys__devices__system__cpu__", "sys__fs__cgroup__"
    files = {
        f"{cpu}cpu0__cpufreq__scaling_governor": "performance",
        f"{cpu}cpufreq__boost": "0",
        f"{group}cpuDOTmax": "99900000 100000",
        f"{group}memoryDOTmax": "max",
    }
    placed(tmp_path, **files)
    assert states(machine(tmp_path)) == {"processor": "ok", "governor": "ok", "turbo": "ok", "quota": "ok"}


class Still:
    """A recorder that found this spread."""

    def __init__(self, sd):
        self.sd = sd

    def __call__(self, *_, **__):
        return self

    def record(self, *_, **__):
        values = module_values(self.sd)
        return type("Record", (), {"values": values})()


def module_values(sd):
    import numpy as np

    return np.array([[-sd], [0.0], [sd]]) / 1.4826


@pytest.mark.parametrize(
    ("sd", "state", "advice"), [(0.005, "ok", ""), (0.015, "look", "may stay"), (0.03, "look", "Too loud")]
)
def test_the_noise_is_judged_by_what_a_gate_can_see_with_it(tmp_path, monkeypatch, sd, state, advice):
    monkeypatch.setattr(module, "Recorder", Still(sd))
    with Worker() as worker:
        found = {one.subject: one for one in noise_here(worker, tmp_path)}["noise"]
    assert (found.state, advice in found.next_step, f"{100 * sd:.2f} %" in found.text) == (state, True, True)


def test_a_machine_on_which_no_model_runs_is_wrong(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise NotMeasuredError("no onnx", "Install it.")

    monkeypatch.setattr(module, "make_network", fail)
    with Worker() as worker:
        found = {one.subject: one for one in noise_here(worker, tmp_path)}["noise"]
    assert found == Finding("noise", "wrong", "no model could be timed: no onnx", "Install it.")


@pytest.mark.parametrize(
    ("ticks", "stolen", "pressure", "told"),
    [
        (100, 10, 0.2, {"steal": "look", "pressure": "look"}),
        (100, 0, 0.0, {"steal": "ok", "pressure": "ok"}),
        (0, 0, None, {}),
    ],
)
def test_what_the_host_and_others_take_is_told_where_somebody_counts(
    tmp_path, monkeypatch, ticks, stolen, pressure, told
):
    class Counters:
        @classmethod
        def now(cls):
            return cls()

        def until(self, _):
            return {"ticks": ticks, "stolen_ticks": stolen, "pressure_share": pressure}

    monkeypatch.setattr(module, "Sensors", Counters)
    monkeypatch.setattr(module, "make_network", lambda *_, **__: (_ for _ in ()).throw(NotMeasuredError("left out")))
    with Worker() as worker:
        found = states(noise_here(worker, tmp_path))
    assert {subject: found[subject] for subject in ("steal", "pressure") if subject in found} == told
