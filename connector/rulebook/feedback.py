"""Rules that read what Stagekeeper itself changes by its work, so that they feed themselves.

A task on a contact counts as an activity, its due date is the contact's next activity, and every write is a
modification. Whoever insists says so in the pack, and is warned no more.
"""

from collections.abc import Collection, Iterator

from connector.problems import Place, Problem
from connector.rulebook.conditions import tested_properties
from connector.rulebook.pack import Pack

_BY_TASKS = {
    "num_notes": "counts our own tasks too",
    "notes_next_activity_date": "is the due date of our own tasks too",
    "notes_last_updated": "changes whenever we create a task",
}
_BY_WRITES = dict.fromkeys(("lastmodifieddate", "hs_lastmodifieddate"), "changes whenever we write anything")


def fed_by_own_writes(pack: Pack, insisted_on: Collection[str]) -> Iterator[Problem]:
    """Warn of each place where the rules read a property of the contact that our own work changes."""
    has_tasks = bool(pack.tasks or pack.cadences or any(rule.do for rule in pack.actions))
    fed = {**_BY_WRITES, **(_BY_TASKS if has_tasks else {})}
    for name, place in dict.fromkeys(_read(pack)):
        if name in fed and name not in insisted_on:
            cure = f"read a property that only others change, or write `insist_on: [{name}]` at the top of the pack"
            found = f"{name!r} {fed[name]}, so the rule feeds itself"
            yield Problem(place=place, code="own-writes-feed", found=found, cure=cure, severity="warning")


def _read(pack: Pack) -> Iterator[tuple[str, Place]]:
    """Give the contact's properties that conditions test, or that start a cadence anew, each with its place."""
    for condition in pack.conditions():
        for test in tested_properties(condition):
            if test.object == "contact":
                yield test.property, test.place
    for rule in pack.cadences:
        for name in rule.starts_anew_on:
            yield name, rule.place
