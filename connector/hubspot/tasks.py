"""Tasks: given to salespeople, each with a marker by which it is found again.

https://developers.hubspot.com/docs/api-reference/crm-tasks-v3/guide
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connector.hubspot.batch import BatchAnswer
from connector.hubspot.markers import marked
from connector.hubspot.official import Official
from connector.hubspot.records import CreateAnswer, NewRecord, create_records, read_records

TO_CONTACT = 204


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInput:
    """A task to be made: its marker, its contact, and what it holds (`hs_timestamp`, the due date, is required)."""

    key: str
    contact: str
    properties: Mapping[str, str]


class Tasks:
    """The tasks of one portal."""

    def __init__(self, official: Official) -> None:
        self._official = official

    def create(self, inputs: Sequence[TaskInput], *, before: Callable[[], None] | None = None) -> CreateAnswer:
        """Make tasks, each for a contact; `before` is called ahead of every call."""
        return create_records(self._official, "tasks", (_new(each) for each in inputs), before=before)

    def marked(self, contacts: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        """Give for each contact the tasks that Stagekeeper made, as marker to task id."""
        return marked(self._official, "tasks", contacts)

    def read(self, ids: Iterable[str], properties: Iterable[str]) -> BatchAnswer:
        """Read tasks as they are now."""
        return read_records(self._official, "tasks", ids, properties)


def _new(task: TaskInput) -> NewRecord:
    return NewRecord(key=task.key, properties=task.properties, associations=((task.contact, (TO_CONTACT,)),))
