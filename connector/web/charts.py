"""Charts as SVG without script or style inside: areas that lie on each other, bars in a row.

Colours are classes of the page's style sheet. Each shape says its numbers to those who point at it; a table beside the
chart says all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, _LEFT, _BOTTOM, _TOP = 1120, 46, 26, 8
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One band: its name, the class of its colour, a value for each point."""

    name: str
    mark: str
    values: Sequence[int]


def areas(series: Sequence[Series], ticks: Sequence[str], *, title: str, height: int = 280) -> str:
    """Draw bands on top of each other, the first at the bottom; `ticks` name the points ("" for none)."""
    points = len(ticks)
    if points < 2 or not any(map(any, (one.values for one in series))):
        return ""
    highest = nice(max(sum(one.values[place] for one in series) for place in range(points)))
    box = _Box(points=points, highest=highest, height=height)
    parts = [
        f'<svg class="chart areas" role="img" viewBox="0 0 {WIDTH} {height}">',
        f"<title>{escape(title)}</title>",
        *box.grid(),
        *box.names(ticks),
    ]
    below = [0] * points
    for one in series:
        above = [low + value for low, value in zip(below, one.values, strict=True)]
        parts.append(box.band(one, below, above))
        below = above
    return "\n".join([*parts, "</svg>"])


def bars(values: Sequence[int], *, title: str, says: Sequence[str], height: int = 72) -> str:
    """Draw values as bars side by side; `says` is what each one says."""
    width = WIDTH / max(len(values), 1)
    most = max(max(values, default=0), 1)
    parts = [
        f'<svg class="chart bars" role="img" viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none">',
        f"<title>{escape(title)}</title>",
    ]
    for place, (value, said) in enumerate(zip(values, says, strict=True)):
        high = max(value / most * (height - 2), 1.5 if value else 1)
        mark = "bar" if value else "bar none"
        parts.append(
            f'<rect class="{mark}" x="{place * width:.1f}" y="{height - high:.1f}" width="{width * 0.8:.1f}" '
            f'height="{high:.1f}"><title>{escape(said)}</title></rect>'
        )
    return "\n".join([*parts, "</svg>"])


def nice(most: int) -> int:
    """Give a round number that is not less, and that four lines divide well."""
    size = 1
    while True:
        for step in _STEPS:
            number = step * size * 4
            if number >= most and number == int(number):
                return int(number)
        size *= 10


@dataclass(frozen=True, kw_only=True, slots=True)
class _Box:
    """Where things stand within a chart."""

    points: int
    highest: int
    height: int

    def x(self, place: int) -> float:
        return _LEFT + place * (WIDTH - _LEFT - 12) / (self.points - 1)

    def y(self, value: float) -> float:
        floor = self.height - _BOTTOM
        return floor - value / self.highest * (floor - _TOP)

    def grid(self) -> list[str]:
        lines = []
        for quarter in range(5):
            value = self.highest * quarter / 4
            y = self.y(value)
            lines.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>')
            lines.append(f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
        return lines

    def names(self, ticks: Sequence[str]) -> list[str]:
        return [
            f'<text class="axis" x="{self.x(place):.1f}" y="{self.height - 6}" '
            f'text-anchor="{"end" if place == self.points - 1 else "middle"}">{escape(name)}</text>'
            for place, name in enumerate(ticks)
            if name
        ]

    def band(self, one: Series, below: Sequence[int], above: Sequence[int]) -> str:
        upper = [f"{self.x(place):.1f},{self.y(value):.1f}" for place, value in enumerate(above)]
        lower = [f"{self.x(place):.1f},{self.y(value):.1f}" for place, value in enumerate(below)]
        path = f"M{' L'.join(upper)} L{' L'.join(reversed(lower))} Z"
        said = f"{one.name}: {one.values[0]:,} at first, {one.values[-1]:,} now"
        return f'<path class="area {escape(one.mark)}" d="{path}"><title>{escape(said)}</title></path>'


def short(value: float) -> str:
    """Write a number in the room that an axis has."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"
