"""Figures that move, in the built pages.

Sphinx extension of this book alone. A stored Vega-Lite output becomes a still picture, for print
and for readers without scripts, and beside it the specification, from which `charts.js` makes the
live chart. The Vega libraries are written once for the site, out of an installed package, and
loaded by the pages that have a chart.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import vl_convert
from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer, load_mime_renders
from sphinx.application import Sphinx

from flowtutorial.interactive import MIME, VEGA_LITE, still

BUNDLE = "vega/vega-bundle.js"
NAMES = "window.vegaEmbed = vegaEmbed;"


def as_script(spec: dict[str, Any]) -> str:
    """Return a specification as a script element that does nothing by itself."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    safe = text.replace("<", "\\u003c")
    return f'<script type="application/json">{safe}</script>'


class VegaLite:
    """Renders stored Vega-Lite outputs, for myst-nb."""

    mime_priority_overrides = (("html", MIME, 1),)

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the nodes of a chart, or None for what is not one."""
        if inline or data.mime_type != MIME:
            return None
        spec = data.content if isinstance(data.content, dict) else json.loads(data.string)
        picture = still(spec, "svg")
        name = f"{hashlib.sha256(picture).hexdigest()}.svg"
        uri = renderer.write_file([name], picture, exists_ok=True)
        image = nodes.image(uri=uri, alt=spec["description"], classes=["chart-still"])
        script = nodes.raw(text=as_script(spec), format="html")
        return [nodes.container("", image, script, classes=["chart"])]


def write_bundle(app: Sphinx) -> None:
    """Write the Vega libraries to `_static/vega`, all their other names hidden from the page."""
    if app.builder.format != "html":
        return
    code = vl_convert.javascript_bundle(NAMES, vl_version=VEGA_LITE)
    notice = "/* Licences: see licenses/vega.txt */"
    target = Path(app.outdir) / "_static" / BUNDLE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{notice}\n(() => {{\n{code}\n}})();\n", encoding="utf-8")


def load_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Load scripts and style on pages that have a chart."""
    if doctree is None or not any(
        "chart" in c["classes"] for c in doctree.findall(nodes.container)
    ):
        return
    app.add_css_file("charts.css")
    app.add_js_file(BUNDLE, loading_method="defer")
    app.add_js_file("charts.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    known = load_mime_renders()  # myst-nb reads its entry points once and keeps this list
    if VegaLite not in known:
        known.append(VegaLite)
    app.connect("builder-inited", write_bundle)
    app.connect("html-page-context", load_where_needed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
