"""Fights over a value as alerts of the page Trouble: who sets which property back each time, and since when."""

from collections.abc import Collection

import sqlalchemy as sa

from connector.rivals.rivals import open_fights
from connector.web.layout import Alert


def fight_alerts(engine: sa.Engine, portals: Collection[int], now: int) -> list[Alert]:
    """Give an alert for each fight that is not over."""
    return [
        Alert(
            portal=fight.portal,
            subject=f"fight over {fight.property}",
            text=f"{fight.rival} sets {fight.property} back each time Stagekeeper has written it. The value was left "
            f"alone {fight.times} times, each for a day; let either of the two have the property to itself.",
            since=fight.began_at,
        )
        for fight in open_fights(engine, portals, now)
    ]
