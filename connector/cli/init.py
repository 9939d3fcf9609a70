"""`stagekeeper init`: a commented configuration and the default rules in the current folder."""

from pathlib import Path

import click

from connector.cli.options import common, tell
from connector.rulebook.shipped import example_config, shipped_folder, shipped_packs

_NEXT = """next:
  1. set HUBSPOT_ACCESS_TOKEN and HUBSPOT_CLIENT_SECRET, and edit the portal in config.yaml
  2. stagekeeper check     every problem, with line and column
  3. stagekeeper test      the cases beside the rules
  4. stagekeeper setup     the properties in HubSpot
  5. stagekeeper serve     receiver, worker and web page"""


@click.command("init")
@click.option("--pack", default="default", show_default=True, metavar="NAME", help="The pack to begin with.")
@common
def command(pack: str) -> None:
    """Write config.yaml and rules/<pack>.yaml with its cases; what is there already is left alone."""
    packs = shipped_packs()
    if pack not in packs:
        raise click.UsageError(f"there is no pack {pack!r}; there is: {', '.join(packs)}")
    example = example_config().read_text(encoding="utf-8")
    files = {
        Path("config.yaml"): example.replace("rules/default.yaml", f"rules/{pack}.yaml"),
        Path("rules", f"{pack}.yaml"): packs[pack].read_text(encoding="utf-8"),
        Path("rules", f"{pack}_test.yaml"): (shipped_folder() / f"{pack}_test.yaml").read_text(encoding="utf-8"),
    }
    for path, text in files.items():
        click.echo(f"{'wrote' if _write(path, text) else 'kept '} {path}")
    tell(_NEXT)


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return False
    return True
