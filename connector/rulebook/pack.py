"""A rule pack: the shape of its file, and the value that the rest of the product works with."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt

from connector.problems import Place
from connector.rulebook.conditions import Condition, DealsTest, StageFor, leaves, tested_properties
from connector.rulebook.operands import as_text, folded
from connector.rulebook.shape import Shape
from connector.rulebook.templates import fields

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Text = Annotated[str, BeforeValidator(lambda value: as_text(value) if isinstance(value, bool | int | float) else value)]
Setting = str | int | float | bool | list[str | int | float | bool]
Counter = Literal[
    "num_notes", "notes_next_activity_date", "notes_last_updated", "lastmodifieddate", "hs_lastmodifieddate"
]
"""What Stagekeeper's own tasks and writes change. https://knowledge.hubspot.com/properties/hubspots-default-contact-properties"""
Status = Literal["new", "hot", "warm", "cold", "closed", "unverified"]

# --- the shape of the file --------------------------------------------------------------------------------------------


class StageEntry(Shape):
    """One entry of `stages`."""

    id: Name
    stage: Name | None
    when: Any = None
    because: str
    backward: bool = False


class StatusEntry(Shape):
    """One entry of `statuses`."""

    id: Name
    of: Name | list[Name] | None = None
    status: Status
    when: Any = None
    because: str = ""


class ValueEntry(Shape):
    """One entry of `values`."""

    id: Name | None = None
    when: Any = None
    set: dict[Name, Text] = Field(min_length=1)


class TaskBody(Shape):
    """What a task is made of."""

    title: Annotated[str, Field(min_length=1, max_length=500)]
    notes: str = ""
    type: Literal["todo", "call", "email"] = "todo"
    priority: Literal["low", "medium", "high"] = "medium"
    due: str = "2 business days"
    owner: str | Annotated[list[str], Field(min_length=1)] = "contact_owner"
    queue: Text | None = None
    effort: Literal["low", "high"] = "low"


class TaskEntry(TaskBody):
    """One entry of `tasks`."""

    id: Name
    when: Any = None


class AfterwardsEntry(Shape):
    """What is set when a cadence has reached its cap."""

    set: dict[Name, Text] = Field(min_length=1)


class CadenceEntry(Shape):
    """One entry of `cadences`."""

    id: Name
    while_: Any = Field(alias="while")
    every: str
    at_most: StrictInt | str | None = None
    starts_anew_on: list[Name] = []
    task: TaskBody
    afterwards: AfterwardsEntry | None = None


class DealEntry(Shape):
    """A deal to open."""

    pipeline: Text = "default"
    stage: Text
    name: str = "{{ contact.company or contact.lastname or contact.email }}"


class ActionEntry(Shape):
    """One entry of `actions`."""

    id: Name
    when: Any = None
    create_deal: DealEntry | None = None
    do: list[Literal["unsubscribe", "erase"]] | None = None


class DerivedEntry(Shape):
    """Where a contact's property comes from when the contact itself has no value."""

    from_: Annotated[str, Field(alias="from", pattern=r"^deal\.[A-Za-z0-9_]+$")]
    map: dict[Name, list[Text]] = Field(min_length=1)


class PackFile(Shape):
    """A rule pack as it stands in its file."""

    version: Literal[1]
    pack: Name
    description: str = ""
    ladder: list[Name] = Field(min_length=1)
    settings: dict[Name, Setting] = {}
    derived: dict[Name, DerivedEntry] = {}
    min_stay: str | None = None
    insist_on: list[Counter] = []
    facts: dict[Name, Any] = {}
    stages: list[StageEntry] = Field(min_length=1)
    statuses: list[StatusEntry] = []
    values: list[ValueEntry] = []
    tasks: list[TaskEntry] = []
    cadences: list[CadenceEntry] = []
    actions: list[ActionEntry] = []


# --- the pack as a value ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageRule:
    """Which stage a contact has; the first whose condition is yes."""

    id: str
    when: Condition
    stage: str | None
    because: str
    backward: bool
    """Whether HubSpot's stage may be moved back to this one."""
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StatusRule:
    """Which status a contact of these stages has (`of` None: any stage and none)."""

    id: str
    when: Condition
    of: frozenset[str] | None
    status: str
    because: str
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ValueRule:
    """Properties that are set while the condition is yes; an empty text clears."""

    id: str
    when: Condition
    set: Mapping[str, str]
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """When a task is due: so many business days, or a plain duration in milliseconds."""

    business_days: int = 0
    duration: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TaskRule:
    """A task that is due once while its condition is yes."""

    id: str
    when: Condition
    body: TaskBody
    due: Due
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CadenceRule:
    """A task that comes again every so often (milliseconds), at most so many times, while its condition is yes."""

    id: str
    when: Condition
    body: TaskBody
    due: Due
    every: int
    at_most: int | None
    starts_anew_on: tuple[str, ...]
    """Contact properties: when one of them changes, the count begins anew."""
    afterwards: Mapping[str, str]
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ActionRule:
    """Something done once while its condition is yes: open a deal, or unsubscribe and erase."""

    id: str
    when: Condition
    create_deal: DealEntry | None
    do: tuple[str, ...]
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """A contact property that is taken from the deals where the contact has no value of its own."""

    deal_property: str
    values: tuple[tuple[str, frozenset[str]], ...]
    """Each value with the deals' values that stand for it, from the nearest to the furthest."""

    def value(self, own: str | None, deals: Iterable[Mapping[str, str | None]]) -> str | None:
        """Give the contact's own value, else the furthest that a deal stands for."""
        if own is not None and own.strip():
            return own
        there = {folded(deal.get(self.deal_property) or "") for deal in deals}
        return next((value for value, names in reversed(self.values) if not there.isdisjoint(names)), None)


Rule = StageRule | StatusRule | ValueRule | TaskRule | CadenceRule | ActionRule


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pack:
    """A checked rule pack; `facts` stand in an order in which each builds on earlier ones only."""

    name: str
    description: str
    file: str
    hash: str
    ladder: tuple[str, ...]
    settings: Mapping[str, Any]
    derived: Mapping[str, Derived]
    min_stay: int
    """For how long (milliseconds) who has entered a stage is not moved down the ladder; 0: not at all."""
    facts: Mapping[str, Condition]
    stages: tuple[StageRule, ...]
    statuses: tuple[StatusRule, ...]
    values: tuple[ValueRule, ...]
    tasks: tuple[TaskRule, ...]
    cadences: tuple[CadenceRule, ...]
    actions: tuple[ActionRule, ...]

    def rules(self) -> Iterator[Rule]:
        """Give all rules, section by section."""
        for section in (self.stages, self.statuses, self.values, self.tasks, self.cadences, self.actions):
            yield from section

    def conditions(self) -> Iterator[Condition]:
        """Give the conditions of all facts and rules."""
        yield from self.facts.values()
        for rule in self.rules():
            yield rule.when

    def properties(self, object_: str) -> frozenset[str]:
        """Name the properties of the contact, company or deal that the conditions test."""
        tests = (test for condition in self.conditions() for test in tested_properties(condition))
        named = {test.property for test in tests if test.object == object_}
        if object_ == "deal":
            named |= {derived.deal_property for derived in self.derived.values()}
        if object_ == "contact":
            named |= {name for rule in self.cadences for name in rule.starts_anew_on}
        return frozenset(named)

    @property
    def reads_deals(self) -> bool:
        """Ask whether any condition looks at deals."""
        tested = (leaf for condition in self.conditions() for leaf in leaves(condition))
        return bool(self.derived) or any(isinstance(leaf, DealsTest) for leaf in tested)

    @property
    def depends_on_time(self) -> bool:
        """Ask whether the same contact may be decided otherwise at another moment."""
        if self.cadences or self.min_stay:
            return True
        for condition in self.conditions():
            if any(isinstance(leaf, StageFor) for leaf in leaves(condition)):
                return True
            if any(test.test.timed for test in tested_properties(condition)):
                return True
        return False

    def properties_in_texts(self, object_: str) -> frozenset[str]:
        """Name the properties of the contact, company or deal that the texts of tasks and deals show."""
        bodies = [rule.body for rule in self.tasks] + [rule.body for rule in self.cadences]
        texts = [text for body in bodies for text in (body.title, body.notes)]
        texts += [rule.create_deal.name for rule in self.actions if rule.create_deal]
        return frozenset(name for text in texts for of, name in fields(text) if of == object_)

    def written(self) -> frozenset[str]:
        """Name the contact properties that the pack's values and cadences set."""
        sets = [rule.set for rule in self.values] + [rule.afterwards for rule in self.cadences]
        return frozenset(name for changes in sets for name in changes)
