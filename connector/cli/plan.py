"""`stagekeeper plan`: what a pack would do to all contacts, before it does it."""

from pathlib import Path

import click

from connector import __version__
from connector.cli.options import common, output, portal_id, read_config, tell
from connector.cli.progress import ProgressBar
from connector.cli.render import print_json, print_table
from connector.errors import UsageError
from connector.moments import system_clock
from connector.rollout.page import as_page
from connector.rollout.run import MOST_NAMED, Cell, Options, Preview, preview, rate_of
from connector.rollout.summary import Summary

PENDING = 6


@click.command("plan")
@click.option("--rules", type=click.Path(path_type=Path), metavar="FILE", help="The pack (default: the portal's).")
@click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Keep the plan, for `stagekeeper apply`.")
@click.option("--file", "file", type=click.Path(path_type=Path), metavar="FILE",
              help="Judge the contacts of a file, one a line as JSON, instead of the portal's.")  # fmt: skip
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Keep what was read as such a file.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Judge only so many, drawn at random.")
@click.option("--where", metavar="CONDITION", help="Only contacts that meet it, as in '{sk_source: {is: inbound}}'.")
@click.option("--cell", "cells", multiple=True, metavar="FROM:TO",
              help="Name the contacts that move so, as in 'lead:prospect hot'; an empty side means any.")  # fmt: skip
@click.option("--detailed-exitcode", is_flag=True, help="Leave with 6 when anything would change.")
@output("html")
@common
def command(  # noqa: PLR0913 - one argument an option
    *, rules: Path | None, portal: int | None, out: Path | None, file: Path | None, save: Path | None,
    sample: int | None, where: str | None, cells: tuple[str, ...], detailed_exitcode: bool, format_: str,
) -> int:  # fmt: skip
    """Show what the rules would do: who moves from where to where, what would be made, what it would cost.

    Reads every contact of the portal and writes nothing. Given --out, `stagekeeper apply` then does exactly that.
    """
    wanted = [_cell(text) for text in cells]
    config = read_config()
    number = portal_id(config, portal)
    settings = next(one for one in config.portals if one.id == number)
    options = Options(
        portal=settings, rules=rules or settings.rules, file=file, sample=sample, where=where, cells=wanted, out=out,
        save=save,
    )  # fmt: skip
    with ProgressBar() as bar:
        made = preview(config, options, clock=system_clock, release=__version__, progress=bar)
    rate = rate_of(settings)
    match format_:
        case "json":
            print_json(_as_data(made, rate))
        case "html":
            click.echo(as_page(made.heading, made.summary, ladder=made.pack.ladder, calls_per_10s=rate), nl=False)
        case _:
            _print(made, rate)
    if where is not None and not made.summary.contacts:
        tell(f"nobody meets --where {where!r}; are its properties and values spelled as HubSpot spells them?")
    if out is not None:
        consent = " --consent" if made.summary.objections() else ""
        tell(f"kept in {out}; to do exactly this: stagekeeper apply {out}{consent}")
    return PENDING if detailed_exitcode and made.summary.changed else 0


def _cell(text: str) -> Cell:
    before, colon, after = text.partition(":")
    if not colon:
        raise UsageError(f"--cell {text!r}: found no colon; expected FROM:TO, as in 'lead:prospect hot' or ':lead'")
    return Cell(before.strip(), after.strip())


def _as_data(made: Preview, rate: float) -> dict[str, object]:
    heading = {name: getattr(made.heading, name) for name in ("portal", "pack", "pack_file", "pack_hash", "made_at")}
    cells = [{"contact": one.contact, "from": one.before, "to": one.after, "name": one.name} for one in made.named]
    return {"version": 1, **heading, **made.summary.as_data(rate), "named": cells}


def _print(made: Preview, rate: float) -> None:
    summary = made.summary
    click.secho(f"portal {made.heading.portal}, pack {made.heading.pack}: {summary.contacts:,} contacts", bold=True)
    unread = f", {summary.failed:,} could not be read" if summary.failed else ""
    click.echo(
        f"{summary.changed:,} would change, {summary.moved:,} would move ({summary.backward:,} back), "
        f"{summary.held:,} are held{unread}"
    )
    click.echo()
    _print_moves(summary)
    made_of = [(kind, rule, f"{number:,}") for (kind, rule), number in sorted(summary.effects.items())]
    if made_of:
        click.echo()
        print_table(("would make", "rule", "number"), made_of)
    if summary.properties:
        click.echo()
        rows = [(name, f"{number:,}") for name, number in summary.properties.most_common()]
        print_table(("would set", "contacts"), rows)
    click.echo()
    click.echo(
        f"reading took {summary.read_calls:,} calls; applying takes about {summary.write_calls():,} calls, "
        f"{summary.seconds(rate):,} s at this portal's limit"
    )
    for objection in summary.objections():
        click.secho(f"needs consent: {objection}", fg="yellow")
    _print_named(made)


def _print_moves(summary: Summary) -> None:
    """Print the matrix, moves before stays, backward ones apart."""
    moves = sorted(summary.moves.items(), key=lambda item: (item[0].is_backward, -item[1], str(item[0].before)))
    rows = [
        (str(move.before), str(move.after), f"{number:,}", "backward" if move.is_backward else "")
        for move, number in moves
        if move.before != move.after
    ]
    stays = sum(number for move, number in summary.moves.items() if move.before == move.after)
    print_table(("from", "to", "contacts", ""), [*rows, ("(any)", "stays where it is", f"{stays:,}", "")])


def _print_named(made: Preview) -> None:
    if made.named:
        click.echo()
        rows = [(one.contact, one.name, one.before, one.after) for one in made.named]
        print_table(("contact", "name", "from", "to"), rows)
        if len(made.named) == MOST_NAMED:
            tell(f"only the first {MOST_NAMED:,} are named")
