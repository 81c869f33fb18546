"""What disturbed a measurement: how often the kernel took the processor away, and what the host took from the guest."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Sensors", "steal_share"]

PROC = Path("/proc")
# https://docs.kernel.org/filesystems/proc.html: user nice system idle iowait irq softirq steal, then parts of user.
COUNTED = 8
STEAL = 7
US_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class Sensors:
    """The counters at one moment.

    Attributes:
        involuntary_switches: of this process, since it began.
        ticks: of all processors since the machine began, and `stolen_ticks` among them; 0 where nobody counts them.
        pressure_us: for how long, since the machine began, something that could run waited for a processor (PSI);
            None where nobody counts.
        mhz: the mean clock frequency of the processors; None where it is not told.
        seconds: when that was, on `time.monotonic()`.
    """

    involuntary_switches: int
    ticks: int
    stolen_ticks: int
    pressure_us: int | None = None
    mhz: float | None = None
    seconds: float = 0.0

    @classmethod
    def now(cls, proc: Path = PROC) -> Self:
        """Read the counters."""
        ticks = _processor_ticks(proc / "stat")
        return cls(
            involuntary_switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            ticks=sum(ticks),
            stolen_ticks=ticks[STEAL] if len(ticks) > STEAL else 0,
            pressure_us=_pressure_us(proc / "pressure" / "cpu"),
            mhz=_mhz(proc / "cpuinfo"),
            seconds=time.monotonic(),
        )

    def until(self, later: Sensors) -> dict[str, Any]:
        """What happened from this moment to a later one, as plain JSON values.

        ``involuntary_switches``, ``ticks`` and ``stolen_ticks`` as they grew; ``pressure_share``, the share of the time
        in which something waited for a processor, and ``mhz``, the mean of both moments, or None.
        """
        return {
            "involuntary_switches": later.involuntary_switches - self.involuntary_switches,
            "ticks": later.ticks - self.ticks,
            "stolen_ticks": later.stolen_ticks - self.stolen_ticks,
            "pressure_share": self._pressure_share(later),
            "mhz": None if self.mhz is None or later.mhz is None else fmean((self.mhz, later.mhz)),
        }

    def _pressure_share(self, later: Sensors) -> float | None:
        seconds = later.seconds - self.seconds
        if self.pressure_us is None or later.pressure_us is None or seconds <= 0:
            return None
        return min((later.pressure_us - self.pressure_us) / US_PER_SECOND / seconds, 1.0)


def steal_share(*happened: Mapping[str, Any]) -> float | None:
    """The share of processor time that the host took away, over what `Sensors.until` told; None if nobody counts."""
    ticks = sum(one["ticks"] for one in happened)
    return sum(one["stolen_ticks"] for one in happened) / ticks if ticks else None


def _processor_ticks(stat: Path) -> list[int]:
    try:
        first = stat.read_text(encoding="ascii").splitlines()[0]
        return [int(count) for count in first.split()[1 : COUNTED + 1]]
    except (OSError, ValueError, IndexError):
        return []


def _pressure_us(pressure: Path) -> int | None:
    """The total of ``some avg10=0.00 avg60=0.00 avg300=0.00 total=0``."""
    try:
        some = pressure.read_text(encoding="ascii").splitlines()[0]
        return int(some.rpartition("total=")[2])
    except (OSError, ValueError, IndexError):
        return None


def _mhz(cpuinfo: Path) -> float | None:
    try:
        # A processor's name may be any text.
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        return fmean(float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz"))
    except (OSError, ValueError):
        return None
