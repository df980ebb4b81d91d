"""Facts that only a browser can tell about a report."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from worldscope import figures
from worldscope.report import Report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ATTACK = "<a href='javascript:alert(1)'>link</a><img src=x onerror=alert(2)></script>"
X = np.array([1.0, 10.0, 100.0])


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator["Browser"]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the `browser` extra")
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    row = {"method": ATTACK, "data": ATTACK, "metric": "accuracy"}
    measured = pd.DataFrame([row | {"value": 0.8, "low": 0.7, "high": 0.9}])
    report = (
        Report(ATTACK)
        .section(ATTACK)
        .figure(figures.accuracy_bars(measured, published={ATTACK: 0.9}, title=ATTACK))
        .figure(figures.loss_curve({ATTACK: (X, X)}, references={ATTACK: 5.0}))
        .heatmap(["two", " words", "\n", ATTACK], [0.1, -0.5, 0.0, 1.0], title=ATTACK)
    )
    return report.write(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def opened(browser: "Browser", report: Path) -> Iterator[tuple["Page", list[str]]]:
    """The page, and everything that it asked for or complained of."""
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.on("request", lambda request: told.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 2")
    yield page, [line for line in told if line != report.as_uri()]
    page.close()


def test_every_figure_is_drawn_without_a_request_or_a_complaint(
    opened: tuple["Page", list[str]],
) -> None:
    page, told = opened
    assert page.locator(".plot").count() == 2
    assert page.locator("#figure-1 .points path.point").count() == 1
    assert page.locator("#figure-2 .lines path").count() == 1
    assert told == []


def test_hostile_names_are_shown_letter_by_letter(opened: tuple["Page", list[str]]) -> None:
    page, _ = opened
    assert page.locator("h1").inner_text() == ATTACK
    for place in (".gtitle", ".ytick text", ".legendtext"):
        assert page.locator(f"#figure-1 {place}").first.text_content() == ATTACK
    assert page.locator(".plot a[href^=javascript], img").count() == 0


def test_an_injected_script_does_not_run(opened: tuple["Page", list[str]]) -> None:
    page, _ = opened
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); }"
    )
    assert page.evaluate("window.ran") is None


def test_no_button_uploads_a_figure(opened: tuple["Page", list[str]]) -> None:
    page, _ = opened
    page.hover("#figure-1")
    titles = page.locator("#figure-1 .modebar-btn").evaluate_all(
        "buttons => buttons.map(button => button.dataset.title)"
    )
    assert "Zoom" in titles
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()]


def test_a_figure_keeps_to_the_width_of_the_page(opened: tuple["Page", list[str]]) -> None:
    page, _ = opened
    page.set_viewport_size({"width": 480, "height": 800})
    page.wait_for_function("document.querySelector('#figure-1 .main-svg').clientWidth < 480")
    assert page.evaluate("document.documentElement.scrollWidth") <= 480


def test_figures_turn_dark_with_the_page(opened: tuple["Page", list[str]]) -> None:
    page, _ = opened

    def ink() -> str:
        return page.locator("#figure-2 .xtitle").evaluate("title => getComputedStyle(title).fill")

    assert ink() == "rgb(36, 40, 45)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('#figure-2 .xtitle')).fill"
        " === 'rgb(228, 228, 228)'"
    )
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(228, 228, 228)"


def test_the_copied_text_of_a_heat_map_is_the_text(opened: tuple["Page", list[str]]) -> None:
    page, _ = opened
    copied = page.evaluate(
        "() => { const block = document.querySelector('[style*=pre-wrap]');"
        " getSelection().selectAllChildren(block); return getSelection().toString(); }"
    )
    assert copied == f"two words\n{ATTACK}"
