"""What holds for every page: headers, errors in plain words, no script or style inside, words that can be read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

import connector.web
from connector.errors import DatabaseUnavailable
from tests.pages import OPS, READ, Browser, Pages, make_pages

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}${7*7}"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HUBSPOT = r"https://app\.hubspot\.com/contacts/4242/record/0-1/1$"
WEB = Path(connector.web.__path__[0])


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    made = make_pages(tmp_path)
    made.bury("1")
    made.troubles.begin_trouble(4242, code="unauthorised", text="HubSpot: 401; set a valid `access_token`")
    return made


def paths(pages: Pages) -> list[str]:
    """Every address of the page that can be gone to."""
    rules = pages.client.application.url_map.iter_rules()
    found = [rule.rule for rule in rules if rule.endpoint.startswith("page.") and "GET" in (rule.methods or ())]
    assert len(found) > 5
    names = {"<path:filename>": "page.css", "<portal>": "4242", "<id_>": "1"}
    for name, value in names.items():
        found = [path.replace(name, value) for path in found]
    return found


def is_strict(answer: TestResponse) -> bool:
    """Ask whether an answer has every header that it should have."""
    headers = answer.headers
    return (
        headers["Content-Security-Policy"] in (POLICY, "default-src 'none'; frame-ancestors 'none'")
        and headers["X-Content-Type-Options"] == "nosniff"
        and headers["X-Frame-Options"] == "DENY"
        and headers["Referrer-Policy"] in ("same-origin", "no-referrer")
        and headers["Cache-Control"] in ("no-store", "no-cache")
    )


def test_every_answer_has_the_strict_headers(pages: Pages) -> None:
    for browser in (pages.browser(), pages.logged_in(), pages.logged_in(READ)):
        for path in paths(pages):
            answer = browser.get(path)
            assert is_strict(answer), path
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert (answer.headers["Cache-Control"] == "no-store") == ("/static/" not in path)
            assert "Server" not in answer.headers


def errors(browser: Browser) -> Iterator[tuple[int, TestResponse]]:
    yield 404, browser.get("/nothing")
    yield 404, browser.get("/static/nothing.css")
    yield 404, browser.get("/static/../page.py")
    yield 404, browser.get("/static/%2e%2e/page.py")
    yield 404, browser.get("/trouble?portal=1")
    yield 404, browser.get("/trouble/" + HOSTILE)
    yield 400, browser.get("/trouble?portal=" + HOSTILE)
    yield 400, browser.get("/trouble?after=" + HOSTILE)
    yield 400, browser.get("/funnel?portal=" + HOSTILE)
    yield 400, browser.get("/funnel?days=" + HOSTILE)
    yield 400, browser.get("/funnel?days=31")
    yield 400, browser.get("/rules?portal=-1")
    yield 404, browser.get("/rules?portal=1")
    yield 404, browser.get("/contact/4242/2")
    yield 404, browser.get("/contact/1/1")
    yield 404, browser.get("/contact/4242/" + HOSTILE.replace("/", ""))
    yield 404, browser.get("/contact/" + HOSTILE.replace("/", "") + "/1")
    yield 404, browser.get("/contact/4242/%00")
    yield 403, browser.post("/contact", {"query": "1"})
    yield 403, browser.post("/contact/4242/1/look", {})
    yield 403, browser.post("/funnel/forecast", {})
    yield 400, browser.get("/trouble?after=1-2")
    yield 400, browser.get("/trouble/drop?portal=4242&contact=%00")
    yield 405, browser.get("/trouble/retry")
    yield 405, browser.post("/", {})
    yield 403, browser.post("/trouble/retry", {})
    yield 415, browser.client.post("/trouble/retry", json={}, headers={"Accept": "text/html"})


def test_errors_are_told_in_plain_words_and_nothing_else(pages: Pages) -> None:
    for status, answer in errors(pages.logged_in()):
        assert answer.status_code == status, answer.request.path
        assert is_strict(answer), answer.request.path
        assert answer.content_type == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"] == POLICY
        leaks = r"Traceback|werkzeug|flask|sqlalchemy|/connector|\.py|alert\("
        assert not re.search(leaks, answer.text, re.IGNORECASE)
        assert answer.text.count("<h1>") == 1


def test_scripts_are_told_in_json_what_leads_nowhere(pages: Pages) -> None:
    for path, status in {"/nothing": 404, "/webhooks/hubspot": 405, "/trouble/retry": 405}.items():
        answer = pages.client.get(path)
        assert (answer.status_code, answer.content_type) == (status, "application/json")
        assert is_strict(answer)


def test_hostile_words_are_shown_as_words(pages: Pages) -> None:
    pages.bury("2", portal=5353, error=HOSTILE)
    pages.troubles.begin_trouble(5353, code=HOSTILE, text=HOSTILE)
    browser = pages.logged_in()
    hostile = ["/login?next=" + HOSTILE, "/trouble?done=" + HOSTILE, "/trouble?done=dropped&number=1e9"]
    for path in ["/", "/trouble", *hostile]:
        browser.get(path)
        tags = browser.page.tags
        assert {known["src"] for tag, known in tags if tag == "img"} <= {"/static/icon.svg"}
        assert not [tag for tag, known in tags if tag == "iframe" or (tag == "script" and "src" not in known)]
        assert "49" not in browser.page.text
    browser.get("/trouble")
    assert HOSTILE in browser.page.text


def test_no_page_has_script_or_style_inside_or_anything_from_elsewhere(pages: Pages) -> None:
    for browser in (pages.browser(), pages.logged_in()):
        for path in paths(pages):
            if path.startswith("/static/"):
                continue
            browser.get(path)
            for tag, known in browser.page.tags:
                assert tag != "style"
                assert not [name for name in known if name.startswith("on") or name == "style"]
                assert tag != "script" or known["src"].startswith("/static/")
                for name in ("href", "src", "action"):
                    assert re.match(rf"[/#](?!/)|{HUBSPOT}", known.get(name, "/")), (path, tag, known)


def test_what_is_static_needs_no_login_and_tells_nothing(pages: Pages) -> None:
    files = sorted(path.name for path in (WEB / "static").iterdir())
    assert files == ["icon.svg", "live.js", "page.css"]
    for name in files:
        answer = pages.client.get(f"/static/{name}", buffered=True)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
        assert "http" not in answer.text.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_a_database_that_is_away_is_told_to_who_is_in_and_nobody_else(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = pages.logged_in()

    def away(_: sa.Engine) -> None:
        raise DatabaseUnavailable("database: the disk is full; free space on the disk")

    for module in ("now", "trouble", "funnel", "contact", "rules"):
        monkeypatch.setattr(f"connector.web.{module}.reading", away)
    for path in ("/", "/trouble", "/funnel", "/contact/4242/1", "/rules"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "free space on the disk" in answer.text
        assert is_strict(answer)
        assert "disk" not in pages.browser().get(path).text


def test_secrets_stand_in_no_answer(pages: Pages) -> None:
    browser = pages.logged_in()
    for path in paths(pages):
        text = str(browser.get(path).headers) + browser.get(path).text
        for secret in (OPS, READ, "pat-na1", "client-secret"):
            assert secret not in text


# --- for everybody ----------------------------------------------------------------------------------------------------


def test_every_page_can_be_read_aloud_and_walked_by_keyboard(pages: Pages) -> None:
    for browser in (pages.browser(), pages.logged_in()):
        for path in paths(pages):
            if path.startswith("/static/"):
                continue
            answer = browser.get(path)
            if answer.status_code == 303:
                continue
            tags = browser.page.tags
            names = [tag for tag, _ in tags]
            ids = [known["id"] for _, known in tags if "id" in known]
            assert [names.count(tag) for tag in ("h1", "main", "header")] == [1, 1, 1]
            assert names[: names.index("body")].count("title") == 1
            assert len(ids) == len(set(ids))
            assert next(known for tag, known in tags if tag == "a") == {"class": "skip", "href": "#content"}
            assert [known.get("lang") for tag, known in tags if tag == "html"] == ["en"]
            assert names.count("caption") == names.count("table")
            assert all(known.get("scope") in ("col", "row") for tag, known in tags if tag == "th")
            labels = {known["for"] for tag, known in tags if tag == "label"}
            fields = [known for tag, known in tags if tag in ("input", "select") and known.get("type") != "hidden"]
            assert {known["id"] for known in fields} == labels
            for _, known in tags:
                for name in ("aria-labelledby", "aria-describedby"):
                    assert set(known.get(name, "").split()) <= set(ids)
                assert int(known.get("tabindex", "0")) <= 0


def test_the_navigation_says_where_one_is(pages: Pages) -> None:
    browser = pages.logged_in()
    for path in ("/", "/funnel", "/contact", "/rules", "/trouble"):
        browser.get(path)
        assert [known["href"] for tag, known in browser.page.tags if known.get("aria-current") == "page"] == [path]


def _light(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast of two colours, from 1 to 21."""
    dark, light = sorted((_light(one), _light(other)))
    return (light + 0.05) / (dark + 0.05)


def test_words_stand_out_from_their_ground_by_day_and_by_night() -> None:
    css = (WEB / "static" / "page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    themes = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in blocks]
    assert len(themes) == 2
    for theme in themes:
        for ink in ("ink", "quiet", "link", "trouble", "well", "warn"):
            for ground in ("ground", "paper", "raised"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        for ink, tint in (("trouble", "troubletint"), ("well", "welltint"), ("warn", "warntint"), ("link", "linktint")):
            assert contrast(theme[ink], theme[tint]) >= 4.5, ink
            assert contrast(theme["ink"], theme[tint]) >= 4.5, tint
        assert contrast(theme["onsolid"], theme["solid"]) >= 4.5
        for ground in ("ground", "paper"):
            assert contrast(theme["edge"], theme[ground]) >= 3
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", css)) == {colour for theme in themes for colour in theme.values()}
