"""A Sankey diagram as SVG: bands from what was to what is, as wide as their numbers; for pages and for reports.

Pure text, no script: it is styled by the page that it stands in (`currentColor`, classes `band` and `backward`), and
each band says its numbers to those who point at it or have it read aloud.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, _BAR, _GAP, _TEXT = 720, 14, 10, 150
_LEAST = 2.0
"""So wide (pixels) is a band at least, or a single contact among a million could not be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """So many go from one place to another; `mark` is a class of the band."""

    before: str
    after: str
    number: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A place on one side: where it begins and how high it is."""

    top: float
    height: float


def sankey(flows: Sequence[Flow], *, order: Sequence[str], title: str, height: int = 360) -> str:
    """Draw the flows; places stand in the given order, others after them by name."""
    ranks = {name: place for place, name in enumerate(order)}

    def ranked(name: str) -> tuple[int, str]:
        return ranks.get(name, len(ranks)), name

    flows = sorted(flows, key=lambda flow: (ranked(flow.before), ranked(flow.after)))
    total = sum(flow.number for flow in flows)
    if not total:
        return ""
    sides = [sorted({name(flow) for flow in flows}, key=ranked) for name in (_before, _after)]
    scale = (height - _GAP * max(map(len, sides))) / total
    left = _bars(sides[0], _sums(flows, before=True), scale)
    right = _bars(sides[1], _sums(flows, before=False), scale)
    bottom = max(bar.top + bar.height for bars in (left, right) for bar in bars.values()) + _GAP
    parts = [
        f'<svg class="sankey" role="img" viewBox="0 0 {WIDTH} {bottom:.0f}" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *_bands(flows, left, right, scale),
        *_labels(left, _sums(flows, before=True), x=_TEXT - _BAR, at_end=True),
        *_labels(right, _sums(flows, before=False), x=WIDTH - _TEXT, at_end=False),
        "</svg>",
    ]
    return "\n".join(parts)


def _before(flow: Flow) -> str:
    return flow.before


def _after(flow: Flow) -> str:
    return flow.after


def _sums(flows: Sequence[Flow], *, before: bool) -> Mapping[str, int]:
    sums: dict[str, int] = {}
    for flow in flows:
        name = flow.before if before else flow.after
        sums[name] = sums.get(name, 0) + flow.number
    return sums


def _bars(names: Sequence[str], sums: Mapping[str, int], scale: float) -> dict[str, _Bar]:
    bars, top = {}, 0.0
    for name in names:
        bars[name] = _Bar(top, max(sums[name] * scale, _LEAST))
        top += bars[name].height + _GAP
    return bars


def _bands(
    flows: Sequence[Flow], left: Mapping[str, _Bar], right: Mapping[str, _Bar], scale: float
) -> list[str]:
    """Draw each flow from the next free place of its bar on the left to that on the right."""
    starts = {name: bar.top for name, bar in left.items()}
    ends = {name: bar.top for name, bar in right.items()}
    x1, x2 = _TEXT, WIDTH - _TEXT
    middle = (x1 + x2) / 2
    bands = []
    for flow in flows:
        thick = max(flow.number * scale, _LEAST)
        y1, y2 = starts[flow.before], ends[flow.after]
        starts[flow.before], ends[flow.after] = y1 + flow.number * scale, y2 + flow.number * scale
        path = (
            f"M{x1},{y1:.1f} C{middle},{y1:.1f} {middle},{y2:.1f} {x2},{y2:.1f} "
            f"V{y2 + thick:.1f} C{middle},{y2 + thick:.1f} {middle},{y1 + thick:.1f} {x1},{y1 + thick:.1f} Z"
        )
        said = escape(f"{flow.before} → {flow.after}: {flow.number:,}")
        bands.append(f'<path class="{escape(f"band {flow.mark}".strip())}" d="{path}"><title>{said}</title></path>')
    return bands


def _labels(bars: Mapping[str, _Bar], sums: Mapping[str, int], *, x: float, at_end: bool) -> list[str]:
    parts = []
    for name, bar in bars.items():
        parts.append(f'<rect class="bar" x="{x}" y="{bar.top:.1f}" width="{_BAR}" height="{bar.height:.1f}"/>')
        anchor, at = ("end", x - 6) if at_end else ("start", x + _BAR + 6)
        y = bar.top + bar.height / 2 + 4
        said = escape(f"{name} {sums[name]:,}")
        parts.append(f'<text x="{at}" y="{y:.1f}" text-anchor="{anchor}">{said}</text>')
    return parts
