"""How the history of a contact looks on a terminal."""

from collections.abc import Mapping
from typing import Any

import click

from connector.cli.options import tell
from connector.recall import Recalled

_HASH = 8


def print_history(found: Recalled) -> None:
    """Print the decisions about a contact, the newest first."""
    merged = f", with {', '.join(found.merged)} merged into it" if found.merged else ""
    click.secho(f"portal {found.portal}, contact {found.contact}{merged}: {found.total:,} records", bold=True)
    for entry in found.entries:
        click.echo()
        _print_entry(entry, is_of_another=entry["contact"] != found.contact)
    if found.total > len(found.entries):
        tell(f"only the newest {len(found.entries):,} are listed; --last N lists more")
    if found.is_pruned:
        tell("older records have been removed")


def _print_entry(entry: Mapping[str, Any], *, is_of_another: bool) -> None:
    of = f"  (contact {entry['contact']})" if is_of_another else ""
    by = f"{entry['pack']} {entry['pack_hash'][:_HASH]}"
    if "gone" in entry:
        where = entry["gone"]
        click.echo(f"{entry['at']}  {'deleted' if where == 'deleted' else f'merged into {where}'}  [{by}]{of}")
        return
    stage = " ".join(filter(None, (entry["stage"] or "no stage", entry["status"])))
    before = entry["stage_before"] or "none"
    moved = f" (from {before})" if before != (entry["stage"] or "none") else ""
    click.echo(f"{entry['at']}  {stage}{moved}  [{by}]{of}")
    click.echo(f"    rule {entry['rule'] or 'none'}: {entry['because'] or 'the reason was not kept'}")
    for line in _lines(entry):
        click.echo(f"    {line}")


def _lines(entry: Mapping[str, Any]) -> list[str]:
    lines = [
        f"set {name}: {change['from'] or '(empty)'} → {change['to'] or '(empty)'}"
        for name, change in entry["written"].items()
    ]
    for one in entry["made"]:
        end = f" ({one['hubspot_id']})" if one["hubspot_id"] else "" if one["is_done"] else ", not done then"
        lines.append(f"{one['kind'] or 'completed'} {one['rule']}{end}")
    lines += [f"held: {entry['held']}"] if entry["held"] else []
    lines += [f"{name} was not written: {why}" for name, why in entry["withheld"].items() if why != entry["held"]]
    lines += [f"error: {entry['error']}"] if entry["error"] else []
    lines += [] if entry["is_done"] else ["not finished"]
    if (other := entry.get("candidate")) is not None:
        stage = " ".join(filter(None, (other["stage"] or "no stage", other["status"])))
        differs = ", ".join(other["differs"])
        by = f"{other['pack']} {other['hash'][:_HASH]}"
        lines.append(f"the candidate {by} differs in {differs}: {stage}, rule {other['rule'] or 'none'}")
    return lines
