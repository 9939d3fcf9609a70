"""`stagekeeper schema`: JSON Schema of packs, case files and the configuration, for editors."""

from pathlib import Path

import click

from connector.cli.options import common, portal_id, read_config, tell
from connector.hubspot.budget import MemoryBudgetStore
from connector.moments import system_clock
from connector.oauth.keyring import access_of
from connector.schema.files import KINDS, Kind, schema_file, schema_text
from connector.schema.offers import Offers
from connector.schema.portal import portal_offers
from connector.services import open_hubspot


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS), required=False, metavar="[pack|cases|config]")
@click.option("--portal", type=int, metavar="ID", help="Put in what this portal really has.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there; all three into a folder.")
@common
def command(kind: str | None, portal: int | None, out: Path | None) -> None:
    """Print the JSON Schema (draft-07) of packs, case files or the configuration; packs when nothing is said.

    With --portal, the portal's properties, options, pipelines, stages and owners are read from HubSpot and put in;
    nothing is written there. `stagekeeper schema --out .stagekeeper` renews the three files that `init` makes.
    """
    offers = None if portal is None else _offers(portal)
    named: Kind = next((each for each in KINDS if each == kind), "pack")
    if out is None:
        click.echo(schema_text(named, offers), nl=False)
    elif out.is_dir() or not out.suffix:
        for each in KINDS if kind is None else (named,):
            _write(out / schema_file(each), schema_text(each, offers))
    else:
        _write(out, schema_text(named, offers))


def _offers(portal: int) -> Offers:
    config = read_config()
    number = portal_id(config, portal)
    settings = next(one for one in config.portals if one.id == number)
    access = access_of(config, settings, clock=system_clock)
    hubspot, _ = open_hubspot(settings, store=MemoryBudgetStore(), access=access)
    try:
        return portal_offers(hubspot)
    finally:
        hubspot.close()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    tell(f"wrote {path}")
