"""One line of the table of `make bench`: what was measured, the figure, what stands beside it, what is wanted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line; ratios say what holds on any machine."""

    what: str
    figure: str
    beside: str = ""
    wanted: str = ""
    is_well: bool | None = None
    """None where nothing is wanted."""
    command: str = ""


def as_lines(found: Iterable[Mapping[str, Any]], command: str) -> list[Line]:
    """Read the lines that a bench printed under `table`."""
    return [Line(**{**one, "command": one.get("command") or command}) for one in found]


def as_data(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Give lines as a bench prints them."""
    return [asdict(line) for line in lines]


def as_markdown(lines: Sequence[Line]) -> str:
    """Write the table."""
    rows = ["| what | figure | beside it | wanted | | command |", "|---|---|---|---|---|---|"]
    for line in lines:
        mark = {True: "kept", False: "missed", None: ""}[line.is_well]
        cells = (line.what, line.figure, line.beside, line.wanted, mark, f"`{line.command}`" if line.command else "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
