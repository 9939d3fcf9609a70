"""`stagekeeper setup`: what Stagekeeper needs in each portal, made where it is missing."""

import click

from connector.cli.options import common, output, portal_id, read_config
from connector.cli.render import print_json, print_table
from connector.hubspot.budget import MemoryBudgetStore
from connector.hubspot.setup import SetupStep, set_up
from connector.services import open_hubspot


@click.command("setup")
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@output()
@common
def command(portal: int | None, format_: str) -> int:
    """Make the property group and the properties that Stagekeeper reads and writes, and say what was found and made.

    It asks nothing and can be run again at any time; what is there is left as its owners made it.
    """
    config = read_config()
    chosen = [portal_id(config, portal)] if portal is not None else [one.id for one in config.portals]
    done: dict[int, list[SetupStep]] = {}
    for one in config.portals:
        if one.id in chosen:
            hubspot, _ = open_hubspot(one, store=MemoryBudgetStore())
            done[one.id] = list(set_up(hubspot))
    _print(done, format_)
    return 5 if any(step.outcome == "differs" for steps in done.values() for step in steps) else 0


def _print(done: dict[int, list[SetupStep]], format_: str) -> None:
    if format_ == "json":
        names = SetupStep.__slots__
        rows = [{"portal": p, **{n: getattr(s, n) for n in names}} for p, steps in done.items() for s in steps]
        print_json({"version": 1, "steps": rows})
        return
    for portal, steps in done.items():
        print_table(
            ("outcome", "what", "on", "name", ""),
            [(s.outcome, s.what, s.object_type, s.name, s.text if s.outcome == "differs" else "") for s in steps],
            title=f"portal {portal}",
        )
        counts = {outcome: sum(step.outcome == outcome for step in steps) for outcome in ("found", "made", "changed")}
        click.echo(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
