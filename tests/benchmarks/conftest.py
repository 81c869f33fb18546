from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

# The benchmarks are no package; `python -m benchmarks.gate` finds them from the repository's root, and so does this.
sys.path.append(str(Path(__file__).parents[2]))

CELLS = 4
US = 1000


@pytest.fixture(scope="session")
def recorded():
    """`recorded(slowdowns=[0, 0, 0, 0.05], shift=0.1)`: a series of processes of three seconds each.

    `noise` is that of a replicate's contrast, `shift` what sets whole processes apart, both as standard deviations.
    """
    from benchmarks.gate.recorded import FIGURES, Recorded

    def recorded(*, slowdowns=(0.0,) * CELLS, replicates=24, control=0.0, stolen=0.0, noise=0.005, shift=0.0):
        random = np.random.default_rng(0)
        contrast = random.normal(scale=noise, size=(replicates, CELLS)) + np.log1p(slowdowns)
        mean = np.full((replicates, CELLS, 2), 100 * US) * np.exp(random.normal(scale=shift, size=(replicates, 1, 1)))
        mean[:, :, 1] *= np.exp(contrast)
        figures = {
            "index": np.arange(replicates),
            "began": np.arange(replicates) * 3.0,
            "seconds": np.full(replicates, 3.0),
            "stolen": np.full(replicates, stolen),
            "control": random.normal(scale=noise, size=replicates) + control,
            "contrast": contrast,
            "calls": np.full((replicates, CELLS, 2), 400),
            "mean": mean,
            "sd": 0.02 * mean,
            "median": mean,
            "samples": mean[..., None] * np.exp(random.normal(scale=0.002, size=(replicates, CELLS, 2, 5))),
        }
        return Recorded(**{name: np.asarray(figures[name], kind) for name, kind in FIGURES.items()})

    return recorded
