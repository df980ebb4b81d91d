"""The dashboard as `worldscope dashboard` serves it, in a real browser."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = ["Read", "Units", "Steer", "Runs"]
PATIENCE_MS = 60_000  # PyTorch is imported for the first visitor

Visit = Callable[..., AbstractContextManager["Page"]]


@pytest.fixture(scope="module")
def address(
    runs_folder: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the dashboard is served; with the launcher ended, the server must end too."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    code = f"from dashboards.launch import launch; launch({port}, runs={str(runs_folder)!r})"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=output, stderr=output
        ) as launcher,
    ):
        try:
            wait_until(lambda: healthy(port), log)
            yield f"http://localhost:{port}"
        finally:
            launcher.terminate()
            launcher.wait(30)
    wait_until(lambda: not healthy(port), log)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator["BrowserContext"]:
    """One browser whose tabs share what they have fetched; each is a visitor of its own."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(PATIENCE_MS)
        yield context
        browser.close()


@pytest.fixture
def visit(browser: "BrowserContext", address: str, tmp_path: Path) -> Visit:
    """Opens a page in a new tab; takes a picture where a test fails.

    No page may show an exception, or fetch anything from elsewhere.
    """

    @contextmanager
    def visit(path: str = "") -> Iterator["Page"]:
        tab, asked = browser.new_page(), []
        tab.on("request", lambda request: asked.append(request.url))
        try:
            tab.goto(f"{address}/{path}")
            tab.get_by_test_id("stHeading").first.wait_for()
            yield tab
            assert tab.get_by_test_id("stException").count() == 0
            assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
        except BaseException as error:
            picture = tmp_path / "failed.png"
            tab.screenshot(path=picture)
            error.add_note(f"screenshot: {picture}")
            raise
        finally:
            tab.close()

    return visit


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health") as answer:
            return answer.read() == b"ok"
    except OSError:
        return False


def wait_until(true: Callable[[], bool], log: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)


def metric(tab: "Page", label: str) -> str:
    """The value under a label, once it is drawn."""
    place = tab.get_by_test_id("stMetric").filter(has_text=label).first
    place.wait_for()
    return place.get_by_test_id("stMetricValue").inner_text()


def wait_for_change(read: Callable[[], str], before: str) -> str:
    """The next value that differs."""
    for _ in range(300):
        if (now := read()) != before:
            return now
        time.sleep(0.1)
    raise AssertionError(f"still {before!r} after 30 s")


def test_every_page_opens_from_the_menu(visit: Visit) -> None:
    from playwright.sync_api import expect

    with visit() as tab:
        for name in [*PAGES[1:], PAGES[0]]:
            tab.get_by_role("link", name=name, exact=True).click()
            expect(tab.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
            expect(
                tab.locator("[data-testid='stApp'][data-test-script-state='notRunning']")
            ).to_be_visible()
            assert tab.get_by_test_id("stException").count() == 0
            assert tab.get_by_test_id("stAlert").count() == 0


def test_another_unit_colours_the_text_anew_and_is_a_link(visit: Visit, address: str) -> None:
    with visit("?what=unit&unit=3") as tab:
        before = metric(tab, "Mean value")
        tab.wait_for_url(re.compile("text="))
        steps = tab.evaluate("history.length")
        unit = tab.get_by_role("spinbutton", name="Unit")
        unit.fill("9")
        unit.press("Enter")
        after = wait_for_change(lambda: metric(tab, "Mean value"), before)
        tab.wait_for_url(re.compile("unit=9"))
        assert tab.evaluate("history.length") == steps + 1
        link = tab.url.removeprefix(f"{address}/")
    with visit(link) as tab:
        assert metric(tab, "Mean value") == after


def test_another_unit_of_a_run_has_other_scores(visit: Visit) -> None:
    from playwright.sync_api import expect

    with visit("units?position=mean") as tab:
        heading = tab.get_by_role("heading", name="Unit ", level=3)
        expect(heading).to_be_visible()
        before = heading.inner_text()
        tab.get_by_role("combobox", name="Unit").click()
        tab.get_by_role("option").nth(1).click()
        after = wait_for_change(heading.inner_text, before)
        tab.get_by_role("link", name=re.compile("Read a text")).click()
        number = after.removeprefix("Unit ").strip()
        expect(tab.get_by_role("combobox", name="Unit")).to_have_value(
            re.compile(rf"^{number} · AUROC"),
        )


def test_another_strength_writes_another_text(visit: Visit) -> None:
    from playwright.sync_api import expect

    with visit("steer?what=feature&length=40") as tab:
        texts = tab.get_by_test_id("stHtml")
        finished = tab.get_by_text("40 tokens written")
        tab.get_by_role("button", name="Generate").click()
        expect(finished).to_be_visible()
        plain, steered = texts.all_inner_texts()
        slider = tab.get_by_role("slider", name="Strength").first
        slider.focus()
        for _ in range(12):
            slider.press("ArrowLeft")
        tab.wait_for_url(re.compile(r"strength=-3\.0"))
        tab.get_by_role("button", name="Generate").click()
        expect(tab.get_by_role("heading", name="Steered: clamp -3.0 sd")).to_be_visible()
        expect(finished).to_be_visible()
        assert wait_for_change(lambda: texts.nth(1).inner_text(), steered) != steered
        assert texts.nth(0).inner_text() == plain


def test_writing_stops_when_asked_and_keeps_what_is_written(visit: Visit) -> None:
    from playwright.sync_api import expect

    with visit("steer?what=feature&length=2000") as tab:
        tab.get_by_role("button", name="Generate").click()
        stop = tab.get_by_role("button", name="Stop")
        expect(tab.get_by_text(re.compile(r"[1-9]\d* tokens written"))).to_be_visible()
        stop.click()
        expect(stop).to_be_hidden()
        count = int(tab.get_by_text(re.compile(r"\d+ tokens written")).inner_text().split()[-3])
        assert 0 < count < 2000
        time.sleep(1)
        assert tab.get_by_text(f"{count} tokens written").is_visible()


def test_a_visitor_who_reads_sees_nothing_of_one_who_steers(visit: Visit) -> None:
    from playwright.sync_api import expect

    with (
        visit("?what=unit&unit=3&text=before") as reader,
        visit("steer?what=feature&strength=6.0&length=2000") as writer,
    ):
        quiet = metric(reader, "Bits per byte")
        box = reader.get_by_role("textbox", name="Text")
        box.fill("Something else that is read at first.")
        box.press("Control+Enter")
        clean = wait_for_change(lambda: metric(reader, "Bits per byte"), quiet)
        writer.get_by_role("button", name="Generate").click()
        expect(writer.get_by_text(re.compile(r"[1-9]\d* tokens written"))).to_be_visible()
        box.fill("Something else that is read at first. ")  # trailing space: the same text, unkept
        box.press("Control+Enter")
        reader.wait_for_url(re.compile(r"first\.(\+|%20)"))
        expect(
            reader.locator("[data-testid='stApp'][data-test-script-state='notRunning']")
        ).to_be_visible()
        assert metric(reader, "Bits per byte") == clean
        writer.get_by_role("button", name="Stop").click()


def test_words_choose_measurements_and_the_report_is_apart(visit: Visit) -> None:
    from playwright.sync_api import expect

    with visit("runs") as tab:
        expect(tab.get_by_text("4 of 4 measurements of run good")).to_be_visible()
        words = tab.get_by_role("textbox", name="Rows that hold these words")
        words.fill("mean test")
        words.press("Enter")
        expect(tab.get_by_text("1 of 4 measurements of run good")).to_be_visible()
        tab.get_by_text("Report", exact=True).click()
        report = tab.frame_locator("iframe").frame_locator("iframe")
        expect(report.get_by_role("heading", name="A tiny study")).to_be_visible()
        assert report.locator("body").evaluate("() => origin") == "null"
        expect(report.locator(".main-svg").first).to_be_visible()
