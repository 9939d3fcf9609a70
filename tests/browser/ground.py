"""A Stagekeeper with five weeks behind it, beside two practice portals, its page served on a port of this machine.

The clock stands still while a browser looks, so that what is shown is the same each time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from connector.config import Config, Limits
from connector.rulebook.shipped import shipped_packs
from connector.sandbox.people import move_in, story
from connector.store.engine import writing
from connector.store.tables import waiting
from tests.oauth import oauth_practice
from tests.pages import PORTALS, SERVER, app_beside
from tests.practice import Practice, practice


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's own name
        """Say nothing."""


_DAYS = 36
_ERROR = (
    "invalid (400 VALIDATION_ERROR): PROPERTY_DOESNT_EXIST: the property sk_budget was deleted in HubSpot; make it "
    "again with `stagekeeper setup`, then retry (correlation id 0f6b1c52-7d0e-4a51-9c37-2f1f2a9b7c11)"
)
_TROUBLE = (
    "HubSpot portal 5353: unauthorised (401): the token was revoked; make a new one on the app's Auth page and set "
    "`access_token`"
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a browser is pointed at."""

    address: str
    the: Practice
    people: tuple[str, ...]

    def bury(self, *contacts: str) -> None:
        """Make dead letters."""
        services, portal = self.the.services, self.the.portal
        services.inbox.look_at(portal, contacts, due=self.the.time.now)
        these = (waiting.c.portal == portal, waiting.c.contact.in_(contacts))
        dead = {"dead_at": self.the.time.now, "attempts": 8, "last_error": _ERROR}
        with writing(services.engine) as connection:
            connection.execute(sa.update(waiting).where(*these).values(dead))


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Let five weeks pass, then serve the page."""
    candidate = folder / "candidate.yaml"
    text = shipped_packs()["default"].read_text("utf-8")
    candidate.write_text(text.replace("later: 180 days", "later: 60 days"), "utf-8")
    more = f"    shadow: {candidate}\n    calendar: {{time_zone: Europe/Berlin}}"
    with practice(folder, portals=PORTALS, worker=SERVER, more=more, time_zone="Europe/Berlin") as the:
        people = _live(the)
        with _served(the) as address:
            made = Ground(address, the, people)
            made.bury(*people[:2])
            the.move(minutes=-18)
            the.services.troubles.begin_trouble(PORTALS[1], code="unauthorised", text=_TROUBLE)
            the.move(minutes=18)
            the.services.inbox.look_at(the.portal, people[3:6], due=the.time.now - 9_000)
            yield made


def _live(the: Practice) -> tuple[str, ...]:
    """Let people come, and things happen to them."""
    dice = Random(7)
    portal = the.sandbox.portal
    people = move_in(portal, 24, 1)
    steps = story(people, seed=3, clock=the.time)
    for day in range(_DAYS):
        for _ in range(2):
            for _ in range(dice.randrange(3, 9) if day % 7 not in (5, 6) else 1):
                step = next(steps)
                the.sandbox.update_contact(step.contact, step.properties)
            the.catch_up()
            the.move(hours=7 + dice.randrange(4))
        if day % 7 not in (5, 6):
            people += move_in(portal, dice.randrange(1, 5), 100 + day)
        if day % 9 == 4:
            steps = story(people, seed=day, clock=the.time)
        the.move(hours=24 - (the.time.now // 3_600_000 - 8) % 24)
    _quote(the, people)
    for minute in range(30):
        for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 5, 8)) if minute < 29 else 4):
            step = next(steps)
            the.sandbox.update_contact(step.contact, step.properties)
        the.deliver()
        the.move(seconds=3)
        the.work()
        the.move(seconds=57 if minute < 29 else 9)
    return people


def _quote(the: Practice, people: tuple[str, ...]) -> None:
    """Give some of the prospects open deals, so that there is something to forecast."""
    amounts = (1_200, 18_500, 4_800, 9_900, 2_400, 32_000, 7_250, 15_000)
    stages = ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "contractsent")
    prospects = [one for one in people if the.sandbox.contact(one).get("lifecyclestage") == "salesqualifiedlead"]
    for place, (contact, amount) in enumerate(zip(prospects, amounts, strict=False)):
        deal = {"dealname": f"Offer {place + 1}", "amount": str(amount), "dealstage": stages[place % len(stages)]}
        the.sandbox.create_deal(deal, contacts=[contact])


def _as_sold(config: Config) -> Config:
    """Give the portals names and the limits that HubSpot sells; what has been called so far was under wide ones."""
    limits = Limits(calls_per_10s=190, calls_per_day=650_000, reserve=0.1)
    named = [
        portal.model_copy(update={"name": name, "limits": limits})
        for portal, name in zip(config.portals, ("Acme", "Acme Nordic"), strict=True)
    ]
    return config.model_copy(update={"portals": named})


@contextmanager
def _served(the: Practice) -> Iterator[str]:
    app = app_beside(the, _as_sold(the.config))
    with _serving(lambda _: app) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def connecting_ground(folder: Path) -> Iterator[Ground]:
    """Serve a page whose portal is opened by an OAuth app that nobody has installed yet.

    The page is localhost and HubSpot 127.0.0.1: to a browser they are different sites, as they are outside.
    """
    with oauth_practice(folder, more=SERVER, connected=False, asks_consent=True) as the:
        people = (the.sandbox.create_contact({"email": "ana@example.com"}),)
        the.catch_up()

        def app(port: int) -> Flask:
            assert the.config.oauth is not None
            moved = {
                "redirect_url": f"http://localhost:{port}/oauth/callback",
                "authorize_url": f"{the.sandbox.address}/oauth/authorize",
            }
            oauth = the.config.oauth.model_copy(update=moved)
            return app_beside(the, the.config.model_copy(update={"oauth": oauth}))

        with _serving(app) as port:
            yield Ground(f"http://localhost:{port}", the, people)


@contextmanager
def _serving(make: Callable[[int], Flask]) -> Iterator[int]:
    """Serve an application that is told its port before it is made."""
    server = make_server("127.0.0.1", 0, Flask("later"), threaded=True, request_handler=_Quiet)
    server.app = make(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
