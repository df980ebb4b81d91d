"""The page of a report: its style, its scripts and what a browser may do with it."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --ink: #24282d; --soft: #5c646c; --rule: #d9dde1;
  --paper: #ffffff; --raised: #f5f6f8; --link: #005a8d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --soft: #a3abb3; --rule: #3a3f45; --paper: #16191d; --raised: #1f2328;
    --link: #7cc0ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 54rem; background: var(--paper);
  color: var(--ink); font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", "Liberation Sans",
  Arial, sans-serif; overflow-wrap: break-word; }
p, dl, nav { max-width: 44rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .8rem; padding-top: 1rem;
  border-top: 1px solid var(--rule); }
a { color: var(--link); }
.subtitle { color: var(--soft); margin-top: 0; }
nav { margin: 2rem 0; padding: .8rem 1.2rem; background: var(--raised); border-radius: 6px; }
nav ol { margin: 0; padding-left: 1.4rem; }
figure { margin: 1.5rem 0; }
figcaption { color: var(--soft); font-size: .9rem; line-height: 1.45; margin-top: .5rem;
  max-width: 44rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.4; min-width: 50%; }
th, td { text-align: left; vertical-align: baseline; padding: .35rem 1rem .35rem 0; }
th { border-bottom: 2px solid var(--rule); font-weight: 600; }
td { border-bottom: 1px solid var(--rule); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.sample { margin: .6rem 0; padding: .7rem 1rem; background: var(--raised); border-radius: 6px;
  border-left: 3px solid var(--rule); font: .875rem/1.6 ui-monospace, "DejaVu Sans Mono", Menlo,
  Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .3rem 0; }
dl { display: grid; grid-template-columns: minmax(8rem, auto) 1fr; gap: .35rem 1.2rem;
  font-size: .95rem; line-height: 1.45; }
dt { font-weight: 600; }
dd { margin: 0; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2 { break-after: avoid; }
  tr, .sample, .plot { break-inside: avoid; }
  .wide { overflow: visible; }
  .modebar-container { display: none; }
}
"""

# Drawn again when the page turns dark or light, and at the width of a sheet when it is printed.
_DRAW = """
const looks = LOOKS;
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw(width) {
  for (const plot of document.querySelectorAll(".plot")) {
    const {data, layout} = JSON.parse(document.getElementById(plot.id + "-data").textContent);
    layout.template = looks[dark.matches && !width ? "dark" : "light"];
    if (width) layout.width = width;
    Plotly.react(plot, data, layout, CONFIG);
  }
}
dark.addEventListener("change", () => draw());
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  draw(680);
});
addEventListener("afterprint", () => draw());
draw();
"""


def render_page(
    *,
    title: str,
    subtitle: str | None,
    contents: Mapping[str, str],
    body: str,
    scripts: Sequence[str],
) -> str:
    """A whole HTML page around `body`, which is HTML; the title and contents are plain text.

    Args:
        contents: The anchors in `body` and their headings; listed when there is more than one.
        scripts: Run in order at the end of the page; no other script can run.
    """
    below = f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else ""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{escape(title)}</h1>{below}</header>",
            _table_of_contents(contents),
            f"<main>{body}</main>",
            *(f"<script>{script}</script>" for script in scripts),
            "</body>",
            "</html>",
        ]
    )


def drawing_scripts() -> list[str]:
    """Plotly's own script and the few lines that draw a page's figures with it."""
    from plotly.offline import get_plotlyjs

    from worldscope.figures import CONFIG, template

    looks = {
        "light": template().to_plotly_json(),
        "dark": template(dark=True).to_plotly_json(),
    }
    draw = _DRAW.replace("LOOKS", as_json(looks)).replace("CONFIG", as_json(CONFIG))
    return [get_plotlyjs(), draw]


def as_json(value: Any) -> str:
    """JSON that can stand inside a script element, whatever its strings hold."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def _table_of_contents(contents: Mapping[str, str]) -> str:
    if len(contents) < 2:
        return ""
    lines = "".join(
        f'<li><a href="#{anchor}">{escape(heading)}</a></li>'
        for anchor, heading in contents.items()
    )
    return f'<nav aria-label="Contents"><ol>{lines}</ol></nav>'


def _policy(scripts: Sequence[str]) -> str:
    """Let the browser run exactly these scripts and load nothing from anywhere.

    'unsafe-eval' is for plotly's WebGL traces, which compile their own code.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    allowed = " ".join([*hashes, "'unsafe-eval'"]) if hashes else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
