"""All contacts of a pack, and questions about them: is there one for whom this holds, and which is the plainest?"""

from collections.abc import Iterator, Mapping

from connector.proving.encoding import World
from connector.proving.formulas import FALSE, Formula, all_of, negated
from connector.proving.reading import Freedom, Reading
from connector.proving.solving import Solver, Undecided
from connector.proving.witness import Witness, written
from connector.rulebook.conditions import Leaf
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack, Rule


class Space:
    """The contacts that a pack can be asked about, with one solver over them."""

    def __init__(self, world: World, *, seconds: float) -> None:
        self.world = world
        self.pack: Pack = world.pack
        self.rulebook = Rulebook(world.pack)
        self.reading = Reading(world)
        self.undecided: list[str] = []
        """What could not be settled within the time, in words."""
        self._seconds = seconds
        self._solver = Solver(world.law, *self.reading.laws, seconds=seconds)
        self._concrete, self._likely = world.concrete, world.likely
        self._preferences = list(_preferences(world))

    def is_impossible(self, formula: Formula, about: str) -> bool:
        """Ask whether no contact at all is like this; an open question counts as no, and is noted."""
        if formula is FALSE:
            return True
        if not self.world.known.complete:
            return False
        try:
            return not self._solver.can(formula)
        except Undecided:
            self.undecided.append(about)
            return False

    def find(self, *formulas: Formula, likely: bool = True) -> Witness | None:
        """Find the plainest contact like this; `likely`: with such values only as properties may really hold."""
        wanted = [*formulas, self._likely if likely else self._concrete]
        try:
            if FALSE in formulas or not self._solver.can(*wanted):
                return None
            return written(self.world, self._plainest(wanted))
        except Undecided:
            return None

    def can(self, *formulas: Formula) -> bool:
        """Ask whether a contact with real values is like this."""
        try:
            return FALSE not in formulas and self._solver.can(*formulas, self._concrete)
        except Undecided:
            return False

    def _plainest(self, wanted: list[Formula]) -> Mapping[str, bool]:
        """Settle one thing after the other as plainly as it can be, so that the answer is short and always the same."""
        model = self._solver.model(*wanted)
        settled = list(wanted)
        for choices in self._preferences:
            for choice in choices:
                if self._solver.can(*settled, choice):
                    settled.append(choice)
                    break
        return self._solver.model(*settled) or model or {}

    # --- why something is impossible ----------------------------------------------------------------------------------

    def conflict(self, rule: Rule | str) -> list[Leaf]:
        """Name the conditions that together keep a rule, or a fact, from ever being yes; none of them is too many."""
        freedom = Freedom(is_guarded=True)
        reading = Reading(self.world, freedom=freedom)
        wanted = reading.fact_is_yes(rule) if isinstance(rule, str) else reading.is_yes(rule)
        guards = list(freedom.guards.items())
        solver = Solver(self.world.law, *reading.laws, seconds=self._seconds)
        try:
            return [guards[place][0] for place in solver.core(wanted, [guard for _, guard in guards])]
        except Undecided:
            return []

    def cover(self, formula: Formula, takers: list[Formula]) -> tuple[int, ...]:
        """Say which of these keep a formula from being left over: whoever it is true of is taken by one of them."""
        try:
            return self._solver.core(formula, [negated(each) for each in takers])
        except Undecided:
            return ()

    def loosened(self, freedom: Freedom) -> "Loosened":
        """Give the same contacts, with some facts and rules answering as they like."""
        return Loosened(self.world, freedom, seconds=self._seconds)


class Loosened:
    """A pack of which some facts and rules are left open."""

    def __init__(self, world: World, freedom: Freedom, *, seconds: float) -> None:
        self.reading = Reading(world, freedom=freedom)
        self._solver = Solver(world.law, *self.reading.laws, seconds=seconds)

    def can(self, formula: Formula) -> bool:
        """Ask whether a formula can hold now."""
        try:
            return formula is not FALSE and self._solver.can(formula)
        except Undecided:
            return False


def _preferences(world: World) -> Iterator[list[Formula]]:
    """Give for each choice its values, the plainest first: nothing known before, nothing filled in."""
    yield [world.present.selects(place) for place in range(world.present.size)]
    yield [negated(slot.there) for slot in world.slots[:1]]
    for slot in world.slots[1:]:
        yield [negated(slot.there)]
    for choice in (world.stay, world.status, world.stage):
        yield [choice.selects(place) for place in range(choice.size)]
    for cell in world.every_cell():
        empty = [place for place, each in enumerate(cell.column.classes) if each.is_empty]
        rest = [place for place in range(len(cell.column.classes)) if place not in empty]
        yield [cell.selection[place] for place in (*empty, *rest)]


def nothing_known(world: World) -> Formula:
    """Say that the contact has never been looked at before."""
    return all_of((world.stage.selects(0), world.status.selects(0), world.stay.selects(0)))
