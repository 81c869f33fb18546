"""What disturbed a measurement: how often the kernel took the processor away, and what the host took from the guest."""

from __future__ import annotations

import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

__all__ = ["Sensors"]

PROC_STAT = Path("/proc/stat")
# https://docs.kernel.org/filesystems/proc.html: user nice system idle iowait irq softirq steal, then parts of user.
COUNTED = 8
STEAL = 7


@dataclass(frozen=True)
class Sensors:
    """The counters at one moment.

    Attributes:
        involuntary_switches: of this process, since it began.
        ticks: of all processors since the machine began, and `stolen_ticks` among them; 0 where nobody counts them.
    """

    involuntary_switches: int
    ticks: int
    stolen_ticks: int

    @classmethod
    def now(cls, stat: Path = PROC_STAT) -> Self:
        """Read the counters."""
        ticks = _processor_ticks(stat)
        return cls(
            resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw, sum(ticks), ticks[STEAL] if len(ticks) > STEAL else 0
        )

    def until(self, later: Sensors) -> dict[str, int]:
        """How much each counter grew from this moment to a later one, by its name."""
        return {name: count - getattr(self, name) for name, count in asdict(later).items()}


def _processor_ticks(stat: Path) -> list[int]:
    try:
        first = stat.read_text(encoding="ascii").splitlines()[0]
        return [int(count) for count in first.split()[1 : COUNTED + 1]]
    except (OSError, ValueError, IndexError):
        return []
