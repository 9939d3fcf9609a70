"""The command `stagekeeper`: one module per command, each imported only when it is called.

Results go to stdout, everything else to stderr. Exit codes: 0 well, 1 unexpected, 2 usage, 3 configuration or rules
invalid, 4 rule tests failed, 5 HubSpot or database unreachable or unauthorised, 6 changes pending (only with
`--detailed-exitcode`), 7 refused.
"""

import sys
from importlib import import_module

import click

from connector import __version__
from connector.collecting import collect_seldom, keep_what_is_there
from connector.errors import FilesInvalid, StagekeeperError

COMMANDS = {
    "init": "Write a commented config.yaml and the default rules into this folder.",
    "doctor": "Say whether a set-up is well: files, token, scopes, stages, webhooks, database; each with its cure.",
    "setup": "Make the properties that Stagekeeper needs in each portal; safe to run again.",
    "check": "Check rules, cases and configuration; every problem at once.",
    "test": "Run case files.",
    "explain": "Say why a contact is where it is, condition by condition.",
    "plan": "Show what the rules would do to all contacts, before they do it.",
    "apply": "Do exactly what a plan says, or refuse.",
    "replay": "Make past decisions anew under other rules or an earlier git revision.",
    "serve": "Run the receiver, the worker and the web page.",
    "worker": "Run a worker alone, beside a `serve` elsewhere.",
    "events": "List, show, retry and drop what waits in the inbox.",
    "reconcile": "Find contacts whose webhooks were missed, and have them looked at.",
    "report": "Forecast the open deals of prospects; count who buys, and which rules decide.",
    "erase": "Remove a person from Stagekeeper's own tables.",
    "db": "Copy the database into another one, as from SQLite to PostgreSQL.",
    "schema": "Print JSON Schema for editors: of packs, cases or the configuration.",
    "sandbox": "Run the practice HubSpot.",
    "demo": "Watch contacts of a practice HubSpot move through their stages.",
}


class _Commands(click.Group):
    """Knows the commands by name and imports each when it is called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"connector.cli.{cmd_name}").command
        keep_what_is_there()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from connector.problems import nearest  # noqa: PLC0415 - only for a mistyped command

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"there is no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config", metavar="PATH", help="The configuration (default: config.yaml).")
@click.option("--quiet", is_flag=True, help="Print results and errors only.")
@click.version_option(__version__, prog_name="stagekeeper")
@click.pass_context
def stagekeeper(ctx: click.Context, config: str | None, quiet: bool) -> None:
    """Keep every contact of a HubSpot portal in the right lifecycle stage, by rules, and say why.

    Exit codes: 0 well; 1 unexpected; 2 usage; 3 configuration or rules invalid; 4 rule tests failed; 5 HubSpot or
    database unreachable or unauthorised; 6 changes pending (with --detailed-exitcode); 7 refused.
    """
    ctx.obj = {"config": config, "quiet": quiet}


def main() -> None:
    """Run the command line and leave with its exit code."""
    collect_seldom()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and give its exit code."""
    try:
        result = stagekeeper.main(arguments, prog_name="stagekeeper", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except click.Abort:
        return 130
    except FilesInvalid as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'' if count == 1 else 's'}; nothing was started", err=True)
        return error.exit_code
    except StagekeeperError as error:
        click.echo(f"error: {error.code}: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; there is nobody to tell
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        found = f"{error.filename}: {error.strerror or error}"
        click.echo(f"error: file-unusable: {found}; check the path, its permissions and the disk", err=True)
        return 1
    return result if isinstance(result, int) else 0
