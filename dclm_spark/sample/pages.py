"""HTML around the sample's texts: site layouts with navigation, banners and footers."""

from collections.abc import Sequence
from html import escape
from random import Random

from dclm_spark.sample.prose import alternatives

_MENU = alternatives("Home|About|Archive|Topics|Contact|Search|Members|Latest|Shop|Help|Gallery")
_BANNERS = (
    "We use cookies to make this site work and to count visits. Accept all or change settings.",
    "This website stores small files on your device. Accept Decline Learn more",
    "Subscribe to our newsletter and never miss an article again! Your e-mail address",
)
_FOOTERS = (
    "Copyright 2026 the authors. All rights reserved. Imprint Privacy Terms of use",
    "Powered by a small engine. Follow us. Print this page. Back to top",
    "Made with care in a small town. Privacy policy Cookie settings Sitemap",
)
_TEASERS = alternatives("Popular now|Related pages|Recent comments|You may also like|Tags")
# (opening, closing) of the main content, as different site engines write it.
_CONTENT_LAYOUTS = (
    ("<main><article>", "</article></main>"),
    ('<div id="content"><div class="post">', "</div></div>"),
    ('<main role="main"><div class="entry-content">', "</div></main>"),
    ('<section class="main-content"><article class="story">', "</article></section>"),
)


def paragraph(text: str) -> str:
    """Return `text` as a paragraph: one empty line before and after it in the extracted text."""
    return f"<p>{escape(text, quote=False)}</p>"


def line(text: str) -> str:
    """Return `text` as a block of its own: exactly one line of the extracted text."""
    return f"<div>{escape(text, quote=False)}</div>"


def lines_paragraph(lines: Sequence[str]) -> str:
    """Return a paragraph of several lines, broken by <br>."""
    return "<p>" + "<br>".join(escape(text, quote=False) for text in lines) + "</p>"


def html_page(
    rng: Random,
    *,
    title: str,
    blocks: Sequence[str],
    heading: bool = True,
    meta_charset: str | None = "utf-8",
    language: str = "en",
    chrome: bool = True,
) -> str:
    """Return a whole page whose main content is `blocks` (HTML), below `title` as heading.

    `chrome` adds navigation, a cookie banner, a sidebar and a footer; `meta_charset` None leaves
    the declaration out.
    """
    opening, closing = rng.choice(_CONTENT_LAYOUTS)
    name = escape(title)
    head = f'<meta charset="{meta_charset}">\n' if meta_charset else ""
    body = [opening, f"<h1>{name}</h1>" if heading else "", *blocks, closing]
    if chrome:
        body = [_header(rng), *body, _sidebar(rng), _footer(rng)]
    inner = "\n".join(part for part in body if part)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n{head}<title>{name}</title>\n'
        f'<link rel="stylesheet" href="/style.css">\n{_script(rng)}</head>\n'
        f"<body>\n{inner}\n</body>\n</html>\n"
    )


def _header(rng: Random) -> str:
    links = "".join(
        f'<li><a href="/{item.lower()}">{item}</a></li>' for item in rng.sample(_MENU, 7)
    )
    banner = rng.choice(_BANNERS)
    return (
        f'<header><nav class="menu"><ul>{links}</ul></nav></header>\n'
        f'<div class="cookie-banner" id="cookie-consent"><p>{banner}</p><button>OK</button></div>'
    )


def _sidebar(rng: Random) -> str:
    items = "".join(
        f'<li><a href="/p/{rng.randint(100, 999)}">{rng.choice(_MENU)} {rng.randint(1, 9)}</a></li>'
        for _ in range(rng.randint(4, 12))
    )
    return f'<aside class="sidebar"><h3>{rng.choice(_TEASERS)}</h3><ul>{items}</ul></aside>'


def _footer(rng: Random) -> str:
    return f'<footer id="footer"><p>{rng.choice(_FOOTERS)}</p></footer>'


def _script(rng: Random) -> str:
    """Return styles and a script, the ballast that most pages carry."""
    rules = "".join(
        f".c{number}{{margin:{rng.randint(0, 40)}px;color:#{rng.randrange(0x1000000):06x}}}"
        for number in range(rng.randint(10, 90))
    )
    return f"<style>{rules}</style>\n<script>window.page={{id:{rng.randint(1, 10**9)}}};</script>\n"
