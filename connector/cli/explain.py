"""`stagekeeper explain`: a contact of the portal, or of a case file, condition by condition."""

from pathlib import Path

import click

from connector.cli.options import common, output, portal_id, read_config
from connector.cli.render import print_json, print_table
from connector.config import Config
from connector.errors import FilesInvalid, StagekeeperError, UsageError
from connector.explanation import Explanation, explain, unanswered
from connector.moments import system_clock, write_moment
from connector.pipeline import decide_case
from connector.problems import nearest
from connector.rulebook.cases import load_cases
from connector.rulebook.checking import load_pack
from connector.rulebook.judging import Rulebook
from connector.services import open_services
from connector.telemetry import build_metrics


class ContactGone(StagekeeperError):
    """HubSpot has no such contact."""

    code = "contact-gone"


@click.command("explain")
@click.argument("contact", required=False, metavar="[CONTACT_ID]")
@click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")
@click.option("--case", "case", nargs=2, metavar="FILE NAME", help="Explain a contact of a case file instead.")
@output()
@common
def command(contact: str | None, portal: int | None, case: tuple[str, str] | None, format_: str) -> None:
    """Say why a contact is where it is: the rule, every fact, every condition with wanted and actual.

    Reads the contact from HubSpot as it is now and writes nothing. "effects" is what would be done now.
    """
    if (contact is None) == (case is None):
        raise UsageError("name a contact, or a case with --case FILE NAME")
    if case is not None:
        explanation = explain_case(Path(case[0]), case[1])
    else:
        config = read_config()
        explanation = explain_contact(config, portal_id(config, portal), str(contact))
    print_json(explanation.as_data()) if format_ == "json" else _print(explanation)


def explain_case(path: Path, name: str) -> Explanation:
    """Explain a case; raises FilesInvalid or UsageError."""
    cases, problems = load_cases(path)
    if cases is None:
        raise FilesInvalid(problems)
    pack, problems = load_pack(cases.pack)
    if pack is None:
        raise FilesInvalid(problems)
    by_name = {case.name: case for case in cases.cases}
    if name not in by_name:
        raise UsageError(f"{path}: no case is called {name!r}; {nearest(name, by_name)}")
    case = by_name[name]
    if case.problems:
        raise FilesInvalid(list(case.problems))
    rulebook = Rulebook(pack)
    now = case.now if case.now is not None else system_clock()
    return explain(rulebook, case.subject, decide_case(rulebook, case, now), now)


def explain_contact(config: Config, portal: int, contact: str) -> Explanation:
    """Explain a contact of a portal as HubSpot holds it now."""
    services = open_services(config, metrics=build_metrics())
    parts = services.portals[portal]
    now = services.clock()
    judged = parts.pipeline.read_and_judge(contact, parts.recorder.held([contact])[contact], now)
    if judged is None:
        raise ContactGone(f"portal {portal} has no contact {contact!r}; it may have been deleted or merged")
    missing = unanswered(judged.snapshot, parts.pipeline.wanted.contact)
    if missing:
        there = parts.hubspot.properties.definitions("contacts")
        missing = [name for name in missing if name not in there]
    return explain(
        parts.pipeline.rulebook, judged.snapshot, judged.decision, now, plan=judged.plan, missing=missing
    )


def _print(explanation: Explanation) -> None:
    data = explanation.as_data()
    status = f", status {data['status']}" if data["status"] else ""
    click.secho(f"stage {data['stage'] or 'none'}{status}", bold=True)
    click.echo(f"rule {data['rule'] or 'none'}: {data['because']}")
    if data["held"]:
        click.secho(f"held: {data['held']}", fg="yellow")
    if explanation.decision.next_look_at is not None:
        click.echo(f"next look at {write_moment(explanation.decision.next_look_at)}")
    if data["missing_properties"]:
        names = ", ".join(data["missing_properties"])
        click.secho(f"the portal has no property {names}; unknown to the rules (run `stagekeeper setup`)", fg="yellow")
    click.echo()
    conditions = data["conditions"]
    rows: list[tuple[str, ...]] = [
        (row["result"], row["text"], row["actual"] or "(empty)", row["source"]) for row in conditions
    ]
    rows.sort(key=_answer_first)
    print_table(("answer", "condition", "actual", "source"), rows)
    click.echo()
    facts: list[tuple[str, ...]] = [(answer, fact) for fact, answer in data["facts"].items()]
    facts.sort(key=_answer_first)
    print_table(("answer", "fact"), facts)
    if data["effects"]:
        click.echo()
        print_table(("to do now", "what"), [_effect_row(effect) for effect in data["effects"]])


def _answer_first(row: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return ("yes", "no", "unknown").index(row[0]), row[1:]


def _effect_row(effect: dict[str, str]) -> tuple[str, str]:
    if effect["kind"] == "property":
        return "set", f"{effect['name']}: {effect['from'] or '(empty)'} → {effect['to'] or '(empty)'}"
    title = effect.get("title")
    return effect["kind"], f"{effect['rule']}{f': {title}' if title else ''}"
