"""Rewriting expectations in case files, and saying what was changed; only what is asked for, and only what failed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from connector.cli.caserun import Run
from connector.rulebook.rewriting import Rewrite, rewritten


@dataclass(frozen=True, kw_only=True, slots=True)
class Updated:
    """What was rewritten in one file."""

    file: str
    rewrites: tuple[Rewrite, ...]

    @property
    def changed(self) -> int:
        """Count what was changed."""
        return sum(not one.left_alone for one in self.rewrites)


def update(runs: Sequence[Run]) -> list[Updated]:
    """Bring the expectations of failed cases in line with what was decided; raises RewritingFailed."""
    failed: dict[str, list[Run]] = {}
    for run in runs:
        if run.result.result == "failed":
            failed.setdefault(run.result.file, []).append(run)
    planned = {file: _planned(Path(file), ones) for file, ones in failed.items()}
    for file, (text, one) in planned.items():  # all or none: only once every file could be rewritten
        if one.changed:
            Path(file).write_bytes(text.encode())
    return [one for _, one in planned.values()]


def _planned(path: Path, runs: Sequence[Run]) -> tuple[str, Updated]:
    text, rewrites = rewritten(path.read_bytes().decode(), [run.result for run in runs])
    return text, Updated(file=str(path), rewrites=tuple(rewrites))


def as_data(updated: Sequence[Updated]) -> list[dict[str, Any]]:
    """Give what was rewritten as data."""
    return [{"file": one.file, **asdict(rewrite)} for one in updated for rewrite in one.rewrites]


def print_updated(updated: Sequence[Updated]) -> None:
    """Print what was rewritten, one expectation a line."""
    for one in updated:
        for rewrite in one.rewrites:
            what = f"{one.file}: {rewrite.case}: {rewrite.path}"
            if rewrite.left_alone:
                click.secho(f"left alone {what}: {rewrite.left_alone}", fg="yellow")
            else:
                click.echo(f"updated {what}: {rewrite.before!r} is now {rewrite.after!r}")
