"""The sections of a pack: from entries of the file to rules, with what the shape alone cannot say checked."""

from collections.abc import Callable, Mapping
from typing import Any

from connector.problems import Place, Problem, nearest
from connector.rulebook.conditions import ALWAYS_YES, Condition, ConditionReader
from connector.rulebook.contradictions import LEAVE_IT, option_problem
from connector.rulebook.operands import OperandError, as_duration, folded, resolved, shown
from connector.rulebook.pack import (
    ActionRule,
    CadenceRule,
    Derived,
    DerivedEntry,
    Due,
    PackFile,
    StageRule,
    StatusRule,
    TaskBody,
    TaskRule,
    ValueRule,
)
from connector.rulebook.reading import Document, Path_
from connector.rulebook.templates import syntax_error

SALES_STEPS = ("discovery_meeting", "proposal", "presentation", "final_review", "close")
_STEP_PROPERTIES = ("sk_sales_step", "sk_accepted_step")


class Faults:
    """Collects the problems of one document at their places."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self._document = document
        self.problems = problems

    def report(
        self, path: Path_, code: str, found: str, cure: str = "", *, expected: str = "", at_key: bool = False
    ) -> None:
        """Add an error at a value, or at its key."""
        place = self._document.place(path) if at_key else self._document.value_place(path)
        self.problems.append(Problem(place=place, code=code, found=found, expected=expected, cure=cure))

    def warn(self, place: Place, code: str, found: str, cure: str) -> None:
        """Add a warning."""
        self.problems.append(Problem(place=place, code=code, found=found, cure=cure, severity="warning"))


class SectionReader:
    """Reads the sections of one document."""

    def __init__(self, document: Document, file: PackFile, reader: ConditionReader, faults: Faults) -> None:
        self.document = document
        self.file = file
        self.reader = reader
        self.faults = faults

    def derived(self) -> dict[str, Derived]:
        """Read `derived`."""
        for name, entry in self.file.derived.items():
            for value in entry.map if name in _STEP_PROPERTIES else ():
                self._check_step(value, ("derived", name, "map", value), at_key=True)
        return {name: _derived(entry) for name, entry in self.file.derived.items()}

    def stages(self) -> tuple[StageRule, ...]:
        """Read `stages`."""
        rules = []
        for number, entry in enumerate(self.file.stages):
            path: Path_ = ("stages", number)
            if entry.stage is not None:
                self._check_stage(entry.stage, (*path, "stage"))
            when = self._when(entry, path)
            place = self.document.value_place(path)
            rules.append(
                StageRule(
                    id=entry.id, when=when, stage=entry.stage, because=entry.because.strip(), backward=entry.backward,
                    place=place,
                )
            )
        return tuple(rules)

    def statuses(self) -> tuple[StatusRule, ...]:
        """Read `statuses`."""
        rules = []
        for number, entry in enumerate(self.file.statuses):
            path: Path_ = ("statuses", number)
            stages = [entry.of] if isinstance(entry.of, str) else entry.of
            for stage in stages or ():
                self._check_stage(stage, (*path, "of"))
            rules.append(
                StatusRule(
                    id=entry.id, when=self._when(entry, path), of=frozenset(stages) if stages else None,
                    status=entry.status, because=entry.because.strip(), place=self.document.value_place(path),
                )
            )
        return tuple(rules)

    def values(self) -> tuple[ValueRule, ...]:
        """Read `values`."""
        rules = []
        for number, entry in enumerate(self.file.values):
            path: Path_ = ("values", number)
            self._check_written(entry.set, (*path, "set"))
            place = self.document.value_place(path)
            id_ = entry.id or f"value-{number + 1}"
            rules.append(ValueRule(id=id_, when=self._when(entry, path), set=dict(entry.set), place=place))
        return tuple(rules)

    def tasks(self) -> tuple[TaskRule, ...]:
        """Read `tasks`."""
        rules = []
        for number, entry in enumerate(self.file.tasks):
            path: Path_ = ("tasks", number)
            self._check_texts(entry, path)
            place = self.document.value_place(path)
            due = self._due(entry.due, (*path, "due"))
            rules.append(TaskRule(id=entry.id, when=self._when(entry, path), body=entry, due=due, place=place))
        return tuple(rules)

    def cadences(self) -> tuple[CadenceRule, ...]:
        """Read `cadences`."""
        rules = []
        for number, entry in enumerate(self.file.cadences):
            path: Path_ = ("cadences", number)
            self._check_texts(entry.task, (*path, "task"))
            afterwards = dict(entry.afterwards.set) if entry.afterwards else {}
            self._check_written(afterwards, (*path, "afterwards", "set"))
            rules.append(
                CadenceRule(
                    id=entry.id, when=self.reader.read(entry.while_, (*path, "while")), body=entry.task,
                    due=self._due(entry.task.due, (*path, "task", "due")), every=self._every(entry.every, path),
                    at_most=self._at_most(entry.at_most, (*path, "at_most")), afterwards=afterwards,
                    starts_anew_on=tuple(entry.starts_anew_on), place=self.document.value_place(path),
                )
            )
        return tuple(rules)

    def actions(self) -> tuple[ActionRule, ...]:
        """Read `actions`."""
        rules = []
        for number, entry in enumerate(self.file.actions):
            path: Path_ = ("actions", number)
            if (entry.create_deal is None) == (not entry.do):
                self.faults.report(path, "wrong-action", f"the action {entry.id!r} does nothing, or two things at once",
                             "write either `create_deal: {…}` or `do: [unsubscribe, erase]`")  # fmt: skip
            if entry.create_deal:
                self._check_template(entry.create_deal.name, (*path, "create_deal", "name"))
            rules.append(
                ActionRule(
                    id=entry.id, when=self._when(entry, path), create_deal=entry.create_deal,
                    do=tuple(entry.do or ()), place=self.document.value_place(path),
                )
            )
        return tuple(rules)

    # --- parts of entries ---------------------------------------------------------------------------------------------

    def _when(self, entry: Any, path: Path_) -> Condition:
        if "when" not in entry.model_fields_set:
            return ALWAYS_YES
        return self.reader.read(entry.when, (*path, "when"))

    def _check_stage(self, stage: str, path: Path_) -> None:
        if stage not in self.file.ladder:
            cure = nearest(stage, self.file.ladder)
            self.faults.report(path, "unknown-stage", f"{stage!r} is not on the ladder", cure)

    def _check_step(self, step: str, path: Path_, *, at_key: bool = False) -> None:
        if step not in SALES_STEPS:
            found = f"there is no sales step {step!r}"
            self.faults.report(path, "unknown-step", found, nearest(step, SALES_STEPS), at_key=at_key)

    def _check_written(self, changes: Mapping[str, str], path: Path_) -> None:
        for name, value in changes.items():
            if name in _STEP_PROPERTIES and value:
                self._check_step(value, (*path, name))
            elif meant := option_problem(name, value):
                place = self.document.value_place((*path, name))
                self.faults.warn(place, "unknown-option", f"{name!r} has no option {value!r}", f"{meant} {LEAVE_IT}")
            if name in ("lifecyclestage", "sk_reason", "sk_rule", "sk_decided_at"):
                found = f"{name!r} is written by Stagekeeper itself"
                self.faults.report((*path, name), "own-property", found, "let `stages` decide it", at_key=True)
            if name in ("sk_prospect_status", "sk_lead_status"):
                found = f"{name!r} is set by `statuses`, which this cannot overrule"
                self.faults.warn(self.document.place((*path, name)), "overruled-value", found, "remove it")

    def _check_texts(self, body: TaskBody, path: Path_) -> None:
        self._check_template(body.title, (*path, "title"))
        self._check_template(body.notes, (*path, "notes"))
        for owner in body.owner if isinstance(body.owner, list) else [body.owner]:
            named = owner in ("contact_owner", "default") and not isinstance(body.owner, list)
            if not named and "@" not in owner:
                cure = "write contact_owner, default, the e-mail address of a HubSpot user, or a list of addresses"
                self.faults.report((*path, "owner"), "unknown-owner", f"found {owner!r}", cure)

    def _check_template(self, text: str, path: Path_) -> None:
        if said := syntax_error(text):
            cure = "write fields as `{{ contact.firstname }}`"
            self.faults.report(path, "bad-template", f"not a template: {said}", cure)

    def min_stay(self) -> int:
        """Read `min_stay` in milliseconds."""
        text = self.file.min_stay
        read = lambda: as_duration(text, self.file.settings)  # noqa: E731 - one expression, read once
        return 0 if text is None else int(self._read(read, ("min_stay",), 0))

    def _due(self, text: str, path: Path_) -> Due:
        number, _, unit = text.strip().partition(" ")
        if unit.strip() in ("business day", "business days") and number.isdecimal() and len(number) <= 4:
            return Due(business_days=int(number))
        return Due(duration=self._read(lambda: as_duration(text, self.file.settings), path, 0))

    def _every(self, text: str, path: Path_) -> int:
        every: int = self._read(lambda: as_duration(text, self.file.settings), (*path, "every"), 1)
        if every < 1:
            found = "a cadence needs time between its tasks"
            self.faults.report((*path, "every"), "unreadable-duration", found, "write `3 days`")
        return every

    def _at_most(self, cap: int | str | None, path: Path_) -> int | None:
        if cap is None:
            return None
        number = self._read(lambda: resolved(cap, self.file.settings), path, 1)
        if isinstance(number, int) and not isinstance(number, bool) and number >= 1:
            return number
        self.faults.report(path, "wrong-value", f"found {shown(number)}", "write a whole number from 1 on")
        return 1

    def _read(self, read: Callable[[], Any], path: Path_, default: Any) -> Any:
        try:
            return read()
        except OperandError as error:
            expected = f"expected {error.expected}" if error.expected else ""
            self.faults.report(path, error.code, error.found, error.cure, expected=expected)
            return default


def _derived(entry: DerivedEntry) -> Derived:
    values = tuple((value, frozenset(map(folded, names))) for value, names in entry.map.items())
    return Derived(deal_property=entry.from_.removeprefix("deal."), values=values)
