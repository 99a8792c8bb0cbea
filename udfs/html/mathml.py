"""Formulas as LaTeX: from annotations, scripts and alternative texts, or from MathML itself."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resiliparse.parse.html import ElementNode

# The form in which Wikipedia writes what it hands to its renderer.
_STYLED = re.compile(r"^\{\\(?:displaystyle|textstyle)\s?(.*)\}$", re.DOTALL)
_DELIMITERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_COMMAND = re.compile(r"\\[a-zA-Z]+|[\^_]\{|[\^_]\w")
_TEX = "application/x-tex"
# Operators and letters that LaTeX has commands for.
_COMMANDS = {
    "\u2264": r"\le", "\u2265": r"\ge", "\u2260": r"\ne", "\u2211": r"\sum", "\u220f": r"\prod",
    "\u222b": r"\int", "\u221e": r"\infty", "\u00d7": r"\times", "\u22c5": r"\cdot",
    "\u00b1": r"\pm", "\u2192": r"\to", "\u2208": r"\in", "\u2202": r"\partial",
    "\u2207": r"\nabla", "\u2212": "-", "\u03b1": r"\alpha", "\u03b2": r"\beta",
    "\u03b3": r"\gamma", "\u03b4": r"\delta", "\u03b5": r"\epsilon", "\u03b8": r"\theta",
    "\u03bb": r"\lambda", "\u03bc": r"\mu", "\u03c0": r"\pi", "\u03c1": r"\rho",
    "\u03c3": r"\sigma", "\u03c6": r"\phi", "\u03c8": r"\psi", "\u03c9": r"\omega",
    "\u0393": r"\Gamma", "\u0394": r"\Delta", "\u03a3": r"\Sigma", "\u03a9": r"\Omega",
    # What stands for "times" and "applied to" and is not seen.
    "\u2061": "", "\u2062": "", "\u2063": "", "\u2064": "",
}  # fmt: skip
# By element: what its children are put into; too few children leave parts empty.
_PATTERNS = {
    "msup": "{0}^{{{1}}}", "msub": "{0}_{{{1}}}", "msubsup": "{0}_{{{1}}}^{{{2}}}",
    "mfrac": r"\frac{{{0}}}{{{1}}}", "mroot": r"\sqrt[{1}]{{{0}}}",
    "munder": "{0}_{{{1}}}", "mover": "{0}^{{{1}}}", "munderover": "{0}_{{{1}}}^{{{2}}}",
}  # fmt: skip
_MOST_DEPTH = 100


def bare_latex(text: str) -> str:
    """Return LaTeX without the delimiters and styles around it."""
    text = text.strip()
    for start, end in _DELIMITERS:
        if len(text) > len(start + end) and text.startswith(start) and text.endswith(end):
            text = text[len(start) : -len(end)].strip()
            break
    styled = _STYLED.match(text)
    return styled[1].strip() if styled else text


def is_latex(text: str) -> bool:
    """Say whether an alternative text is LaTeX: delimited, styled, or with commands in it."""
    bare = bare_latex(text)
    return bool(bare) and (bare != text.strip() or _COMMAND.search(bare) is not None)


def latex_of_math(math: "ElementNode") -> str:
    """Return the LaTeX of a <math> element, "" for one without content."""
    annotation = math.query_selector(f'annotation[encoding="{_TEX}"]')
    if annotation is not None:
        return bare_latex(annotation.text or "")
    if alternative := math.getattr("alttext", ""):
        return bare_latex(alternative)
    return _join(_children(math, 0))


def _children(node: "ElementNode", depth: int) -> list[str]:
    if depth > _MOST_DEPTH:
        return [" ".join((node.text or "").split())]
    return [_latex(one, depth + 1) for one in node.children.values()]


def _latex(node: "ElementNode", depth: int) -> str:
    name = (node.tag or "").rpartition(":")[2]
    if name in ("mi", "mn", "mo", "ms", "mtext", "mspace"):
        return _token(name, " ".join((node.text or "").split()))
    if name.startswith("annotation"):
        return ""
    parts = _children(node, depth)
    if name in _PATTERNS:
        base, *others = parts or [""]
        return _PATTERNS[name].format(_grouped(base, name), *others, *([""] * 2))
    if name == "msqrt":
        return rf"\sqrt{{{_join(parts)}}}"
    if name == "mtable":
        return r"\begin{matrix}" + r" \\ ".join(parts) + r"\end{matrix}"
    if name == "mtr":
        return " & ".join(parts)
    if name == "mfenced":
        inner = (node.getattr("separators") or ",").strip()[:1].join(parts)
        return f"{node.getattr('open', '(')}{inner}{node.getattr('close', ')')}"
    return _join(parts)


def _token(name: str, text: str) -> str:
    if name == "mtext":
        return rf"\text{{{text}}}" if text else ""
    if text in _COMMANDS:
        return _COMMANDS[text]
    # A name of several letters, such as sin.
    return rf"\mathrm{{{text}}}" if name == "mi" and len(text) > 1 else text


def _grouped(base: str, name: str) -> str:
    """Return what an index stands at: in braces where it is more than one thing."""
    if name in ("mfrac", "mroot") or re.fullmatch(r"\\?\w*|\W", base):
        return base
    return f"{{{base}}}"


def _join(parts: list[str]) -> str:
    """Return parts side by side, with a blank where a command would run into a letter."""
    text = ""
    for part in parts:
        runs_on = re.search(r"\\[a-zA-Z]+$", text) and part[:1].isalpha()
        text += f" {part}" if runs_on else part
    return text
