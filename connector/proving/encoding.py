"""A contact that is not known yet, as Boolean variables: its values by class, its deals, what was known before.

A class that no value has been found for, where one may exist all the same, is kept as `beyond`: there every test may
answer anything. What is impossible even so is impossible; what is only possible so has not been shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from connector.proving.classes import Catalogue, Column, Key, deal_tests
from connector.proving.formulas import (
    FALSE,
    THREE_UNKNOWN,
    Choice,
    Formula,
    Three,
    all_of,
    any_of,
    both,
    either,
    negated,
    three,
    three_all,
    three_any,
    three_not,
    variable,
)
from connector.rulebook.conditions import All, AnyOf, Condition, DealsTest, Not, PropertyTest, StageFor
from connector.rulebook.pack import Derived, Pack

Selection = tuple[Formula, ...]
"""For each class of a column, when the value is of it; a last one more than there are classes is `beyond`."""


class Cell:
    """One property of one object: a choice between the classes of its column."""

    def __init__(self, column: Column, name: str, present: Choice) -> None:
        self.column = column
        self._name = name
        self.choice = Choice(name, len(column.classes) + (0 if column.complete else 1))
        self.selection: Selection = tuple(self.choice.selects(place) for place in range(self.choice.size))
        self.beyond = FALSE if column.complete else self.selection[-1]
        self.law = all_of([self.choice.law, *self._timely(present), *self._consistent()])
        self.likely = all_of([negated(self.beyond), *self._is_likely(present)])

    def _timely(self, present: Choice) -> Iterator[Formula]:
        """A class is there only at the present moments at which some value is of it."""
        for place, each in enumerate(self.column.classes):
            if len(each.values) < present.size:
                yield either(negated(self.selection[place]), *(present.selects(when) for when in each.values))

    def _is_likely(self, present: Choice) -> Iterator[Formula]:
        for place, each in enumerate(self.column.classes):
            if len(each.likely) < present.size:
                yield either(negated(self.selection[place]), *(present.selects(when) for when in sorted(each.likely)))

    def _free(self, number: int) -> Three:
        return Three(variable(f"{self._name}?{number}+"), variable(f"{self._name}?{number}-"))

    def _consistent(self) -> Iterator[Formula]:
        if not self.column.complete:
            for number in range(len(self.column.tests)):
                yield negated(both(*self._free(number)))

    def answer(self, test: PropertyTest, selection: Selection | None = None) -> Three:
        """Say when a test is yes and when it is no, of this cell's own value or of another selection."""
        number = self.column.tests.index(test)
        chosen = self.selection if selection is None else selection
        found = [three(each.answers[number]) for each in self.column.classes]
        if not self.column.complete:
            known = test.test.operator == "known"
            found.append(three(test.course("x").at(0)) if known else self._free(number))
        pairs = list(zip(chosen, found, strict=True))
        return Three(any_of(both(at, each.yes) for at, each in pairs), any_of(both(at, each.no) for at, each in pairs))

    def empty(self) -> Formula:
        """Say when HubSpot holds nothing; only of a property that is taken from deals is this always exact."""
        return any_of(self.selection[place] for place, each in enumerate(self.column.classes) if each.is_empty)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One deal that may be there."""

    there: Formula
    cells: Mapping[str, Cell]


class World:
    """All that may be known of a contact, at one of the present moments."""

    def __init__(self, pack: Pack, known: Catalogue) -> None:
        self.pack = pack
        self.known = known
        self.present = Choice("now", len(known.presents))
        self.cells = {
            key: Cell(column, ".".join(key), self.present) for key, column in known.columns.items() if key[0] != "deal"
        }
        # So many deals can say everything that any number of deals can: for each question, one that says the most.
        number = len(deal_tests(pack)) + sum(("contact", name) in self.cells for name in pack.derived)
        self.slots = tuple(self._slot(place) for place in range(number))
        self.stages: tuple[str | None, ...] = (None, *_in_order(pack.ladder, [rule.stage for rule in pack.stages]))
        self.statuses: tuple[str | None, ...] = (None, *dict.fromkeys(rule.status for rule in pack.statuses))
        self.stage = Choice("before.stage", len(self.stages))
        self.status = Choice("before.status", len(self.statuses))
        self.stay = Choice("before.stay", len(known.stays))
        self.selections: dict[Key, Selection] = {key: self._selection(key, cell) for key, cell in self.cells.items()}

    def _slot(self, place: int) -> Slot:
        columns = {key[1]: column for key, column in self.known.columns.items() if key[0] == "deal"}
        cells = {name: Cell(column, f"deal{place}.{name}", self.present) for name, column in columns.items()}
        return Slot(there=variable(f"deal{place}"), cells=cells)

    def every_cell(self) -> list[Cell]:
        """Give the cells of the contact, the company and the deals."""
        return [*self.cells.values(), *(cell for slot in self.slots for cell in slot.cells.values())]

    @property
    def law(self) -> Formula:
        """Say what holds of every contact."""
        choices = (self.present, self.stage, self.status, self.stay)
        in_a_row = [either(slot.there, negated(after.there)) for slot, after in pairwise(self.slots)]
        return all_of([*(each.law for each in choices), *(cell.law for cell in self.every_cell()), *in_a_row])

    @property
    def concrete(self) -> Formula:
        """Say that real values are known for all of it."""
        return all_of(negated(cell.beyond) for cell in self.every_cell())

    @property
    def likely(self) -> Formula:
        """Say that all values are such as their properties may really hold."""
        return all_of(cell.likely for cell in self.every_cell())

    def before_stage(self, name: str | None) -> Formula:
        """Say that this stage was known before."""
        return self.stage.selects(self.stages.index(name)) if name in self.stages else FALSE

    def before_status(self, name: str | None) -> Formula:
        """Say that this status was known before."""
        return self.status.selects(self.statuses.index(name)) if name in self.statuses else FALSE

    # --- deals --------------------------------------------------------------------------------------------------------

    def deals(self, test: DealsTest) -> Three:
        """Say when any deal meets a condition; without deals, it is no."""
        found = [(slot, _in_deal(test.condition, slot)) for slot in self.slots]
        yes = any_of(both(slot.there, each.yes) for slot, each in found)
        return Three(yes, all_of(either(negated(slot.there), each.no) for slot, each in found))

    def _selection(self, key: Key, cell: Cell) -> Selection:
        """Give which class a property's value is of; where it is empty, the deals may stand in for it."""
        derived = self.pack.derived.get(key[1]) if key[0] == "contact" else None
        if derived is None:
            return cell.selection
        empty, chosen = cell.empty(), list(cell.selection)
        came = self._from_deals(derived)
        missing = [place for place, each in enumerate(cell.column.classes) if each.is_empty]
        for place in missing:
            chosen[place] = both(chosen[place], negated(any_of(came.values())))
        for value, holds in came.items():
            where = cell.column.place(value, self.known.presents[0])
            if where is not None:
                chosen[where] = either(chosen[where], both(empty, holds))
        return tuple(chosen)

    def _from_deals(self, derived: Derived) -> dict[str, Formula]:
        """Say when the deals stand for each value: the furthest that any deal stands for."""
        found: dict[str, Formula] = {}
        later: list[Formula] = []
        for number, (value, _) in reversed(list(enumerate(derived.values))):
            here = any_of(both(slot.there, self._stands_for(slot, derived, number)) for slot in self.slots)
            found[value] = all_of([here, *map(negated, later)])
            later.append(here)
        return found

    def _stands_for(self, slot: Slot, derived: Derived, number: int) -> Formula:
        cell = slot.cells[derived.deal_property]
        classes = cell.column.classes
        return any_of(cell.selection[place] for place, each in enumerate(classes) if each.marks and each.marks[number])


def _in_deal(condition: Condition, slot: Slot) -> Three:
    match condition:
        case PropertyTest():
            return slot.cells[condition.property].answer(condition)
        case All():
            return three_all(_in_deal(part, slot) for part in condition.parts)
        case AnyOf():
            return three_any(_in_deal(part, slot) for part in condition.parts)
        case Not():
            return three_not(_in_deal(condition.part, slot))
    return THREE_UNKNOWN


def _in_order(ladder: Sequence[str], named: Sequence[str | None]) -> list[str]:
    return [name for name in ladder if name in named]


def stay_answer(world: World, leaf: StageFor, entered: Formula, stays: Sequence[Formula]) -> Three:
    """Say when somebody has been in the stage for long enough; who has just entered has not."""
    yes, no = list[Formula](), [entered]
    for holds, stay in zip(stays, world.known.stays, strict=True):
        if stay is not None:
            (yes if stay >= leaf.duration else no).append(holds)
    return Three(both(negated(entered), any_of(yes)), any_of(no))

