"""The machine and the versions that a figure was taken on; a figure without them decides nothing."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Environment"]

# Instruction sets that change which integer and half-precision kernels run, and with them speed and INT8 results.
ISA_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "asimddp", "i8mm", "sve",
)  # fmt: skip
INTEGER_FLAGS = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "scikit-learn", "skl2onnx", "onnxmltools", "xgboost",
             "xgboost-cpu", "lightgbm", "torch", "tensorflow", "tensorflow-cpu")  # fmt: skip


class Environment(BaseModel):
    """Where a figure was taken.

    Attributes:
        cpu_model: as the kernel names it.
        cpu_count: logical processors this process may use.
        isa_flags: the vector extensions that matter to inference.
        libraries: installed versions, by distribution.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    cpu_model: str
    cpu_count: int
    isa_flags: tuple[str, ...]
    python: str
    system: str
    libraries: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def here(cls) -> Environment:
        """Read this machine; nothing is imported and no command is run."""
        model, flags = _cpu()
        return cls(
            cpu_model=model,
            cpu_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            isa_flags=flags,
            python=platform.python_version(),
            system=f"{sys.platform} {platform.machine()}",
            libraries=_libraries(),
        )

    @property
    def headline(self) -> str:
        """The machine in a few words: ``2×Intel Xeon Processor (avx512_vnni)``."""
        integer = (flag for flag in INTEGER_FLAGS if flag in self.isa_flags)
        best = next(integer, next((flag for flag in ("avx512f", "avx2") if flag in self.isa_flags), "no vector flags"))
        return f"{self.cpu_count}×{self.cpu_model} ({best})"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The machine, and then the versions, by name."""
        return (
            ("processor", f"{self.cpu_count}× {self.cpu_model}"),
            ("instructions", ", ".join(self.isa_flags) or "–"),
            ("system", self.system),
            ("Python", self.python),
            *self.libraries.items(),
        )

    @property
    def has_integer_dot_product(self) -> bool:
        """Whether the CPU multiplies and adds 8-bit integers in one step into 32 bits, without saturation."""
        return any(flag in self.isa_flags for flag in INTEGER_FLAGS)

    @property
    def is_x86(self) -> bool:
        """Whether it is a 64-bit x86 processor."""
        return self.system.rpartition(" ")[2] in {"x86_64", "AMD64"}

    def comparable_to(self, other: Environment) -> bool:
        """Whether latencies and INT8 results taken on both may be held against each other."""
        return (self.cpu_model, self.isa_flags) == (other.cpu_model, other.isa_flags)


@cache
def _cpu() -> tuple[str, tuple[str, ...]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine() or "unknown", ()
    fields = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition(":") for line in text.splitlines() if ":" in line)
    }
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or platform.machine() or "unknown"
    for noise in ("(R)", "(TM)", " CPU", " Processor"):
        name = name.replace(noise, "")
    return name.partition(" @ ")[0].strip(), tuple(flag for flag in ISA_FLAGS if flag in flags)


@cache
def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
