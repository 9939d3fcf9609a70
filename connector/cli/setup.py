"""`stagekeeper setup`: what Stagekeeper needs in each portal, made where it is missing; or the app's own files."""

import os
import re
from pathlib import Path

import click

from connector.cli.options import common, output, path_of_config, portal_id, read_config, tell
from connector.cli.render import print_json, print_table
from connector.config import Config, load_config
from connector.errors import FilesInvalid, UsageError
from connector.hubspot.budget import MemoryBudgetStore
from connector.hubspot.setup import SetupStep, set_up
from connector.moments import system_clock
from connector.needs import deal_rules
from connector.oauth.keyring import access_of
from connector.packs import checked_packs, load_packs
from connector.project import WrittenFile, project_files, write_project
from connector.rulebook.reading import read_file
from connector.services import open_hubspot

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NEXT = """next:
  1. hs project upload      in that folder, with HubSpot's command line
  2. install the app in the account (Development > Projects), and put its token and client secret into the environment
     (HUBSPOT_ACCESS_TOKEN, HUBSPOT_CLIENT_SECRET), its id into the configuration (app_id)
  3. stagekeeper doctor     says whether all of it fits"""


@click.command("setup")
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@click.option(
    "--hubspot-project", "folder", type=click.Path(path_type=Path), metavar="DIR",
    help="Write the app's files for HubSpot's developer platform into this folder; HubSpot is not asked.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="With --hubspot-project: overwrite files that differ.")
@output()
@common
def command(portal: int | None, folder: Path | None, force: bool, format_: str) -> int:
    """Make the property group and the properties that Stagekeeper reads and writes, and say what was found and made.

    It asks nothing and can be run again at any time; what is there is left as its owners made it. With
    --hubspot-project it writes an app for `hs project upload` instead: the scopes and the webhook subscriptions that
    the rules and the portal's options need, and no others.
    """
    if folder is not None:
        config = _read_without_secrets()
        _print_files(_write_files(config, portal_id(config, portal), folder, force=force), folder, format_)
        return 0
    if force:
        raise UsageError("--force overwrites files of --hubspot-project; name its folder too")
    config = read_config()
    chosen = [portal_id(config, portal)] if portal is not None else [one.id for one in config.portals]
    done = _set_up(config, chosen)
    _print(done, format_)
    return 5 if any(step.outcome == "differs" for steps in done.values() for step in steps) else 0


def _set_up(config: Config, chosen: list[int]) -> dict[int, list[SetupStep]]:
    """Set the portals up; deals are left alone where no rule opens any, for the app need not have their scopes."""
    packs, _ = load_packs(config)
    done: dict[int, list[SetupStep]] = {}
    for one in config.portals:
        if one.id in chosen:
            access = access_of(config, one, clock=system_clock)
            hubspot, _ = open_hubspot(one, store=MemoryBudgetStore(), access=access)
            pack = packs.get(one.id)
            done[one.id] = list(set_up(hubspot, with_deals=pack is None or bool(deal_rules(one, pack))))
    return done


def _read_without_secrets() -> Config:
    """Read the configuration for an app that is not there yet: its secrets may still be unknown."""
    document, _ = read_file(path_of_config())
    portals = document.data.get("portals") if document and isinstance(document.data, dict) else None
    listed = [one for one in portals if isinstance(one, dict)] if isinstance(portals, list) else []
    secrets = [str(one.get(key) or "") for one in listed for key in ("access_token", "client_secret")]
    apps = [app for one in listed if isinstance(app := one.get("oauth"), dict)]
    secrets += [str(app.get("client_id") or "") for app in apps]
    unset = {name for text in secrets for name in _VARIABLE.findall(text) if not os.environ.get(name)}
    config, problems = load_config(path_of_config(), {**os.environ, **dict.fromkeys(unset, "not known yet")})
    if config is None:
        raise FilesInvalid([problem for problem in problems if problem.severity == "error"])
    return config


def _write_files(config: Config, portal: int, folder: Path, *, force: bool) -> list[WrittenFile]:
    chosen = next(one for one in config.portals if one.id == portal)
    if not chosen.webhook_url.startswith("https://"):
        tell(f"`webhook_url` is {chosen.webhook_url}; HubSpot takes https addresses only")
    redirect_url = config.oauth.redirect_url if config.oauth else None
    return write_project(folder, project_files(chosen, checked_packs(config)[portal], redirect_url), force=force)


def _print_files(files: list[WrittenFile], folder: Path, format_: str) -> None:
    if format_ == "json":
        listed = [{"path": str(folder / file.path), "outcome": file.outcome} for file in files]
        print_json({"version": 1, "files": listed})
        return
    for file in files:
        click.echo(f"{file.outcome:<8} {folder / file.path}")
    if any(file.outcome != "found" for file in files):
        tell(_NEXT)


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
