"""Building a report from text, tables, figures and coloured text.

Everything that is given to a report is text or data and is escaped: there is no way to pass HTML
in. A second guard is the page's own policy (`worldscope.report.page`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from worldscope.report.page import as_json, drawing_scripts, render_page
from worldscope.report.tables import format_fact, render_table
from worldscope.runs import replacing

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DEFAULT_HEIGHT = 420


class Report:
    """A report, built from top to bottom and then written.

    report = Report("The sentiment unit").section("Decoding").table(run.measurements)
    report.figure(figure, caption="Held-out films.").write(run.report_path)
    """

    def __init__(self, title: str, *, subtitle: str | None = None):
        self._title = title
        self._subtitle = subtitle
        self._sections: list[str] = []
        self._body: list[str] = []
        self._definitions = ""
        self._n_figures = 0

    def section(self, heading: str) -> "Report":
        """Begin a section; its heading enters the table of contents."""
        self._sections.append(heading)
        return self._put(f'<h2 id="section-{len(self._sections)}">{escape(heading)}</h2>')

    def paragraph(self, text: str) -> "Report":
        """Add a paragraph."""
        return self._put(f"<p>{escape(text)}</p>")

    def facts(self, facts: Mapping[str, object]) -> "Report":
        """Add a list of named facts, such as a run's seed and commit."""
        return self._put(_described({name: format_fact(fact) for name, fact in facts.items()}))

    def table(self, table: pd.DataFrame, *, caption: str | None = None) -> "Report":
        """Add a table without its index. Columns value, low and high become 0.81 [0.79, 0.83]."""
        return self._put(_captioned(render_table(table), caption))

    def figure(self, figure: "go.Figure", *, caption: str | None = None) -> "Report":
        """Add a plotly figure."""
        content = json.loads(str(figure.to_json()))
        content["layout"].pop("template", None)  # the page has one for light and one for dark
        height = int(content["layout"].get("height") or _DEFAULT_HEIGHT)
        self._n_figures += 1
        name = f"figure-{self._n_figures}"
        return self._put(
            _captioned(
                f'<div class="plot" id="{name}" style="height:{height}px"></div>'
                f'<script type="application/json" id="{name}-data">{as_json(content)}</script>',
                caption,
            )
        )

    def samples(self, texts: Iterable[str], *, caption: str | None = None) -> "Report":
        """Add samples of text, with their spaces and line ends; folded under a caption."""
        blocks = "".join(f'<div class="sample">{escape(text)}</div>' for text in texts)
        if caption is None:
            return self._put(blocks)
        return self._put(f"<details><summary>{escape(caption)}</summary>{blocks}</details>")

    def heatmap(
        self,
        pieces: Sequence[str | bytes],
        values: Sequence[float] | np.ndarray,
        *,
        vmax: float | None = None,
        unit: str = "activation",
        title: str | None = None,
    ) -> "Report":
        """Add text coloured by a value for each piece: see `worldscope.figures.text_heatmap`."""
        from worldscope.figures import text_heatmap

        return self._put(text_heatmap(pieces, values, vmax=vmax, unit=unit, title=title))

    def definitions(self, terms: Mapping[str, str]) -> "Report":
        """Say at the end of the report what its words mean."""
        heading = '<h2 id="definitions">Definitions</h2>'
        self._definitions = f"<footer>{heading}{_described(terms)}</footer>"
        return self

    def html(self) -> str:
        """The whole report as one HTML page."""
        return render_page(
            title=self._title,
            subtitle=self._subtitle,
            contents=self._contents(),
            body="\n".join([*self._body, self._definitions]),
            scripts=drawing_scripts() if self._n_figures else [],
        )

    def write(self, path: Path | str) -> Path:
        """Write the report as one file, replacing an earlier one as a whole."""
        path = Path(path)
        page = self.html().encode("utf-8", "backslashreplace")  # half a surrogate pair in a sample
        with replacing(path) as temporary:
            temporary.write_bytes(page)
        return path

    def _put(self, html: str) -> "Report":
        self._body.append(html)
        return self

    def _contents(self) -> dict[str, str]:
        """Anchors and headings."""
        contents = {f"section-{i}": text for i, text in enumerate(self._sections, start=1)}
        return contents | ({"definitions": "Definitions"} if self._definitions else {})


def _captioned(html: str, caption: str | None) -> str:
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{html}{below}</figure>"


def _described(terms: Mapping[str, str]) -> str:
    lines = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in terms.items()
    )
    return f"<dl>{lines}</dl>"
