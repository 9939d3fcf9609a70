"""`stagekeeper init`: a commented configuration and the default rules in the current folder, ready for editors.

What is there already is never overwritten: files of the beginning are kept, and a workflow or hooks that are there
already refuse the whole call.
"""

from pathlib import Path

import click

from connector import __version__
from connector.cli.options import common, tell
from connector.errors import Refused
from connector.rulebook.shipped import example_config, shipped_folder, shipped_packs
from connector.schema.files import FOLDER, KINDS, Kind, modeline, schema_file, schema_text

WORKFLOW = Path(".github", "workflows", "stagekeeper.yml")
HOOKS = Path(".pre-commit-config.yaml")
_TEMPLATES = {WORKFLOW: "github-actions.yml", HOOKS: "pre-commit.yaml"}

_NEXT = """next:
  1. edit the portal in config.yaml: id, webhook_url, stages, owners, calendar
  2. stagekeeper setup --hubspot-project app   the files of its app for HubSpot, with scopes and webhooks
  3. set HUBSPOT_ACCESS_TOKEN and HUBSPOT_CLIENT_SECRET of that app, and its app_id in config.yaml
  4. stagekeeper check     every problem, with line and column
  5. stagekeeper test      the cases beside the rules
  6. stagekeeper setup     the properties in HubSpot; then `stagekeeper doctor` says whether all of it fits
  7. stagekeeper serve     receiver, worker and web page"""
_NEXT_OF = {
    WORKFLOW: "next: commit it, and give the repository the secret HUBSPOT_ACCESS_TOKEN, for the comment with the plan",
    HOOKS: "next: commit it, and run `pre-commit install`",
}


@click.command("init")
@click.option("--pack", default="default", show_default=True, metavar="NAME", help="The pack to begin with.")
@click.option("--github-actions", "workflow", is_flag=True, help="Write a workflow that checks, tests and plans, too.")
@click.option("--pre-commit", "hooks", is_flag=True, help="Write hooks that check and test before a commit, too.")
@common
def command(pack: str, workflow: bool, hooks: bool) -> None:
    """Write config.yaml and rules/<pack>.yaml with its cases; what is there already is left alone.

    Where a configuration or rules are there, --github-actions and --pre-commit write their own file and nothing else.
    """
    packs = shipped_packs()
    if pack not in packs:
        raise click.UsageError(f"there is no pack {pack!r}; there is: {', '.join(packs)}")
    asked = [path for path, wanted in ((WORKFLOW, workflow), (HOOKS, hooks)) if wanted]
    for path in asked:
        if path.exists():
            raise Refused(f"{path} is there already, and nothing was written; move it away to have it made anew")
    begun = Path("config.yaml").exists() or Path("rules").is_dir()
    files = {} if asked and begun else _beginning(pack)
    for path, text in {**files, **{path: _template(path) for path in asked}}.items():
        click.echo(f"{'wrote' if _write(path, text) else 'kept '} {path}")
    tell("\n".join([*([_NEXT] if files else []), *(_NEXT_OF[path] for path in asked)]))


def _beginning(pack: str) -> dict[Path, str]:
    """Give the files to begin with, each naming its schema, and the schemas."""
    example = example_config().read_text(encoding="utf-8").replace("rules/default.yaml", f"rules/{pack}.yaml")
    rules = shipped_packs()[pack].read_text(encoding="utf-8")
    cases = (shipped_folder() / f"{pack}_test.yaml").read_text(encoding="utf-8")
    written: dict[Path, tuple[Kind, str]] = {
        Path("config.yaml"): ("config", example),
        Path("rules", f"{pack}.yaml"): ("pack", rules),
        Path("rules", f"{pack}_test.yaml"): ("cases", cases),
    }
    return {
        **{path: modeline(kind, path) + text for path, (kind, text) in written.items()},
        **{Path(FOLDER, schema_file(kind)): schema_text(kind) for kind in KINDS},
    }


def _template(path: Path) -> str:
    text = Path(__file__).with_name(_TEMPLATES[path]).read_text(encoding="utf-8")
    return text.replace("@VERSION@", __version__)


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return False
    return True
