"""Associations: who belongs to whom, with HubSpot's directional type ids (204 is task to contact, 203 the reverse).

A primary association brings the unlabelled one with it, and a record has one primary company at most.
https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Iterator
from typing import NamedTuple

from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, TASK
from connector.sandbox.refusals import JsonObject

Pair = tuple[str, str]


class AssociationType(NamedTuple):
    """One way in which two kinds of records can be associated, in one direction."""

    id: int
    inverse: int
    label: str | None


class Link(NamedTuple):
    """One association of two records, in one direction."""

    from_kind: str
    from_id: str
    to_kind: str
    to_id: str
    type_id: int

    @property
    def is_primary(self) -> bool:
        """Ask whether it is the association with the primary company."""
        return self.type_id in _PRIMARY


_PRIMARY = {1: 279, 2: 280, 5: 341, 6: 342}
TYPES: dict[Pair, tuple[AssociationType, ...]] = {
    (TASK, CONTACT): (AssociationType(204, 203, None),),
    (CONTACT, TASK): (AssociationType(203, 204, None),),
    (TASK, COMPANY): (AssociationType(192, 191, None),),
    (COMPANY, TASK): (AssociationType(191, 192, None),),
    (TASK, DEAL): (AssociationType(216, 215, None),),
    (DEAL, TASK): (AssociationType(215, 216, None),),
    (DEAL, CONTACT): (AssociationType(3, 4, None),),
    (CONTACT, DEAL): (AssociationType(4, 3, None),),
    (DEAL, COMPANY): (AssociationType(341, 342, None), AssociationType(5, 6, "Primary")),
    (COMPANY, DEAL): (AssociationType(342, 341, None), AssociationType(6, 5, "Primary")),
    (CONTACT, COMPANY): (AssociationType(279, 280, None), AssociationType(1, 2, "Primary")),
    (COMPANY, CONTACT): (AssociationType(280, 279, None), AssociationType(2, 1, "Primary")),
    (CONTACT, CONTACT): (AssociationType(449, 449, None),),
}


class AssociationStore:
    """All associations, kept from both sides."""

    def __init__(self) -> None:
        self._links: dict[Pair, dict[str, dict[str, tuple[int, ...]]]] = {pair: {} for pair in TYPES}

    def of(self, from_kind: str, from_id: str, to_kind: str) -> dict[str, tuple[int, ...]]:
        """Give the associated ids with their type ids."""
        return self._links.get((from_kind, to_kind), {}).get(from_id, {})

    def primary(self, from_kind: str, from_id: str, to_kind: str) -> str | None:
        """Give the primary associated record, if there is one."""
        for to_id, types in self.of(from_kind, from_id, to_kind).items():
            if any(one in _PRIMARY for one in types):
                return to_id
        return None

    def add(self, link: Link) -> list[Link]:
        """Associate two records and give the links that are new, in the direction asked for."""
        made = []
        base = _PRIMARY.get(link.type_id)
        if base is not None:
            self._dethrone(link)
            made += self.add(link._replace(type_id=base))
        there = self._links[link.from_kind, link.to_kind].setdefault(link.from_id, {})
        if link.type_id in there.get(link.to_id, ()):
            return made
        there[link.to_id] = (*there.get(link.to_id, ()), link.type_id)
        back = self._links[link.to_kind, link.from_kind].setdefault(link.to_id, {})
        inverse = inverse_type(link.from_kind, link.to_kind, link.type_id)
        back[link.from_id] = tuple(dict.fromkeys((*back.get(link.from_id, ()), inverse)))
        return [*made, link]

    def remove(self, from_kind: str, from_id: str, to_kind: str, to_id: str) -> list[Link]:
        """Part two records and give the links that are gone."""
        types = self._links.get((from_kind, to_kind), {}).get(from_id, {}).pop(to_id, ())
        self._links.get((to_kind, from_kind), {}).get(to_id, {}).pop(from_id, None)
        return [Link(from_kind, from_id, to_kind, to_id, one) for one in types]

    def all_of(self, kind: str, record_id: str) -> Iterator[Link]:
        """Go through every association of one record."""
        for (from_kind, to_kind), by_id in self._links.items():
            if from_kind == kind:
                for to_id, types in by_id.get(record_id, {}).items():
                    yield from [Link(kind, record_id, to_kind, to_id, one) for one in types]

    def _dethrone(self, link: Link) -> None:
        company_side = COMPANY in (link.from_kind,) and link.to_kind != COMPANY
        own_kind, own_id = (link.to_kind, link.to_id) if company_side else (link.from_kind, link.from_id)
        company = link.from_id if company_side else link.to_id
        old = self.primary(own_kind, own_id, COMPANY)
        if old is None or old == company:
            return
        for pair, here, there in (((own_kind, COMPANY), own_id, old), ((COMPANY, own_kind), old, own_id)):
            types = self._links[pair][here][there]
            self._links[pair][here][there] = tuple(one for one in types if one not in _PRIMARY)


def default_type(from_kind: str, to_kind: str) -> int | None:
    """Give the unlabelled type id of a direction; None when the two cannot be associated."""
    types = TYPES.get((from_kind, to_kind))
    return types[0].id if types else None


def inverse_type(from_kind: str, to_kind: str, type_id: int) -> int:
    """Give the type id of the same association seen from the other side."""
    return next(one.inverse for one in TYPES[from_kind, to_kind] if one.id == type_id)


def has_type(from_kind: str, to_kind: str, type_id: object) -> bool:
    """Ask whether a type id belongs to this direction."""
    return any(one.id == type_id for one in TYPES.get((from_kind, to_kind), ()))


def spelled(from_kind: str, to_kind: str, types: tuple[int, ...]) -> list[JsonObject]:
    """Spell type ids as version 4 of the associations API does."""
    return [
        {"category": "HUBSPOT_DEFINED", "typeId": one.id, "label": one.label}
        for one in TYPES[from_kind, to_kind]
        if one.id in types
    ]
