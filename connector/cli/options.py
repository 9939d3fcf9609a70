"""Options that commands share, and what they stand for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from connector.config import Config, config_path, load_config
from connector.errors import FilesInvalid, UsageError
from connector.problems import is_broken

_F = TypeVar("_F", bound=Callable[..., Any])


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> Any:
        if value:
            ctx.obj = {**(ctx.obj or {}), name: value}
        return (ctx.obj or {}).get(name)

    return keep


def common(command: _F) -> _F:
    """Add `--config` and `--quiet`, which may stand before or after the command's name."""
    config = click.option(
        "--config", metavar="PATH", callback=_keep("config"), expose_value=False, help="The configuration."
    )
    quiet = click.option(
        "--quiet", is_flag=True, callback=_keep("quiet"), expose_value=False, help="Print results and errors only."
    )
    return config(quiet(command))


def output(*formats: str) -> Callable[[_F], _F]:
    """Add `--format`."""
    return click.option(
        "--format", "format_", type=click.Choice(["text", "json", *formats]), default="text", show_default=True,
        help="How results are printed.",
    )  # fmt: skip


def is_quiet() -> bool:
    """Ask whether only results and errors are wanted."""
    return bool((click.get_current_context().obj or {}).get("quiet"))


def tell(text: str) -> None:
    """Say something beside the result, unless `--quiet`."""
    if not is_quiet():
        click.echo(text, err=True)


def path_of_config() -> Path:
    """Give the path of the configuration that this command is to use."""
    return config_path((click.get_current_context().obj or {}).get("config"))


def read_config() -> Config:
    """Read the configuration or refuse with every problem in it.

    What lasts says anew how it logs; of the others the outcome tells what a warning would.
    """
    from connector.telemetry import configure_logging  # noqa: PLC0415 - not for commands that need no configuration

    config, problems = load_config(path_of_config())
    if config is None or is_broken(problems):
        from connector.packs import every_problem  # noqa: PLC0415 - only where there is a problem

        everything = every_problem(path_of_config())
        raise FilesInvalid([problem for problem in everything if problem.severity == "error"] or problems)
    configure_logging(config.log.format, "error")
    return config


def portal_id(config: Config, given: int | None) -> int:
    """Give the portal that is meant; with one portal it need not be named."""
    known = [portal.id for portal in config.portals]
    if given is None and len(known) == 1:
        return known[0]
    if given not in known:
        found = "several portals are configured" if given is None else f"no portal {given} is configured"
        raise UsageError(f"{found}; name one of them: --portal {' | '.join(map(str, known))}")
    return given
