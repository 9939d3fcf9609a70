"""The practice HubSpot as one object: a portal, its HTTP server and its webhooks, for tests, demo and trying rules."""

import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connector.sandbox import persons, removals
from connector.sandbox.associations import Link
from connector.sandbox.calls import CallLog
from connector.sandbox.faults import Faults
from connector.sandbox.front import Front
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, KINDS, TASK, find_kind
from connector.sandbox.limits import Limits
from connector.sandbox.links import associate, default_link
from connector.sandbox.options import SandboxOptions
from connector.sandbox.people import settle_people
from connector.sandbox.portal import Portal
from connector.sandbox.records import Author
from connector.sandbox.refusals import JsonObject, invalid
from connector.sandbox.server import SandboxServer
from connector.sandbox.stages import add_stage
from connector.sandbox.webhooks import Webhooks

_POLL_S = 0.05
_ENDING = (signal.SIGTERM, signal.SIGINT)


class Sandbox:
    """A practice HubSpot. Its methods act as people do; integrations come over HTTP."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.calls = CallLog()
        self.faults = Faults(options.seed)
        self.webhooks = Webhooks(options)
        self.limits = Limits(options)
        self.portal = Portal(options, self.webhooks)
        self.address = f"http://{options.host}:{options.port}"
        self._server: SandboxServer | None = None
        self._thread: threading.Thread | None = None
        settle_people(self.portal, options.contacts, options.seed)

    def start(self) -> None:
        """Listen, and deliver webhooks, in threads of their own."""
        front = Front(self.portal, self.faults, self.limits, self.calls)
        self._server = SandboxServer((self.options.host, self.options.port), front)
        self.address = f"http://{self.options.host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="sandbox-server", daemon=True
        )
        self._thread.start()
        self.webhooks.start()

    def stop(self) -> None:
        """End the server, its connections and the webhooks; doing it again does nothing."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()
        self.webhooks.stop()
        self._server = None

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create_contact(
        self, properties: Mapping[str, Any], *, source: str = "CRM_UI", source_id: str = "userId:1",
        company: str | None = None,
    ) -> str:  # fmt: skip
        """Create a contact as a person would, and give its id."""
        return persons.create(self.portal, CONTACT, properties, Author(source, source_id), company=company).id

    def update_contact(
        self, contact: str, properties: Mapping[str, Any], *, source: str = "CRM_UI", source_id: str = "userId:1"
    ) -> None:
        """Change a contact as a person would."""
        persons.change(self.portal, CONTACT, contact, properties, Author(source, source_id))

    def create_company(self, properties: Mapping[str, Any]) -> str:
        """Create a company and give its id."""
        return persons.create(self.portal, COMPANY, properties).id

    def update_company(self, company: str, properties: Mapping[str, Any]) -> None:
        """Change a company as a person would."""
        persons.change(self.portal, COMPANY, company, properties)

    def create_deal(
        self, properties: Mapping[str, Any], *, contacts: Iterable[str] = (), company: str | None = None
    ) -> str:
        """Create a deal with its contacts and its primary company, and give its id."""
        return persons.create(self.portal, DEAL, properties, contacts=contacts, company=company).id

    def update_deal(self, deal: str, properties: Mapping[str, Any]) -> None:
        """Change a deal as a person would."""
        persons.change(self.portal, DEAL, deal, properties)

    def create_task(self, properties: Mapping[str, Any], *, contacts: Iterable[str] = ()) -> str:
        """Create a task of a salesperson and give its id."""
        return persons.create(self.portal, TASK, properties, contacts=contacts).id

    def update_task(self, task: str, properties: Mapping[str, Any]) -> None:
        """Change a task, for instance complete it, as a salesperson would."""
        persons.change(self.portal, TASK, task, properties)

    def associate(
        self, from_kind: str, from_id: str, to_kind: str, to_id: str, *, type_id: int | None = None
    ) -> None:
        """Associate two records, by default without a label; kinds by any of HubSpot's names."""
        source, target = find_kind(from_kind), find_kind(to_kind)
        if source is None or target is None:
            raise invalid(f"There is no kind {from_kind!r} or {to_kind!r}")
        with self.portal.lock:
            link = default_link(source.id, from_id, target.id, to_id)
            link = link if type_id is None else Link(*link[:4], type_id)
            associate(self.portal, link, persons.PERSON)

    def delete_contact(self, contact: str) -> None:
        """Move a contact to the recycle bin."""
        persons.remove(self.portal, contact, for_good=False)

    def privacy_delete(self, contact: str) -> None:
        """Delete a contact for good."""
        persons.remove(self.portal, contact, for_good=True)

    def restore_contact(self, contact: str) -> None:
        """Bring a contact back from the recycle bin."""
        with self.portal.lock:
            removals.restore(self.portal, KINDS[CONTACT], contact, persons.PERSON)

    def merge_contacts(self, winner: str, loser: str) -> str:
        """Merge two contacts and give the id of the third that they become."""
        with self.portal.lock:
            pair = self.portal.find(CONTACT, winner), self.portal.find(CONTACT, loser)
            return removals.merge(self.portal, *pair, persons.PERSON).id

    def contact(self, contact: str) -> JsonObject:
        """Show a contact's properties; one that is not set is not there."""
        with self.portal.lock:
            return dict(self.portal.find(CONTACT, contact).values)

    def tasks_of(self, contact: str) -> list[JsonObject]:
        """Show a contact's tasks, each with id and properties."""
        with self.portal.lock:
            return persons.associated(self.portal, self.portal.find(CONTACT, contact), TASK)

    def deals_of(self, contact: str) -> list[JsonObject]:
        """Show a contact's deals, each with id and properties."""
        with self.portal.lock:
            return persons.associated(self.portal, self.portal.find(CONTACT, contact), DEAL)

    def everything_about(self, contact: str) -> JsonObject:
        """Show all there is about a contact."""
        return persons.everything_about(self.portal, contact)

    def add_owner(self, email: str, first: str = "", last: str = "") -> str:
        """Add a colleague and give the owner id."""
        with self.portal.lock:
            return self.portal.add_owner(email, first, last).id

    def add_stage(self, label: str, *, before: str | None = None) -> str:
        """Add a custom lifecycle stage and give its value, a number as text."""
        with self.portal.lock:
            return add_stage(self.portal.properties[CONTACT], label, before=before, now=self.portal.now())

    def revoke_token(self) -> None:
        """Take the access token away: 401 from now on."""
        self.portal.tokens.is_revoked = True

    def restore_token(self) -> None:
        """Give the access token back."""
        self.portal.tokens.is_revoked = False


def run(options: SandboxOptions, *, prepare: Callable[[Sandbox], object] = lambda _: None) -> None:
    """Run a practice HubSpot, prepared first, until SIGTERM or SIGINT."""
    # Blocked before any thread starts, so that they reach nobody but `sigwait`.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with Sandbox(options) as sandbox:
            prepare(sandbox)
            signal.sigwait(_ENDING)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
