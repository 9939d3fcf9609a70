"""The page for everybody: by keyboard alone, on a narrow screen, by day and by night, read aloud."""

from importlib.resources import files
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.check_pages import PAGES, a_prospect
from tests.browser.driving import NARROW, Visit, resize
from tests.browser.ground import Ground
from tests.pages import OPS

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
AXE = files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
HERE = "return document.activeElement"
OUTLINED = """
const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
return {
  tag: one.tagName, text: (one.innerText || one.getAttribute('aria-label') || '').slice(0, 60),
  outline: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
  seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0
    && box.left < innerWidth,
};
"""


def faults(visit: Visit) -> list[dict[str, Any]]:
    """What axe-core finds wrong with the page as it stands."""
    visit.driver.execute_script(AXE)
    found = visit.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        f"axe.run(document, {{runOnly: {RULES}}}).then((found) => done(found.violations));"
    )
    return [
        {"rule": one["id"], "where": [node["html"][:120] for node in one["nodes"][:5]], "says": one["help"]}
        for one in found
    ]


def everywhere(place: Ground) -> list[str]:
    return [*PAGES, a_prospect(place)]


@pytest.mark.parametrize("night", [False, True], ids=["by-day", "by-night"])
@pytest.mark.parametrize("size", [None, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_wrong(visit: Visit, place: Ground, size: tuple[int, int] | None, night: bool) -> None:
    if night:
        visit.as_at_night()
    if size:
        resize(visit.driver, size)
    visit.go("/")
    assert faults(visit) == []
    visit.log_in(OPS)
    for path in everywhere(place):
        visit.go(path)
        visit.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert faults(visit) == [], path


def test_at_night_the_page_is_dark(visit: Visit) -> None:
    visit.log_in(OPS)
    by_day = visit.find("body").value_of_css_property("background-color")
    visit.as_at_night()
    by_night = visit.find("body").value_of_css_property("background-color")
    assert (by_day, by_night) == ("rgba(244, 246, 249, 1)", "rgba(14, 19, 25, 1)")


def test_a_narrow_screen_needs_no_scrolling_sideways(visit: Visit, place: Ground) -> None:
    resize(visit.driver, NARROW)
    visit.log_in(OPS)
    for path in everywhere(place):
        visit.go(path)
        assert visit.ask("return document.documentElement.scrollWidth") <= NARROW[0], path
        cut = visit.ask(
            "return [...document.querySelectorAll('main a, main button, main input, header a, header button')]"
            ".filter((one) => !one.closest('.wide') && one.getBoundingClientRect().right > innerWidth + 1)"
            ".map((one) => one.innerText)"
        )
        assert cut == [], path


def test_what_is_wide_can_be_scrolled_by_itself(visit: Visit) -> None:
    resize(visit.driver, NARROW)
    visit.log_in(OPS, "/funnel")
    chart = visit.find("[aria-labelledby=moves]")
    visit.ask("document.querySelector('[aria-labelledby=moves]').focus()")
    visit.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    visit.until(lambda: visit.ask("return document.querySelector('[aria-labelledby=moves]').scrollLeft") > 0)
    assert chart.get_attribute("tabindex") == "0"


def test_on_a_narrow_screen_every_value_stands_under_its_row_with_its_name(visit: Visit, place: Ground) -> None:
    resize(visit.driver, NARROW)
    visit.log_in(OPS)
    for path in ("/", "/trouble", a_prospect(place)):
        visit.go(path)
        rights = visit.ask(
            "return [...document.querySelectorAll('.stacks [data-label]')].filter((one) => one.checkVisibility())"
            ".map((one) => one.getBoundingClientRect().right)"
        )
        assert len(rights) > 5
        assert max(rights) <= NARROW[0], path
        assert visit.ask(
            "return [...document.querySelectorAll('.stacks td:not([data-label])')].map((one) => one.innerText)"
            ".filter((text) => text && !/^(Retry|None|No contact)/.test(text))"
        ) == [], path


def test_the_whole_page_can_be_walked_by_keyboard_and_the_focus_is_always_seen(visit: Visit, place: Ground) -> None:
    visit.log_in(OPS)
    for path in ("/", "/contact", "/trouble", a_prospect(place)):
        visit.go(path)
        visit.ask("document.activeElement.blur(); window.scrollTo(0, 0)")
        wanted = visit.ask(
            "return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
            ".filter((one) => one.type !== 'hidden' && one.checkVisibility()).length"
        )
        seen = []
        for _ in range(min(wanted, 120)):
            visit.press(Keys.TAB)
            seen.append(visit.ask(OUTLINED))
        inside = [one for one in seen if one["tag"] != "BODY"]  # there the walk begins anew
        assert [one for one in inside if one["outline"] < 2 or not one["seen"]] == [], path
        assert len({(one["tag"], one["text"]) for one in seen}) > 5


def test_the_skip_link_leads_past_the_navigation(visit: Visit) -> None:
    visit.log_in(OPS)
    visit.go("/funnel")
    visit.press(Keys.TAB)
    link = visit.ask(HERE)
    assert link.text == "Skip to the content"
    assert link.rect["x"] >= 0
    visit.press(Keys.ENTER)
    assert visit.ask("return document.activeElement.id") == "content"
    visit.press(Keys.TAB)
    assert visit.ask("return document.activeElement.closest('main') !== null")


def test_one_logs_in_drops_a_dead_letter_and_logs_out_by_keyboard_alone(visit: Visit, place: Ground) -> None:
    contact = place.people[17]
    place.bury(contact)
    visit.go("/trouble")
    visit.press(*OPS, Keys.ENTER)
    visit.until(lambda: "Dead letters" in visit.words)

    def tab_to(text: str) -> None:
        for _ in range(80):
            visit.press(Keys.TAB)
            if " ".join(visit.ask("return document.activeElement.textContent").split()) == text:
                return
        raise AssertionError(f"nothing says {text!r}")

    tab_to(f"Drop 4242/{contact}…")
    visit.press(Keys.ENTER)
    visit.until(lambda: visit.path.startswith("/trouble/drop"))
    tab_to(f"Drop the dead letter 4242/{contact}")
    visit.press(Keys.SPACE)
    visit.until(lambda: "1 dropped." in visit.words)
    assert place.the.waiting(contact) is None
    tab_to("Log out")
    visit.press(Keys.ENTER)
    visit.until(lambda: visit.path == "/login")
    assert visit.ask("return document.activeElement.id") == "token"


def test_a_page_can_be_enlarged_fourfold(visit: Visit) -> None:
    """WCAG 1.4.10: 1280 pixels at 400 % are 320."""
    resize(visit.driver, (320, 640))
    visit.log_in(OPS)
    for path in ("/", "/funnel", "/contact", "/trouble"):
        visit.go(path)
        assert visit.ask("return document.documentElement.scrollWidth") <= 320, path
