"""The colours, shapes and dashes of the arms: each is told from the others without its colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

    from pytest_inferopt.reporters._arms import Arm

__all__ = ["SHAPES", "Looks"]

# In the order of `Arm.look`; report.css holds the colours, which are Okabe and Ito's (https://jfly.uni-koeln.de/color/),
# and templates/_macros.j2 the same shapes for the tables.
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4], [1, 3], [6, 2, 2, 2, 2, 2])


class Looks:
    """The encodings that draw an arm alike in every chart; the legend stands in the page, above the charts."""

    def __init__(self, arms: tuple[Arm, ...]) -> None:
        self.positions = [arm.position for arm in arms]
        self.labels = [arm.label for arm in arms]
        self._looks = [arm.look for arm in arms]

    def color(self) -> alt.Color:
        """Out of the style sheet, so that the charts follow the colour scheme."""
        import altair as alt

        colors = [f"var(--arm-{look})" for look in self._looks]
        return alt.Color("arm:N", legend=None, scale=alt.Scale(domain=self.positions, range=colors))

    def shape(self) -> alt.Shape:
        """A mark's shape."""
        import altair as alt

        shapes = [SHAPES[look] for look in self._looks]
        return alt.Shape("arm:N", legend=None, scale=alt.Scale(domain=self.positions, range=shapes))

    def dash(self) -> alt.StrokeDash:
        """A line's dash."""
        import altair as alt

        dashes = [DASHES[look] for look in self._looks]
        return alt.StrokeDash("arm:N", legend=None, scale=alt.Scale(domain=self.positions, range=dashes))
