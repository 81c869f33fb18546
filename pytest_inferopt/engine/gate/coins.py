"""Who goes first: the coins that keep seat-like effects out of a comparison.

Which session is loaded first, which is warmed up first and which goes first inside a block shift a latency by up to a
few percent, for the life of a process or block. Where the candidate always had the same seat, that would look like a
slow-down. A coin gives each arm each seat equally often, so the effect falls on both sides of zero.

Source: R. A. Fisher: The Design of Experiments (1935), chapters II and IV: randomisation, and balance within small
blocks, here half of the 2³ factorial in every four replicates.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

__all__ = ["BALANCED_WITHIN", "Coins", "own_seed", "toss"]

BALANCED_WITHIN = 4
# Each column has both signs twice, and so has the product of any two: no two seats go together.
HALF_FACTORIAL = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


class Coins(NamedTuple):
    """The seats of one replicate.

    Attributes:
        candidate_loads_first: whether its session is made before the baseline's.
        candidate_warms_first: whether its warm-up calls come before the baseline's.
        candidate_starts_first: whether it goes first in the first block; the order alternates from there.
    """

    candidate_loads_first: bool
    candidate_warms_first: bool
    candidate_starts_first: bool


def toss(seed: int, index: int) -> Coins:
    """The coins of a replicate: always the same ones for a seed and a number.

    In every four replicates, counted from 0, each coin falls on each side twice, any two of them on each pair of sides
    once, and a whole four is as likely as the one with all sides turned.

    Args:
        seed: of the run, at least 0.
        index: the replicate's number, from 0.
    """
    four, place = divmod(index, BALANCED_WITHIN)
    random = np.random.default_rng([seed, four])
    order = random.permutation(BALANCED_WITHIN)
    turned = random.choice([-1, 1], size=HALF_FACTORIAL.shape[1])
    return Coins(*(bool(side > 0) for side in HALF_FACTORIAL[order[place]] * turned))


def own_seed(seed: int, name: str) -> int:
    """A seed for the coins of whatever has this name, so that no two names' coins fall together.

    The same for a name whatever else takes part, and in every process.
    """
    return int(np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0])
