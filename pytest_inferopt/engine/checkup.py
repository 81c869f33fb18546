"""What is to be known of an installation, a machine and a repository before figures are believed: findings as data."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from pytest_inferopt._version import __version__
from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.calibration.extra_work import make_network
from pytest_inferopt.engine.calibration.figures import Recorder, noise
from pytest_inferopt.engine.clock.probe import probe_ms
from pytest_inferopt.engine.comparison.models import ModelDoor, rows_spec
from pytest_inferopt.engine.comparison.regression import RUNTIMES
from pytest_inferopt.engine.duet.sensors import Sensors, steal_share
from pytest_inferopt.engine.git import git_state, merge_base, why_no_merge_base
from pytest_inferopt.errors import InferoptError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_inferopt.domain.plugins import Plugin
    from pytest_inferopt.engine.store.folder import Store
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.registry import Registry

__all__ = ["Finding", "installation", "machine", "noise_here", "repository", "store_findings"]

State = Literal["ok", "look", "wrong"]

# What turns a framework's models into ONNX; the extra is called after the framework.
CONVERTERS = {
    "sklearn": ("skl2onnx",),
    "xgboost": ("onnxmltools", "skl2onnx"),
    "lightgbm": ("onnxmltools", "skl2onnx"),
}
CPU = Path("sys/devices/system/cpu")
CGROUP = Path("sys/fs/cgroup")
BYTES_PER_GB = 1_000_000_000
BYTES_PER_MB = 1_000_000
PROBES = 20
# Beyond, gates of 24 processes begin to miss 5 %: see benchmarks/gate/simulation.md.
QUIET_SD = 0.01
LOUD_SD = 0.02
STEADY_SPREAD = 0.05
QUICK_REPLICATES = 6
QUICK_BATCH = 16
QUICK_WIDTH = 128
MOST_STEAL = 0.05
PRESSED = 0.1


@dataclass(frozen=True)
class Finding:
    """One line of a check-up.

    Attributes:
        subject: what was looked at.
        state: ``ok``, ``look`` where figures suffer or something is not there, ``wrong`` where it does not work.
        text: what was found.
        next_step: what to do about it; empty where there is nothing to do.
    """

    subject: str
    state: State
    text: str
    next_step: str = ""


def installation(registry: Registry) -> Iterator[Finding]:
    """This package, its runtime, and what the plugins need."""
    here = Environment.here()
    yield Finding("pytest-inferopt", "ok", f"{__version__}, Python {here.python}, {sys.executable}")
    runtimes = [f"{name} {here.libraries[name]}" for name in RUNTIMES if name in here.libraries]
    if len(runtimes) > 1:
        yield Finding(
            "runtime", "wrong", f"{' and '.join(runtimes)} are installed side by side, and overwrite each other.",
            "Uninstall both, and install one.",
        )  # fmt: skip
    elif runtimes:
        yield Finding("runtime", "ok", runtimes[0])
    else:
        yield Finding("runtime", "wrong", "no onnxruntime", 'pip install "pytest-inferopt[cpu]"')
    yield Finding("libraries", "ok", ", ".join(f"{name} {version}" for name, version in here.libraries.items()))
    for framework, converters in CONVERTERS.items():
        absent = [converter for converter in converters if find_spec(converter) is None]
        if find_spec(framework) is not None and absent:
            text = f"{framework} is here, and {', '.join(absent)} is not"
            yield Finding("converter", "look", text, f'pip install "pytest-inferopt[{framework}]"')
    for kind in ("frameworks", "runtimes", "techniques", "datasets", "reporters"):
        for name in registry.names(kind):
            plugin = registry.plugins[kind][name]
            missing = _missing(registry, plugin)
            if missing is not None:
                yield Finding(f"{kind.removesuffix('s')} {name}", "look", missing.message, missing.hint)
    for broken in registry.broken:
        yield Finding(f"{broken.kind} plugin", "wrong", f"{broken.source}: {broken.reason}", "Mend or uninstall it.")


def machine(root: Path = Path("/")) -> Iterator[Finding]:
    """The processor and what bounds it.

    Args:
        root: where ``/sys`` lies.
    """
    here = Environment.here()
    flags = ", ".join(here.isa_flags) or "no vector extensions that matter"
    yield Finding("processor", "ok" if here.isa_flags else "look", f"{here.cpu_count} × {here.cpu_model}: {flags}")
    governor = _text(root / CPU / "cpu0/cpufreq/scaling_governor")
    if governor:
        is_steady = governor == "performance"
        advice = "" if is_steady else "cpupower frequency-set --governor performance steadies the figures."
        yield Finding("governor", "ok" if is_steady else "look", governor, advice)
    turbo = {"0": "on", "1": "off"}.get(_text(root / CPU / "intel_pstate/no_turbo")) or {"1": "on", "0": "off"}.get(
        _text(root / CPU / "cpufreq/boost")
    )
    if turbo:
        yield Finding("turbo", "ok" if turbo == "off" else "look", turbo)
    yield from _limits(root / CGROUP, here.cpu_count)


def store_findings(store: Store) -> Iterator[Finding]:
    """Where things are kept, and whether all of it can be read."""
    if not store.root.is_dir():
        yield Finding("store", "ok", f"{store.root} is not there yet")
        return
    files = [path for path in store.root.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files) / BYTES_PER_MB
    entries = Baselines(store).entries()
    text = f"{store.root}: {size:.1f} MB in {len(files):,} files, {len(entries)} baselines"
    if not os.access(store.root, os.W_OK):
        yield Finding("store", "wrong", f"{text}; it cannot be written", "Name another one: --store PATH.")
    else:
        yield Finding("store", "ok", text)
    for problem in (entry.problem for entry in entries if entry.problem is not None):
        yield Finding("baseline", "wrong", problem.message, problem.hint)


def repository(folder: Path) -> Iterator[Finding]:
    """Whether a merge base can be found here."""
    state = git_state(folder)
    base = merge_base(folder)
    if base is None:
        reason, next_step = why_no_merge_base(folder)
        yield Finding("merge base", "look", reason, next_step)
    else:
        short = base.commit[:SHORT_COMMIT]
        yield Finding("merge base", "ok", f"{short}, where this branch left {base.default_branch}")
    if state is not None:
        changed = ", with changed files" if state.is_dirty else ""
        branch = state.branch or "no branch"
        yield Finding("commit", "ok", f"{state.commit[:SHORT_COMMIT]} on {branch}{changed}")


def noise_here(worker: Worker, folder: Path, on_progress: Callable[[str], None] = lambda _: None) -> Iterator[Finding]:
    """How steady this machine is, in about ten seconds: a fixed probe, and a small network beside itself.

    Whoever asks holds the machine's lock for measuring.
    """
    on_progress("probing")
    before = Sensors.now()
    probes = [probe_ms() for _ in range(PROBES)]
    spread = max(probes) / min(probes) - 1
    text = f"{median(probes):.2f} ms for a fixed computation, {PROBES} times within {100 * spread:.1f} %"
    yield Finding("speed", "ok" if spread <= STEADY_SPREAD else "look", text)
    yield from _pair_noise(worker, folder, on_progress)
    happened = before.until(Sensors.now())
    stolen = steal_share(happened)
    if stolen is not None:
        advice = "" if stolen <= MOST_STEAL else "The host takes the processors away: use another runner."
        yield Finding("steal", "look" if advice else "ok", f"{100 * stolen:.1f} % of the processors' time", advice)
    pressure = happened["pressure_share"]
    if pressure is not None:
        advice = "" if pressure <= PRESSED else "Something else is running: end it, or measure later."
        yield Finding("pressure", "look" if advice else "ok", f"{100 * pressure:.1f} % of the time", advice)


def _pair_noise(worker: Worker, folder: Path, on_progress: Callable[[str], None]) -> Iterator[Finding]:
    """The spread of a few replicates of a small network beside itself; why not, where it cannot be had."""
    request = parse_request({"name": "doctor", "batch_sizes": (QUICK_BATCH,)}, where="doctor")
    path = folder / "network.onnx"
    try:
        make_network(path, width=QUICK_WIDTH)
        door = ModelDoor(request, worker, folder)
        inputs = door.inputs(path)
        prepare = door.preparing(rows_spec(inputs, door.made_up(inputs)))
        recorder = Recorder(
            request,
            prepare=prepare,
            describe=door.describe,
            open_worker=worker.another_with_huge_pages,
            on_progress=on_progress,
        )
        found = recorder.record(path, {QUICK_BATCH: path}, QUICK_REPLICATES, what="a model beside itself")
    except InferoptError as error:
        yield Finding("noise", "wrong", f"no model could be timed: {error.message}", error.hint)
        return
    sd = noise(found.values[:, 0])
    text = f"{100 * sd:.2f} % from process to process, a model beside itself in {QUICK_REPLICATES} processes"
    if sd <= QUIET_SD:
        yield Finding("noise", "ok", text)
    elif sd <= LOUD_SD:
        yield Finding("noise", "look", text, "Slow-downs of 5 % may stay inconclusive; see pytest-inferopt calibrate.")
    else:
        yield Finding("noise", "look", text, "Too loud for 5 %: use a quieter machine, or allow more (max_slowdown).")


def _missing(registry: Registry, plugin: type[Plugin]) -> MissingDependencyError | None:
    try:
        registry.require(plugin.model_construct())
    except MissingDependencyError as error:
        return error
    return None


def _limits(cgroup: Path, cpu_count: int) -> Iterator[Finding]:
    """What a container may use."""
    quota, _, period = _text(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = int(quota) / int(period)
        advice = "A process that is held back mid-call looks slow: give whole processors." if cores < cpu_count else ""
        yield Finding("quota", "look" if advice else "ok", f"{cores:g} of {cpu_count} processors", advice)
    memory = _text(cgroup / "memory.max")
    if memory.isdigit():
        yield Finding("memory", "ok", f"at most {int(memory) / BYTES_PER_GB:.1f} GB")


def _text(path: Path) -> str:
    """The content of a small file of the kernel's; empty where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
