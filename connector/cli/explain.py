"""`stagekeeper explain`: a contact of the portal, or of a case file, condition by condition."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from connector.cli.history_view import print_history
from connector.cli.options import common, output, portal_id, read_config
from connector.cli.render import print_json, print_table
from connector.config import Config
from connector.decision import decide_case
from connector.errors import FilesInvalid, StagekeeperError, UsageError
from connector.explanation import Explanation, as_in_portal, explain, unanswered
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.records import is_id
from connector.moments import system_clock, write_moment
from connector.problems import nearest
from connector.recall import MOST, recall
from connector.rivals.history import Version, versions_of
from connector.rulebook.cases import load_cases
from connector.rulebook.checking import load_pack
from connector.rulebook.columns import Subject
from connector.rulebook.judging import Known, Rulebook
from connector.services import open_services
from connector.store.engine import open_database
from connector.telemetry import build_metrics
from connector.whynot import why_not


class ContactGone(StagekeeperError):
    """HubSpot has no such contact."""

    code = "contact-gone"


class ContactUnknown(StagekeeperError):
    """There is no record of such a contact."""

    code = "contact-unknown"


@click.command("explain")
@click.argument("contact", required=False, metavar="[CONTACT_ID]")
@click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")
@click.option("--case", "case", nargs=2, metavar="FILE NAME", help="Explain a contact of a case file instead.")
@click.option("--why-not", "stage", metavar="STAGE", help="Say also what would bring the contact into that stage.")
@click.option("--history", is_flag=True, help="List what was decided about the contact instead, newest first.")
@click.option("--last", type=click.IntRange(min=1), default=MOST, show_default=True, metavar="N",
              help="With --history: so many decisions.")  # fmt: skip
@output()
@common
def command(  # noqa: PLR0913 - one argument an option
    *, contact: str | None, portal: int | None, case: tuple[str, str] | None, stage: str | None, history: bool,
    last: int, format_: str,
) -> None:  # fmt: skip
    """Say why a contact is where it is: the rule, every fact, every condition with wanted and actual.

    Reads the contact from HubSpot as it is now and writes nothing. "effects" is what would be done now. With --history
    it reads Stagekeeper's own records alone.
    """
    if (contact is None) == (case is None):
        raise UsageError("name a contact, or a case with --case FILE NAME")
    if contact is not None and not is_id(contact):
        raise UsageError("expected the number that HubSpot gave the contact, as in 501; the web page finds addresses")
    if history:
        _tell_history(contact, portal, stage, last, format_)
        return
    if case is not None:
        explanation = explain_case(Path(case[0]), case[1], stage)
    else:
        config = read_config()
        explanation = explain_contact(config, portal_id(config, portal), str(contact), stage)
    print_json(explanation.as_data()) if format_ == "json" else _print(explanation)


def _tell_history(contact: str | None, portal: int | None, stage: str | None, last: int, format_: str) -> None:
    if contact is None or stage is not None:
        raise UsageError("--history lists what was decided about a contact; it goes with neither --case nor --why-not")
    config = read_config()
    found = recall(open_database(config.database), portal_id(config, portal), contact, most=last)
    if not found.total and not found.is_pruned:
        raise ContactUnknown(f"nothing was ever decided about a contact {contact!r} of portal {found.portal}")
    print_json(found.as_data()) if format_ == "json" else print_history(found)


def explain_case(path: Path, name: str, stage: str | None = None) -> Explanation:
    """Explain a case, and why it is not in another stage; raises FilesInvalid or UsageError."""
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
    known = Known(case.stage, case.status, case.since)
    explanation = explain(rulebook, case.subject, decide_case(rulebook, case, now), now, known=known)
    return _with_why_not(explanation, rulebook, case.subject, known, now, stage=stage)


def explain_contact(config: Config, portal: int, contact: str, stage: str | None = None) -> Explanation:
    """Explain a contact of a portal as HubSpot holds it now, and why it is not in another stage."""
    services = open_services(config, metrics=build_metrics())
    parts = services.portals[portal]
    now, examiner = services.clock(), parts.pipeline.examiner
    held = parts.recorder.held([contact])[contact]
    judged = examiner.read_and_judge(contact, held, parts.pipeline.terms(), now)
    if judged is None:
        raise ContactGone(f"portal {portal} has no contact {contact!r}; it may have been deleted or merged")
    missing = unanswered(judged.snapshot, examiner.wanted.contact)
    if missing:
        there = parts.hubspot.properties.definitions("contacts")
        missing = [name for name in missing if name not in there]
    rulebook, known = examiner.rulebook, held.memory.known
    explanation = as_in_portal(
        explain(rulebook, judged.snapshot, judged.decision, now, known=known), plan=judged.plan, missing=missing,
        origins=_origins(parts.hubspot, contact, sorted(examiner.wanted.rule_inputs - set(missing))),
    )  # fmt: skip
    return _with_why_not(explanation, rulebook, judged.snapshot, known, now, stage=stage)


def _origins(hubspot: HubSpotPortal, contact: str, names: list[str]) -> dict[str, Version]:
    """Read who set the properties that the rules read, and when."""
    answer = hubspot.contacts.read([contact], names, history=names)
    record = answer.found.get(contact, {})
    versions = {name: versions_of(record, name) for name in names}
    return {name: found[-1] for name, found in versions.items() if found and found[-1].value}


def _with_why_not(
    explanation: Explanation, rulebook: Rulebook, subject: Subject, known: Known, now: int, *, stage: str | None
) -> Explanation:
    """Add what would bring the contact into a stage, when one is asked for."""
    if stage is None:
        return explanation
    if stage not in rulebook.pack.ladder:
        raise UsageError(f"--why-not {stage}: no stage is called so; {nearest(stage, rulebook.pack.ladder)}")
    return replace(explanation, why_not=why_not(rulebook, subject, known, now, stage=stage))


def _print(explanation: Explanation) -> None:
    data = explanation.as_data()
    status = f", status {data['status']}" if data["status"] else ""
    click.secho(f"stage {data['stage'] or 'none'}{status}", bold=True)
    click.echo(f"rule {data['rule'] or 'none'}: {data['because']}")
    if data["held"]:
        click.secho(f"held: {data['held']}", fg="yellow")
    for name, why in data["withheld"].items():
        if why != data["held"]:
            click.secho(f"{name} is not written: {why}", fg="yellow")
    if explanation.decision.next_look_at is not None:
        click.echo(f"next look at {write_moment(explanation.decision.next_look_at)}")
    if data["missing_properties"]:
        names = ", ".join(data["missing_properties"])
        click.secho(f"the portal has no property {names}; unknown to the rules (run `stagekeeper setup`)", fg="yellow")
    click.echo()
    conditions = data["conditions"]
    rows: list[tuple[str, ...]] = [
        (row["result"], row["text"], row["actual"] or "(empty)", _source(row)) for row in conditions
    ]
    rows.sort(key=_answer_first)
    print_table(("answer", "condition", "actual", "source"), rows)
    click.echo()
    facts: list[tuple[str, ...]] = [(answer, fact) for fact, answer in data["facts"].items()]
    facts.sort(key=_answer_first)
    print_table(("answer", "fact"), facts)
    _print_losers(data["rules_above"])
    for sentence in data.get("why_not", {}).get("say", ()):
        click.echo()
        click.echo(f"why not {data['why_not']['stage']}? {sentence}")
    if data["effects"]:
        click.echo()
        print_table(("to do now", "what"), [_effect_row(effect) for effect in data["effects"]])


def _print_losers(losers: list[dict[str, Any]]) -> None:
    """Print what kept each rule above from applying."""
    rows = [
        (f"{loser['rule']} ({loser['stage'] or 'no stage'})", row["text"], row["result"], row["actual"] or "(empty)")
        for loser in losers
        for row in loser["failed"]
    ]
    if rows:
        click.echo()
        print_table(("rule above", "does not apply, for", "is", "actual"), rows)


def _answer_first(row: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return ("yes", "no", "unknown").index(row[0]), row[1:]


def _source(row: dict[str, Any]) -> str:
    return f"{row['source']}, {row['set_by']}, {row['set_at']}" if "set_at" in row else str(row["source"])


def _effect_row(effect: dict[str, str]) -> tuple[str, str]:
    if effect["kind"] == "property":
        return "set", f"{effect['name']}: {effect['from'] or '(empty)'} → {effect['to'] or '(empty)'}"
    title = effect.get("title")
    return effect["kind"], f"{effect['rule']}{f': {title}' if title else ''}"
