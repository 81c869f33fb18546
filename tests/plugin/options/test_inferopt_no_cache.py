"""--inferopt-no-cache."""

from __future__ import annotations

ARE_CACHED = "all(step.cached for step in result.optimized.steps)"


def test_steps_are_done_again_where_they_would_be_taken_from_the_store(holds):
    holds(f"not {ARE_CACHED}")
    run = holds(ARE_CACHED)
    run.stdout.fnmatch_lines(["*taken from the store: nothing that it depends on has changed since 2*"])
    holds(f"not {ARE_CACHED}", "--inferopt-no-cache")
