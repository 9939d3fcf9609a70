"""A plan as one HTML page that needs nothing else: the matrix, the moves as a picture, what would be made and cost."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from connector.moments import write_moment
from connector.rollout.document import Heading
from connector.rollout.summary import Summary
from connector.sankey import Flow, sankey

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #8886; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.objection { border-left: .3rem solid #c33; padding-left: .8rem; }
.sankey { width: 100%; height: auto; font-size: 13px; fill: currentColor; }
.sankey .band { fill: #37a; opacity: .35; } .sankey .band:hover { opacity: .7; }
.sankey .backward { fill: #c33; } .sankey .stays { fill: #888; opacity: .2; }
"""


def as_page(heading: Heading, summary: Summary, *, ladder: Sequence[str], calls_per_10s: float) -> str:
    """Write the page."""
    title = f"Plan for portal {heading.portal} by pack {heading.pack}"
    cost = f"{summary.write_calls():,} calls, about {summary.seconds(calls_per_10s):,} seconds at the portal's limit"
    said = (
        f"Made {write_moment(heading.made_at // 1_000 * 1_000)}; {summary.contacts:,} contacts read, "
        f"{summary.changed:,} would change, {summary.moved:,} would move ({summary.backward:,} back), "
        f"{summary.held:,} are held. Applying takes {cost}."
    )
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<h1>{escape(title)}</h1>",
        f"<p>{said}</p>",
        *(f'<p class="objection">Needs consent: {escape(each)}.</p>' for each in summary.objections()),
        sankey(_flows(summary), order=_order(ladder), title="Moves from the present stage to the planned one"),
        "<h2>Moves</h2>",
        _table(("from", "to", "", "contacts"), _moves(summary)),
        "<h2>What would be made</h2>",
        _table(("what", "rule", "number"), _made(summary)),
        "<h2>Properties that would change</h2>",
        _table(("property", "contacts"), sorted(summary.properties.items())),
        "<h2>Rules that decide</h2>",
        _table(("rule", "contacts"), [(rule or "none", number) for rule, number in summary.rules.most_common()]),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _flows(summary: Summary) -> list[Flow]:
    found: Counter[tuple[str, str, str]] = Counter()
    for move, number in summary.moves.items():
        mark = "backward" if move.is_backward else "stays" if move.before == move.after else ""
        found[str(move.before), str(move.after), mark] += number
    return [Flow(before=one, after=other, number=number, mark=mark) for (one, other, mark), number in found.items()]


def _order(ladder: Sequence[str]) -> list[str]:
    statuses = ("", " unverified", " new", " cold", " warm", " hot", " closed")
    return ["none", *(f"{stage}{status}" for stage in ladder for status in statuses)]


def _moves(summary: Summary) -> list[tuple[object, ...]]:
    moved = [(move, number) for move, number in summary.moves.most_common() if move.before != move.after]
    return [(move.before, move.after, "backward" if move.is_backward else "", number) for move, number in moved]


def _made(summary: Summary) -> list[tuple[object, ...]]:
    return [(kind, rule, number) for (kind, rule), number in sorted(summary.effects.items())]


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = "".join(_cell("th", heading, is_number=heading in ("contacts", "number")) for heading in headings)
    lines = ["<table>", f"<thead><tr>{cells}</tr></thead><tbody>"]
    for row in rows:
        shown = "".join(_cell("td", each, is_number=isinstance(each, int)) for each in row)
        lines.append(f"<tr>{shown}</tr>")
    if len(lines) == 2:
        lines.append(f'<tr><td colspan="{len(headings)}">nothing</td></tr>')
    return "\n".join([*lines, "</tbody></table>"])


def _cell(tag: str, value: object, *, is_number: bool) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<{tag}{' class=number' if is_number else ''}>{escape(text)}</{tag}>"
