"""The web page as `stagekeeper serve` serves it: over real sockets, from real processes, with a real database."""

import http.client
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from connector.inbox import Inbox
from connector.moments import system_clock
from connector.rulebook.shipped import shipped_packs
from connector.store.engine import open_database
from tests.inboxes import Hands
from tests.pages import CONFIG, OPS, PORTAL, READ, Pages, make_pages
from tests.ports import free_port
from tests.running import Reply, answers, running, wait_until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@contextmanager
def serving(folder: Path, *, server: str) -> Iterator[int]:
    """Serve the page on a free port, without a worker."""
    port = free_port()
    text = CONFIG.format(server=f'bind: "127.0.0.1:{port}"{server}', database=f"sqlite:///{folder / 'page.db'}")
    config = folder / f"config-{port}.yaml"
    config.write_text(text + PORTAL.format(id=4242, rules=shipped_packs()["default"]), "utf-8")
    with running("--config", config, "serve", "--no-worker", folder=folder, log=folder / "serve.log") as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz") or process.poll() is not None, what="being ready")
        assert process.poll() is None, (folder / "serve.log").read_text()
        yield port


def talk(port: int, method: str, path: str, *, fields: Mapping[str, str] | None = None, **headers: str) -> Reply:
    """Send one request, headers as they are given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {"Accept": "text/html", **(FORM if fields is not None else {}), **headers}
    connection.request(method, path, urlencode(fields) if fields is not None else None, sent)
    answer = connection.getresponse()
    found = Reply(answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()})
    connection.close()
    return found


def key(page: Reply) -> str:
    """Read the key of the forms on a page."""
    found = re.search(r'name="form_key" value="([0-9a-f]+)"', page.body)
    assert found is not None, page.body
    return found[1]


def cookie(reply: Reply) -> str:
    return reply.headers["set-cookie"].partition(";")[0]


def log_in(port: int, token: str = OPS) -> tuple[Reply, str]:
    """Log in; the answer and the cookie."""
    form = talk(port, "GET", "/login")
    sent = {"Cookie": cookie(form), "Origin": f"http://127.0.0.1:{port}"}
    answer = talk(port, "POST", "/login", fields={"token": token, "form_key": key(form), "next": "/trouble"}, **sent)
    return answer, cookie(answer) if answer.status == 303 else ""


@pytest.fixture
def made(tmp_path: Path) -> Pages:
    """A database with two dead letters."""
    made = make_pages(tmp_path, time=Hands())
    made.bury("1", "2", error="invalid (400): no (correlation id 0a1b)")
    made.engine.dispose()
    return made


def dead(folder: Path) -> list[str]:
    engine = open_database(f"sqlite:///{folder / 'page.db'}", migrate=False)
    found = [row.contact for row in Inbox(engine, system_clock).listing(dead=True)]
    engine.dispose()
    return found


def test_an_operator_logs_in_looks_acts_and_logs_out(made: Pages, tmp_path: Path) -> None:
    with serving(tmp_path, server=f", ops_token: {OPS}, read_token: {READ}") as port:
        assert talk(port, "GET", "/trouble").status == 401
        answer, session = log_in(port)
        assert (answer.status, answer.headers["location"]) == (303, "/trouble")
        page = talk(port, "GET", "/trouble", Cookie=session)
        assert (page.status, "<code>0a1b</code>" in page.body, page.headers["cache-control"]) == (200, True, "no-store")
        fields = {"portal": "4242", "contact": "1", "form_key": key(page)}
        from_elsewhere = {"Cookie": session, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert talk(port, "POST", "/trouble/retry", fields=fields, **from_elsewhere).status == 403
        assert talk(port, "POST", "/trouble/retry", fields={**fields, "form_key": ""}, Cookie=session).status == 403
        assert talk(port, "POST", "/trouble/retry", fields=fields).status == 401
        assert dead(tmp_path) == ["1", "2"]
        done = talk(port, "POST", "/trouble/retry", fields=fields, Cookie=session)
        assert (done.status, done.headers["location"]) == (303, "/trouble?done=retried&number=1")
        assert dead(tmp_path) == ["2"]
        assert talk(port, "POST", "/logout", fields={"form_key": key(page)}, Cookie=session).status == 303
        assert talk(port, "GET", "/", Cookie=session).status == 401
    log = (tmp_path / "serve.log").read_text()
    assert all(event in log for event in ("page.login_succeeded", "dead_letters.retried"))
    assert not any(secret in log for secret in (OPS, READ, session, key(page), "client-secret-of"))


def test_processes_share_sessions_and_roles(made: Pages, tmp_path: Path) -> None:
    server = f", ops_token: {OPS}, read_token: {READ}"
    with serving(tmp_path, server=server) as first, serving(tmp_path, server=server) as second:
        _, operator = log_in(first)
        _, reader = log_in(second, READ)
        page = talk(second, "GET", "/trouble", Cookie=operator)
        assert "full access" in page.body
        fields = {"portal": "4242", "contact": "1"}
        own = key(talk(first, "GET", "/trouble", Cookie=reader))
        assert talk(first, "POST", "/trouble/drop", fields={**fields, "form_key": own}, Cookie=reader).status == 403
        answer = talk(second, "POST", "/trouble/drop", fields={**fields, "form_key": key(page)}, Cookie=operator)
        assert answer.status == 303
    assert dead(tmp_path) == ["2"]


def test_guessing_ends_in_429_and_the_webhook_goes_on(made: Pages, tmp_path: Path) -> None:
    with serving(tmp_path, server=f", ops_token: {OPS}") as port:
        assert [log_in(port, f"guess {number}")[0].status for number in range(11)] == [401] * 10 + [429]
        answer, _ = log_in(port)
        assert (answer.status, 0 < int(answer.headers["retry-after"]) <= 60) == (429, True)
        assert talk(port, "GET", "/metrics", Authorization=f"Bearer {OPS}").status == 429
        assert talk(port, "GET", "/livez").status == 200
        assert talk(port, "POST", "/webhooks/hubspot", fields={}).status == 401


def test_a_name_that_leads_here_shows_a_browser_on_this_machine_nothing(made: Pages, tmp_path: Path) -> None:
    with serving(tmp_path, server="") as port:
        for path in ("/", "/trouble", "/metrics"):
            assert talk(port, "GET", path).status == 200
            assert talk(port, "GET", path, Host=f"rebound.example:{port}").status == 403
        page = talk(port, "GET", "/trouble")
        fields = {"portal": "4242", "contact": "1", "form_key": key(page)}
        for changed in ({"Host": "rebound.example"}, {"Origin": "http://rebound.example"}, {"Cookie": ""}):
            sent = {"Cookie": cookie(page), **changed}
            assert talk(port, "POST", "/trouble/drop", fields=fields, **sent).status == 403
        assert dead(tmp_path) == ["1", "2"]
        assert talk(port, "POST", "/trouble/drop", fields=fields, Cookie=cookie(page)).status == 303
    assert dead(tmp_path) == ["2"]
