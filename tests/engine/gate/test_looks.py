from __future__ import annotations

import pytest

from pytest_inferopt.engine.gate.looks import Share, spend


def test_one_cell_gets_what_all_together_and_single_cells_would():
    assert spend(1) == (
        Share(9, 0.0, 0.0020, 0.004),
        Share(12, 0.0, pytest.approx(0.0030), 0.006),
        Share(16, 0.0, pytest.approx(0.0025), 0.007),
        Share(24, 0.0, pytest.approx(0.0025), 0.008),
    )


def test_several_cells_divide_their_share_and_own_the_one_by_which_they_pass():
    assert spend(4) == (
        Share(9, 0.0020, 0.0, 0.004),
        Share(12, 0.0005, 0.0025 / 4, 0.006),
        Share(16, 0.0005, 0.0020 / 4, 0.007),
        Share(24, 0.0005, 0.0020 / 4, 0.008),
    )


@pytest.mark.parametrize(
    ("cells", "each"),
    [
        (10, [0, 0.0025, 0.0020, 0.0020]),
        (11, [0, 0, 0.0045, 0.0020]),  # 0.0025 / 11 < 2⁻¹² of the twelfth replicate
        (400, [0, 0, 0, 0.0065]),  # 0.0045 / 400 < 2⁻¹⁶
    ],
)
def test_a_share_that_could_reject_nothing_moves_on_to_the_next_look(cells, each):
    assert [share.cell for share in spend(cells)] == pytest.approx([share / cells for share in each])


@pytest.mark.parametrize("cells", [*range(1, 65), 1000, 10**7])
def test_at_most_one_percent_is_spent_and_no_share_is_too_small_to_reject(cells):
    shares = spend(cells)
    assert sum(share.together + cells * share.cell for share in shares) <= 0.01 + 1e-12
    for share in shares:
        assert all(part == 0 or part >= 2**-share.replicates for part in share[1:])


@pytest.mark.parametrize("cells", range(1, 65))
def test_a_slow_down_by_what_must_be_caught_passes_a_cell_in_at_most_a_fortieth_of_gates(cells):
    assert sum(share.passed for share in spend(cells)) == pytest.approx(0.025)
