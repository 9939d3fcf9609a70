"""The pictures of the README: `make pictures` takes them anew, of the same five weeks each time."""

import sys
import tempfile
from pathlib import Path

from tests.browser.check_pages import a_prospect
from tests.browser.driving import Visit, chromium, resize
from tests.browser.ground import Ground, ground
from tests.pages import OPS

FOLDER = Path(__file__).parents[2] / ".github" / "images"
_WIDTH, _LONGEST = 1_180, 1_700
_SCALE = 1.25


def take(place: Ground, folder: Path) -> list[Path]:
    """Take the pictures and say where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with chromium() as driver:
        visit = Visit(driver, place.address)
        visit.log_in(OPS, "/funnel")
        visit.click("#forecast button")
        visit.until(lambda: "Weighted" in _anew(visit), 20)
        wanted = {"now": "/", "funnel": "/funnel", "contact": a_prospect(place), "trouble": "/trouble"}
        for name, path in wanted.items():
            taken.append(_save(visit, path, folder / f"{name}.png"))
        visit.as_at_night()
        taken.append(_save(visit, "/funnel", folder / "funnel-dark.png"))
    return taken


def _anew(visit: Visit) -> str:
    """Load the funnel again and give what its forecast says."""
    visit.go("/funnel")
    return visit.find("#forecast").text


def _save(visit: Visit, path: str, file: Path) -> Path:
    """Take a picture of a page, as far down as a reader of the README will look."""
    resize(visit.driver, (_WIDTH, 600), scale=_SCALE)
    visit.go(path)
    visit.ask("document.activeElement.blur()")
    resize(visit.driver, (_WIDTH, min(visit.ask("return document.body.scrollHeight"), _LONGEST)), scale=_SCALE)
    assert visit.driver.save_screenshot(str(file))
    return file


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, ground(Path(scratch)) as made:
        for picture in take(made, FOLDER):
            sys.stdout.write(f"{picture}\n")
