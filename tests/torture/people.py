"""The people of a run: they do the steps of the lives in HubSpot."""

from collections.abc import Iterable

from tests.torture.control import HubSpotHand
from tests.torture.lives import Life


class People:
    """Does the steps, and remembers what came of them."""

    def __init__(self, hand: HubSpotHand, lives: Iterable[Life]) -> None:
        self._hand = hand
        self.ids: dict[int, str] = {}
        """HubSpot's ids of the contacts, by the numbers of their lives."""
        self._deals: dict[int, str] = {}
        self._changes = 0
        self._companies = {
            kind: hand.create_company({"name": f"{kind} Ltd", "type": kind})
            for kind in sorted({life.company_type for life in lives if life.company_type})
        }

    def live(self, life: Life, place: int) -> None:
        """Do one step of a life."""
        step = life.steps[place]
        self._changes += 1
        if place == 0:
            company = self._companies.get(life.company_type)
            self.ids[life.number] = self._hand.create_contact(step.properties, company)
            return
        contact = self.ids[life.number]
        if step.properties:
            self._hand.change_contact(contact, step.properties)
        if step.opens_deal:
            self._deals[life.number] = self._hand.create_deal("appointmentscheduled", contact)
        if step.moves_deal:
            self._hand.move_deal(self._deals[life.number], step.moves_deal)

    def counts(self) -> dict[str, int]:
        """Count them and what they did."""
        return {"contacts": len(self.ids), "changes by people": self._changes}
