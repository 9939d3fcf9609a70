"""The hand on the practice HubSpot: what people do there, what goes wrong there, and what it holds in the end."""

import http.client
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from tests.torture.hubspot import HubSpotSettings

_PAGE = 500


class HubSpotDown(RuntimeError):
    """The practice HubSpot answered what it should not, so that the run is worth nothing."""


class HubSpotHand:
    """Calls the control API over one connection."""

    def __init__(self, address: str, postman: str) -> None:
        self.address = address
        self._hubspot = _Line(address)
        self._postman = _Line(postman)

    def create_contact(self, properties: Mapping[str, str], company: str | None) -> str:
        """Create a contact as a person does."""
        body = {"properties": properties, "company": company}
        return str(self._hubspot.call("POST", "/sandbox/contacts", body)["id"])

    def change_contact(self, contact: str, properties: Mapping[str, str]) -> None:
        """Change a contact as a person does."""
        self._hubspot.call("PATCH", f"/sandbox/contacts/{contact}", {"properties": properties})

    def create_company(self, properties: Mapping[str, str]) -> str:
        """Create a company."""
        return str(self._hubspot.call("POST", "/sandbox/companies", {"properties": properties})["id"])

    def create_deal(self, stage: str, contact: str) -> str:
        """Open a deal of a contact as a person does."""
        properties = {"dealname": "By hand", "pipeline": "default", "dealstage": stage}
        body = {"properties": properties, "contacts": [contact]}
        return str(self._hubspot.call("POST", "/sandbox/deals", body)["id"])

    def move_deal(self, deal: str, stage: str) -> None:
        """Move a deal to another stage as a person does."""
        self._hubspot.call("PATCH", f"/sandbox/deals/{deal}", {"properties": {"dealstage": stage}})

    def add_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Put faults in force."""
        self._hubspot.call("POST", "/sandbox/faults", {"faults": list(faults)})

    def end_fault(self, kind: str) -> None:
        """Take out of force what strikes every call, and leave the other faults as they are."""
        there = self._hubspot.call("GET", "/sandbox/faults")["faults"]
        left = [one for one in there if (one["kind"], one["times"], one["probability"]) != (kind, None, 1.0)]
        self.clear_faults()
        if left:
            self.add_faults([{name: value for name, value in fault.items() if name != "id"} for fault in left])

    def clear_faults(self) -> None:
        """Take all faults out of force."""
        self._hubspot.call("DELETE", "/sandbox/faults")

    def revoke_token(self, *, revoked: bool) -> None:
        """Take the token away or give it back."""
        self._hubspot.call("POST", "/sandbox/token", {"revoked": revoked})

    def take_scopes(self, *missing: str) -> None:
        """Take these scopes away, and give all others back."""
        self._hubspot.call("POST", "/sandbox/scopes", {"missing": missing})

    def limit(self, calls_per_10s: int | None) -> None:
        """Limit the calls in any ten seconds."""
        self._hubspot.call("POST", "/sandbox/limits", {"calls_per_10s": calls_per_10s})

    def webhooks(self, **changes: object) -> Mapping[str, Any]:
        """Change how webhooks are delivered, and give their counts."""
        return self._hubspot.call("POST", "/sandbox/webhooks", changes)

    def state(self) -> Mapping[str, Any]:
        """Give counts of all kinds."""
        return self._hubspot.call("GET", "/sandbox/state")

    def events(self) -> list[dict[str, Any]]:
        """Give every event that was ever fired."""
        return list(self._hubspot.call("GET", "/sandbox/events")["events"])

    def contact(self, contact: str) -> dict[str, Any]:
        """Give all there is about a contact."""
        return dict(self._hubspot.call("GET", f"/sandbox/contacts/{contact}"))

    def mend_postman(self) -> None:
        """Let the postman behave well from now on."""
        self._postman.call("POST", "/mend", {})

    def postmans_book(self) -> Mapping[str, Any]:
        """Give what the postman has done."""
        return self._postman.call("GET", "/")

    def close(self) -> None:
        """Close the connections."""
        self._hubspot.close()
        self._postman.close()


class _Line:
    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        payload = None if body is None else orjson.dumps(body)
        self._connection.request(method, path, payload, {"Content-Type": "application/json"} if payload else {})
        answer = self._connection.getresponse()
        raw = answer.read()
        if answer.status >= 300:
            raise HubSpotDown(f"{method} {path}: {answer.status} {raw[:500]!r}")
        return orjson.loads(raw) if raw else {}


@contextmanager
def practice_hubspot(settings: HubSpotSettings, *, log: Path, env: Mapping[str, str]) -> Iterator[HubSpotHand]:
    """Run the practice HubSpot in a process of its own."""
    command = [sys.executable, "-m", "tests.torture.hubspot", settings.as_json()]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, cwd=log.parent, env=dict(env), stdout=subprocess.PIPE, stderr=stream, start_new_session=True
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise HubSpotDown(f"it did not start: {log.read_text()}")
        addresses = orjson.loads(line)
        with closing(HubSpotHand(addresses["hubspot"], addresses["postman"])) as hand:
            yield hand
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
