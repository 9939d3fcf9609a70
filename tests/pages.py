"""What tests of the web page share: the whole application on a database, and a browser that reads forms and links."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from connector.config import Config, load_config
from connector.inbox import Failure, Inbox
from connector.packs import checked_packs
from connector.portals import Portals
from connector.receiver import ReceiverParts, create_app
from connector.rulebook.shipped import shipped_packs
from connector.services import portal_keys
from connector.store.engine import open_database
from connector.web.admission import make_admission
from connector.web.page import make_page
from tests.databases import database_url
from tests.inboxes import LEASE, SETTLE, Hands, accept, claim
from tests.practice import Practice
from tests.receivers import make_parts

OPS, READ = "ops-token-under-test", "read-token-under-test"
SERVER = f"server: {{ops_token: {OPS}, read_token: {READ}}}"
PORTALS = (4242, 5353)
CONFIG = """version: 1
database: {database}
server: {{{server}}}
portals:
"""
PORTAL = """  - id: {id}
    name: Practice
    access_token: pat-na1-0a1b2c3d
    client_secret: client-secret-of-{id}
    webhook_url: https://hooks.example.com/webhooks/hubspot
    rules: {rules}
"""


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it stands in a page."""

    action: str
    method: str
    fields: Mapping[str, str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags.append((tag, known))
        if tag == "form":
            self.forms.append(Form(known.get("action", ""), known.get("method", "get"), {}))
        elif tag == "input" and "name" in known:
            last = self.forms[-1]
            self.forms[-1] = replace(last, fields={**last.fields, known["name"]: known.get("value", "")})

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class Browser:
    """A browser: keeps cookies, sends forms as they stand, says where they come from."""

    client: FlaskClient
    host: str = "localhost"
    answer: TestResponse | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> TestResponse:
        """Go to an address."""
        sent = {"Accept": "text/html", "Host": self.host, **self.headers, **headers}
        self.answer = self.client.get(path, headers=sent, buffered=True)
        return self.answer

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> TestResponse:
        """Send fields; a header that is "" is left out."""
        sent = {
            "Accept": "text/html", "Host": self.host, "Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin",
            **self.headers, **{name.replace("_", "-"): value for name, value in headers.items()},
        }  # fmt: skip
        sent = {name: value for name, value in sent.items() if value}
        self.answer = self.client.post(path, data=dict(fields), headers=sent, buffered=True)
        return self.answer

    @property
    def page(self) -> _Reader:
        assert self.answer is not None
        reader = _Reader()
        reader.feed(self.answer.text)
        return reader

    @property
    def page_text(self) -> str:
        """The page as it was sent."""
        assert self.answer is not None
        return self.answer.text

    def form(self, action: str, **fields: str) -> Form:
        """Find the form on the page that goes to an address and has these fields."""
        found = [
            form for form in self.page.forms if form.action == action and fields.items() <= form.fields.items()
        ]
        assert found, f"no form to {action} with {fields}"
        return found[0]

    def submit(self, action: str, *, given: Mapping[str, str] | None = None, **fields: str) -> TestResponse:
        """Send that form, with what a person has put in."""
        form = self.form(action, **fields)
        assert form.method == "post"
        return self.post(action, {**form.fields, **(given or {})})

    def follow(self) -> TestResponse:
        """Go where the answer sends us."""
        assert self.answer is not None
        assert self.answer.status_code == 303
        return self.get(self.answer.headers["Location"])

    def log_in(self, token: str = OPS, path: str = "/login") -> TestResponse:
        """Log in from a page that asks for it."""
        self.get(path)
        return self.submit("/login", given={"token": token})


@dataclass
class Pages:
    """The application with its database and a clock that only tests move."""

    config: Config
    engine: sa.Engine
    inbox: Inbox
    troubles: Portals
    time: Hands
    client: FlaskClient

    def browser(self, host: str = "localhost") -> Browser:
        """A browser with no cookies yet."""
        return Browser(self.client.application.test_client(), host)

    def logged_in(self, token: str = OPS) -> Browser:
        """A browser that has logged in."""
        browser = self.browser()
        assert browser.log_in(token).status_code == 303
        return browser

    def bury(self, *contacts: str, portal: int = PORTALS[0], error: str = "invalid (400): no") -> None:
        """Make dead letters."""
        accept(self.inbox, *contacts, portal=portal)
        self.time.move(SETTLE)
        held = claim(self.inbox, limit=len(contacts))
        self.inbox.finish(held, failed={one: Failure(error=error, retry_at=None) for one in contacts})
        self.time.move(1)

    def dead(self) -> list[tuple[int, str]]:
        """The dead letters."""
        return [(row.portal, row.contact) for row in self.inbox.listing(dead=True, limit=1_000)]


def make_config(
    folder: Path, *, server: str = "", portals: Iterable[int] = PORTALS, database: str = "page.db"
) -> Config:
    """Read a configuration of these portals."""
    rules = shipped_packs()["default"]
    text = CONFIG.format(server=server, database=database_url(folder / database))
    path = folder / "config.yaml"
    path.write_text(text + "".join(PORTAL.format(id=id_, rules=rules) for id_ in portals), "utf-8")
    config, problems = load_config(path, {})
    assert config is not None, problems
    return config


def make_pages(
    folder: Path, *, server: str = f"ops_token: {OPS}, read_token: {READ}", time: Hands | None = None
) -> Pages:
    """Make the application as `serve` makes it, under a clock of ours."""
    config, time = make_config(folder, server=server), time or Hands()
    engine = open_database(config.database)
    inbox, troubles = Inbox(engine, time), Portals(engine, time)
    admission = make_admission(config, time)
    page = make_page(
        config=config, packs=checked_packs(config), engine=engine, inbox=inbox, troubles=troubles, clock=time,
        admission=admission,
    )  # fmt: skip
    token = config.server.ops_token
    parts = make_parts(folder / "page.db", clock=time, ops_token=token.get_secret_value() if token else None)
    app = create_app(replace(parts, page=page, may_look=admission.may_look))
    return Pages(config, engine, inbox, troubles, time, app.test_client())


def app_beside(the: Practice, config: Config | None = None) -> Flask:
    """Make the application beside practice portals, on their database and under their clock."""
    services, config = the.services, config or the.config
    admission = make_admission(config, the.time)
    page = make_page(
        config=config, packs={id_: one.pack for id_, one in services.portals.items()}, engine=services.engine,
        inbox=services.inbox, troubles=services.troubles, clock=the.time, admission=admission,
        metrics=services.metrics,
    )  # fmt: skip
    return create_app(
        ReceiverParts(
            keys=portal_keys(config.portals), inbox=services.inbox, settle_ms=config.worker.settle, clock=the.time,
            metrics=services.metrics, render_metrics=bytes, checks={}, page=page, may_look=admission.may_look,
        )
    )  # fmt: skip


def browser_beside(the: Practice, token: str = OPS) -> Browser:
    """Make a browser that has logged in beside practice portals; their configuration names the tokens."""
    browser = Browser(app_beside(the).test_client())
    assert browser.log_in(token).status_code == 303
    return browser


__all__ = ["LEASE", "OPS", "PORTALS", "READ", "SERVER", "Browser", "Form", "Pages", "app_beside", "browser_beside",
           "make_config", "make_pages"]  # fmt: skip
