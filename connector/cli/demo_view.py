"""What the demo shows: a live table on a terminal, a line per change elsewhere, a summary at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from connector.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One contact of the practice HubSpot, as its sales team sees it."""

    contact: str
    name: str
    stage: str
    status: str
    tasks: int
    rule: str
    because: str


_WORDS = {"subscriber": "contact", "salesqualifiedlead": "prospect"}
"""How the demo's portal calls the stages of the packs; the others have the same name on both sides."""


def row_of(contact: str, properties: Mapping[str, Any], tasks: int) -> Seen:
    """Read a contact's properties."""
    stage = str(properties.get("lifecyclestage") or "none")
    name = f"{properties.get('firstname') or ''} {properties.get('lastname') or ''}".strip()
    return Seen(
        contact=contact,
        name=name or contact,
        stage=_WORDS.get(stage, stage),
        status=str(properties.get("sk_prospect_status") or properties.get("sk_lead_status") or ""),
        tasks=tasks,
        rule=str(properties.get("sk_rule") or ""),
        because=str(properties.get("sk_reason") or ""),
    )


class View:
    """Shows contacts while they change."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, width=None if stream.isatty() else 160)
        self._live = Live(console=self._console, auto_refresh=False) if stream.isatty() else None

    def __enter__(self) -> "View":
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live:
            self._live.__exit__(*error)

    def changed(self, before: Seen | None, now: Seen) -> None:
        """Tell of one change, where there is no table to show it."""
        if self._live is None and now.rule and (before is None or (before.stage, before.rule) != (now.stage, now.rule)):
            status = f"/{now.status}" if now.status else ""
            was = f"{before.stage} → " if before and before.stage != now.stage else ""
            self._console.print(f"{now.name}: {was}{now.stage}{status} ({now.rule}) {now.because}", markup=False)

    def refresh(self, seen: Sequence[Seen]) -> None:
        """Draw the table anew."""
        if self._live is None:
            return
        table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
        for heading in ("contact", "stage", "status", "tasks", "rule"):
            table.add_column(heading, no_wrap=True, min_width=len(heading))
        table.add_column("because", overflow="ellipsis", no_wrap=True, ratio=1)
        for one in seen:
            table.add_row(one.name, one.stage, one.status, str(one.tasks), one.rule, one.because)
        self._live.update(table, refresh=True)


def summary(sandbox: Sandbox, seen: Mapping[str, Seen], moves: Counter[tuple[str, str]]) -> str:
    """Say in a few lines what happened."""
    stages = Counter(one.stage for one in seen.values())
    statuses = Counter(one.status for one in seen.values() if one.status)
    tasks = sum(one.tasks for one in seen.values())
    lines = [
        "",
        f"{sum(bool(one.rule) for one in seen.values())} of {len(seen)} contacts decided, each with its reason",
        f"stages: {_counted(stages)}" + (f"; statuses: {_counted(statuses)}" if statuses else ""),
        f"moves seen: {_counted(Counter({f'{a} → {b}': n for (a, b), n in moves.items()})) or 'none'}",
        f"tasks created: {tasks}; calls to HubSpot: {sandbox.calls.total}",
    ]
    return "\n".join(lines)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common())
