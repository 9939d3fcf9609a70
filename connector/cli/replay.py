"""`stagekeeper replay`: past decisions made anew under any pack, or a pack of any git revision."""

from pathlib import Path

import click

from connector.cli.options import common, output, portal_id, read_config, tell
from connector.cli.progress import ProgressBar
from connector.cli.render import print_json, print_table
from connector.errors import UsageError
from connector.moments import read_moment, write_moment
from connector.rollout.confusion import MOST_FLIPPED, Confusion, flipped_data
from connector.rollout.replay import Range, replay
from connector.rollout.revision import pack_at
from connector.rollout.run import pack_of
from connector.rulebook.pack import Pack
from connector.store.engine import open_database

_LEFT_OUT = {
    "older": "of an older release, which did not keep what was known before",
    "cleared": "cleared, for their contacts were deleted",
}


@click.command("replay")
@click.option("--rules", type=click.Path(path_type=Path), metavar="FILE", help="The pack (default: the portal's).")
@click.option("--rev", "revision", metavar="GITREV", help="That pack as it stood at a git revision, as in HEAD~3.")
@click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")
@click.option("--since", metavar="DATE", help="Only decisions from then on, as in 2026-03-01.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest so many decisions.")
@click.option("--flipped", is_flag=True, help="Name the contacts that would stand elsewhere, the newest first.")
@output()
@common
def command(  # noqa: PLR0913 - one argument an option
    *, rules: Path | None, revision: str | None, portal: int | None, since: str | None, limit: int | None,
    flipped: bool, format_: str,
) -> None:  # fmt: skip
    """Make past decisions anew: what was read and known then, at that moment, under other rules; nothing is written.

    Asks neither HubSpot nor the clock. Under the very pack that decided nothing flips.
    """
    moment = _moment(since)
    config = read_config()
    number = portal_id(config, portal)
    path = rules or next(one.rules for one in config.portals if one.id == number)
    pack = pack_of(path) if revision is None else pack_at(path, revision)
    found = Confusion()
    with ProgressBar() as bar:
        range_ = Range(portal=number, since=moment, limit=limit)
        for one in replay(open_database(config.database), pack, range_, progress=bar):
            found.add(one)
    if format_ == "json":
        named = {"flipped_decisions": [flipped_data(one) for one in found.newest()]} if flipped else {}
        heading = {"version": 1, "portal": number, "pack": pack.name, "pack_hash": pack.hash, "rev": revision}
        print_json({**heading, **found.as_data(), **named})
        return
    _print(found, pack, number)
    if flipped:
        _print_flipped(found)


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    found = read_moment(text)
    if found is None:
        raise UsageError(f"--since {text!r}: no moment; expected a date such as 2026-03-01 or 2026-03-01T09:00:00Z")
    return found[0]


def _print(found: Confusion, pack: Pack, portal: int) -> None:
    click.secho(
        f"portal {portal}: {found.decisions:,} decisions about {found.contacts:,} contacts, made anew by "
        f"{pack.name} {pack.hash[:12]}", bold=True,
    )  # fmt: skip
    for (name, hash_), number in found.versions.most_common():
        same = ", the same version" if hash_ == pack.hash else ""
        click.echo(f"{number:,} were made by {name} {hash_[:12]}{same}")
    click.echo(
        f"{found.flipped:,} flipped, of {found.flipped_contacts:,} contacts; "
        f"{found.otherwise:,} more would set or make something else"
    )
    for why, text in _LEFT_OUT.items():
        if found.left_out[why]:
            tell(f"{found.left_out[why]:,} records are left out: {text}")
    for name, number in sorted(found.unread.items()):
        tell(f"{name} was not read then for {number:,} decisions, and counts as unknown")
    if found.open:
        tell(f"{found.open:,} decisions depend on a company or deals that were not read then")
    if not found.decisions:
        return
    click.echo()
    rows = [(str(before), str(after), f"{n:,}", "" if before == after else "flipped")
            for (before, after), n in found.moves.most_common()]  # fmt: skip
    print_table(("then", "now", "decisions", ""), sorted(rows, key=lambda row: row[3] == ""))
    click.echo()
    by_rule = [(then or "none", now or "none", f"{number:,}") for (then, now), number in found.rules.most_common()]
    print_table(("rule then", "rule now", "decisions"), by_rule)


def _print_flipped(found: Confusion) -> None:
    newest = found.newest()
    if not newest:
        return
    click.echo()
    rows = [
        (one.contact, write_moment(one.decided_at), str(one.before), str(one.after), one.rule_before, one.rule_after)
        for one in newest
    ]
    print_table(("contact", "decided at", "then", "now", "rule then", "rule now"), rows)
    if found.flipped > MOST_FLIPPED:
        tell(f"only the newest {MOST_FLIPPED:,} are named")
