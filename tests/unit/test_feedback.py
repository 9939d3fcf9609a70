"""Rules that read what our own work changes are warned of, unless the pack insists."""

from connector.rulebook.checking import load_pack_text

PACK = """
version: 1
pack: fed
ladder: [contact, lead]
insist_on: {insist_on}
stages:
  - {{id: worked, stage: lead, when: {{{name}: {{known: true}}}}, because: Somebody works on them.}}
{more}
"""
TASK = "tasks: [{id: call, when: {entered: lead}, title: Call them}]"
ERASE = "actions: [{id: forget, when: {entered: lead}, do: [erase]}]"


def warned(name: str, *, more: str = TASK, insist_on: str = "[]") -> list[str]:
    pack, problems = load_pack_text(PACK.format(name=name, more=more, insist_on=insist_on))
    assert pack is not None
    return [problem.code for problem in problems]


def test_counters_of_activities_are_fed_by_tasks() -> None:
    for name in ("num_notes", "notes_next_activity_date", "notes_last_updated"):
        assert warned(name) == ["own-writes-feed"]
        assert warned(name, more=ERASE) == ["own-writes-feed"]
        assert warned(name, more="") == []


def test_the_moment_of_the_last_change_is_fed_by_every_write() -> None:
    assert warned("lastmodifieddate", more="") == ["own-writes-feed"]


def test_what_only_others_change_is_not_warned_of() -> None:
    for name in ("notes_last_contacted", "num_contacted_notes", "hs_sales_email_last_replied", "company.num_notes"):
        assert warned(name) == []


def test_whoever_insists_is_not_warned() -> None:
    assert warned("num_notes", insist_on="[num_notes]") == []
    assert warned("num_notes", insist_on="[notes_last_updated]") == ["own-writes-feed"]


def test_only_what_is_fed_can_be_insisted_on() -> None:
    pack, problems = load_pack_text(PACK.format(name="phone", more=TASK, insist_on="[phone]"))
    assert (pack, [problem.code for problem in problems]) == (None, ["wrong-value"])
