"""The configuration, the packs that it names, who may read and write them, and what must be entered in HubSpot."""

import ipaddress
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from connector.config import Config, Portal, load_config, named_packs
from connector.diagnosis.check import INVALID, Check, broken, ok, warning
from connector.packs import unmapped_stages
from connector.problems import Problem
from connector.rulebook.checking import load_pack
from connector.rulebook.pack import Pack
from connector.rulebook.reading import read_file, walk

WEBHOOK_PATH = "/webhooks/hubspot"
_SECRET_KEYS = ("access_token", "client_secret", "ops_token", "read_token", "keys")
_CHECK = "`stagekeeper check` lists all"


def configuration(path: Path) -> tuple[Config | None, list[Check]]:
    """Load the configuration, and say what is wrong with it, each fault for itself."""
    config, problems = load_config(path)
    found = [_broken("configuration", problem) for problem in problems if problem.severity == "error"]
    if config is None:
        named = {pack: load_pack(pack)[1] for pack in named_packs(path)}
        rest = [check for pack, faults in named.items() for check in _of_rules(str(pack), faults)]
        return None, [*(found or [broken("configuration", f"{path} cannot be used", _CHECK)]), *rest]
    warned = len(problems)
    portals = f"{len(config.portals)} portal{'s' if len(config.portals) > 1 else ''}"
    text = f"{path}: {portals}, {warned} warning{'' if warned == 1 else 's'}"
    return config, [warning("configuration", text, _CHECK) if warned else ok("configuration", text)]


def rules(portal: Portal) -> tuple[Pack | None, list[Check]]:
    """Load a portal's pack, and say what is wrong with it."""
    pack, problems = load_pack(portal.rules)
    problems += unmapped_stages(pack, portal) if pack is not None else []
    if found := _of_rules(str(portal.rules), problems):
        return pack, found
    assert pack is not None  # noqa: S101 - a pack without problems is one
    number = sum(1 for _ in pack.rules())
    mode = "" if portal.mode == "live" else "; mode is shadow: nothing is written"
    return pack, [ok("rules", f"{portal.rules}: pack {pack.name}, {number} rules{mode}")]


def permissions(path: Path, config: Config) -> Iterator[Check]:
    """Say who else may change the rules, or read secrets."""
    packs = list(dict.fromkeys(portal.rules for portal in config.portals))
    open_ = [str(file) for file in (path, *packs) if file.exists() and file.stat().st_mode & stat.S_IWOTH]
    if open_:
        yield warning("permissions", f"anybody on this machine may change {', '.join(open_)}",
                      f"chmod o-w {' '.join(open_)}")  # fmt: skip
    readable = path.exists() and path.stat().st_mode & stat.S_IROTH
    if readable and (keys := _written_out(path)):
        found = f"anybody on this machine may read {path}, in which {', '.join(keys)} stand"
        yield warning("permissions", found, f"write ${{NAME}} or ${{file:…}} in their place, or chmod o-r {path}")
    elif not open_:
        yield ok("permissions", "nobody else may change the rules, and no secret lies open")


def webhook_address(portal: Portal) -> Iterator[Check]:
    """Say what must be entered in HubSpot as the target of webhooks; it is not called."""
    url, parts = portal.webhook_url, urlsplit(portal.webhook_url)
    enter = f"enter exactly this as the target URL of the app's webhooks: {url}"
    if parts.scheme != "https" and not _is_here(parts.hostname or ""):
        cure = "put a proxy with TLS in front, and write its address here and in HubSpot"
        yield broken("webhook_url", f"{url} is not https, which HubSpot demands", cure, exit_code=INVALID)
    elif parts.scheme != "https":
        yield warning("webhook_url", f"{url} can be reached by a practice HubSpot only",
                      "for HubSpot itself, write the https address under which it can be reached")  # fmt: skip
    elif parts.path != WEBHOOK_PATH:
        yield warning("webhook_url", f"its path is {parts.path or '/'}; the receiver answers at {WEBHOOK_PATH}",
                      f"have the proxy pass it on to {WEBHOOK_PATH}; {enter}")  # fmt: skip
    else:
        yield ok("webhook_url", enter)


def client_secret(portal: Portal) -> Iterator[Check]:
    """Say whether the client secret looks like one."""
    secret = portal.client_secret.get_secret_value().strip()
    cure = "put the client secret of the app's Auth page there; webhooks are refused otherwise"
    token = portal.access_token.get_secret_value().strip() if portal.access_token else None
    if secret == token or secret.startswith("pat-"):
        yield broken("client_secret", "an access token stands in its place", cure, exit_code=INVALID)
    elif secret != portal.client_secret.get_secret_value():
        yield broken("client_secret", "it has spaces or line ends around it", cure, exit_code=INVALID)
    else:
        yield ok("client_secret", "present; it shows to be right when a webhook arrives")


def _of_rules(file: str, problems: list[Problem]) -> list[Check]:
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        first = _broken("rules", errors[0])
        cure = f"{first.cure}; {_CHECK}" if first.cure else _CHECK
        return [broken("rules", f"{first.found}{more}", cure, exit_code=INVALID)]
    if problems:
        number = f"{len(problems)} warning{'' if len(problems) == 1 else 's'}"
        return [warning("rules", f"{file}: {number}; the first: {problems[0]}", _CHECK)]
    return []


def _broken(id_: str, problem: Problem) -> Check:
    parts = [part for part in (problem.found, problem.expected) if part]
    found = f"{problem.place}: {problem.code}: {'; '.join(parts)}"
    return broken(id_, found, problem.cure or "correct it", exit_code=INVALID)


def _written_out(path: Path) -> list[str]:
    """Name the keys whose secrets stand in the file itself."""
    document, _ = read_file(path)
    listed = walk(document.data) if document is not None else ()
    found = {str(keys[-1]) for keys, value in listed if keys and keys[-1] in _SECRET_KEYS
             and isinstance(value, str) and value and "${" not in value}  # fmt: skip
    return sorted(found)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
