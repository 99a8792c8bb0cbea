"""HTML pages from the templates of this folder; all text from data is escaped."""

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dclm_spark.html_pages import charts, curves, quantities


def render(template: str, **values: Any) -> str:
    """Return the page of a template, such as `report.html`; an unknown name in it is an error."""
    page = _environment().get_template(template)
    return page.render(
        style=_source("style.css"), script=_source("tables.js"), policy=_policy(), **values
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dclm_spark.html_pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": quantities.count_text,
        "share": quantities.share_text,
        "size": quantities.bytes_text,
        "duration": quantities.duration_text,
        "value": quantities.value_text,
        "rate": quantities.rate_text,
        "fixed": quantities.fixed_text,
        "limits": quantities.limits_text,
    }
    environment.globals |= {
        "bar": charts.bar,
        "histogram": charts.histogram,
        "intervals": charts.intervals,
        "differences": charts.differences,
        "loss_curve": curves.loss_curve,
        "chance_curve": curves.chance_curve,
    }
    return environment


@cache
def _source(name: str) -> Markup:
    """Return the style sheet or the script of all pages, as it is."""
    loader = _environment().loader
    assert loader is not None
    return Markup(loader.get_source(_environment(), name)[0])


def _policy() -> Markup:
    """Return a policy that forbids everything but this style sheet and this script."""
    style, script = (_digest(name) for name in ("style.css", "tables.js"))
    return Markup(
        f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; "
        "form-action 'none'"
    )


def _digest(name: str) -> str:
    digest = hashlib.sha256(_source(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
