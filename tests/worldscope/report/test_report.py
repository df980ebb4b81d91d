"""Facts about reports: everything in them is text, and they need nothing but themselves."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from worldscope.figures import bits_per_byte_bars
from worldscope.report import Report

ATTACK = "</script><script>alert('x')</script>\"><img src=http://evil.example/x onerror=alert(1)>&"
LOADING = {"src", "srcset", "href", "data", "action", "formaction", "poster", "background"}


class Reader(HTMLParser):
    """Reads a page as a browser does: elements with their attributes, and the text in each."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.inside, data))

    def text_of(self, tag: str) -> list[str]:
        return [text for inside, text in self.texts if inside == tag and text.strip()]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


def full_report(text: str) -> Report:
    """A report with every kind of content, `text` in all places that take text."""
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=text), {"title": {"text": text}})
    return (
        Report(text, subtitle=text)
        .section(text)
        .paragraph(text)
        .facts({text: text})
        .section("Results")
        .table(pd.DataFrame({text: [text], "value": 0.81, "low": 0.79, "high": 0.83}), caption=text)
        .figure(figure, caption=text)
        .figure(bits_per_byte_bars({text: 1.5}, {"gzip": 3.0}))
        .samples([text], caption=text)
        .heatmap([text, text.encode()], [0.5, -0.5], title=text, unit=text)
        .definitions({text: text})
    )


@pytest.fixture(scope="module")
def hostile() -> str:
    return full_report(ATTACK).html()


def test_hostile_text_stays_text_in_every_place(hostile: str) -> None:
    page = Reader(hostile)
    assert not page.all("img")
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    for tag in ("title", "h1", "h2", "p", "dt", "dd", "th", "td", "figcaption"):
        assert ATTACK in page.text_of(tag), tag
    assert f'<div class="sample">{escape(ATTACK)}</div>' in hostile


def test_the_only_scripts_are_our_two_and_the_data_of_the_figures(hostile: str) -> None:
    scripts = Reader(hostile).all("script")
    data = [script for script in scripts if script.get("type") == "application/json"]
    assert [script["id"] for script in data] == ["figure-1-data", "figure-2-data"]
    assert len(scripts) == len(data) + 2


def test_a_figure_is_in_the_page_with_its_numbers_and_names(hostile: str) -> None:
    data = re.search(r'id="figure-1-data">(.*?)</script>', hostile)
    assert data is not None
    assert "<" not in data[1]
    (trace,) = json.loads(data[1])["data"]
    assert (trace["x"], trace["y"], trace["name"]) == ([1, 2], [3, 4], ATTACK)


def test_a_report_loads_nothing(hostile: str) -> None:
    page = Reader(hostile)
    loads = [(a, v) for _, attributes in page.elements for a, v in attributes.items()]
    assert [v for a, v in loads if a in LOADING and not (v or "").startswith("#")] == []
    assert not page.all("link")
    assert not page.all("iframe")
    styles = " ".join([*page.text_of("style"), *(str(v) for a, v in loads if a == "style")])
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_page_forbids_other_scripts_and_every_load(hostile: str) -> None:
    policy = Reader(hostile).all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy["content"]).split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe-inline" not in rules["script-src"]
    scripts = re.findall(r"<script>(.*?)</script>", hostile, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert rules["script-src"].split()[:2] == [f"'sha256-{digest}'" for digest in digests]


def test_plotly_is_in_the_page_exactly_once_and_only_for_figures(hostile: str) -> None:
    assert hostile.count(get_plotlyjs()) == 1
    without = Report("Text only").paragraph("Nothing is drawn.").html()
    assert "<script" not in without
    assert len(without) < 10_000


def test_an_interval_stands_beside_its_value(hostile: str) -> None:
    assert "0.81 [0.79, 0.83]" in Reader(hostile).text_of("td")


def test_the_table_of_contents_leads_to_every_section(hostile: str) -> None:
    page = Reader(hostile)
    assert page.text_of("a") == [ATTACK, "Results", "Definitions"]
    anchors = {attributes.get("id") for attributes in page.all("h2")}
    assert {str(link["href"])[1:] for link in page.all("a")} == anchors
    assert not Reader(Report("Short").section("Only one").html()).all("nav")


def test_content_stands_in_the_order_in_which_it_was_added() -> None:
    html = Report("r").definitions({"term": "meaning"}).paragraph("one").section("two").html()
    assert html.index("one") < html.index("two") < html.index("meaning")


def test_a_report_is_the_same_whenever_it_is_made(hostile: str) -> None:
    assert full_report(ATTACK).html() == hostile


def test_spaces_and_line_ends_of_a_sample_are_kept() -> None:
    html = Report("r").samples(["\n  two\n\nlines "]).html()
    assert '<div class="sample">\n  two\n\nlines </div>' in html
    assert re.search(r"\.sample \{[^}]*white-space: pre-wrap", html)


def test_a_heat_map_holds_the_given_values() -> None:
    html = Report("r").heatmap(["a"], np.array([0.125]), vmax=1.0, unit="sd").html()
    assert "+0.125" in html
    assert "sd: −1" in re.sub("<[^>]*>", "", html)


def test_a_written_report_is_read_back_with_any_character(tmp_path: Path) -> None:
    undecodable = b"caf\xe9".decode("utf-8", "surrogateescape")
    path = Report("é ☃").samples([undecodable]).write(tmp_path / "deep" / "report.html")
    page = path.read_text("utf-8")
    assert "<title>é ☃</title>" in page
    assert "caf\\udce9" in page
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_write_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Report("old").write(tmp_path / "report.html")
    before = path.read_bytes()

    def torn(file: Path, data: bytes) -> None:
        with file.open("wb") as half:
            half.write(data[: len(data) // 2])
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(Path, "write_bytes", torn)
        Report("new").write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_importing_the_report_loads_neither_plotly_nor_torch() -> None:
    code = (
        "import sys, worldscope.report\n"
        "print([name for name in ('plotly', 'torch') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
