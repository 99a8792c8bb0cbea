"""Tables, code, lists and formulas of pages as Markdown, to the character; and what is lost."""

import pytest

from udfs.html.extractor import Page, without_counts
from udfs.html.extractors import EXTRACTORS
from udfs.html.structures import markdown_text

PROSE = (
    "This paragraph has more than twenty words so that it counts as one of the page and not as a "
    "piece of its navigation bar, and it is long enough for those who count characters."
)


def text_of(body: str) -> str:
    text, lost = markdown_text(f"<html><body><main><p>{PROSE}</p>{body}</main></body></html>")
    assert lost == [0, 0, 0, 0]
    assert text.startswith(PROSE)
    return text.removeprefix(PROSE).strip("\n")


def test_a_table_of_data_has_pipes_and_a_head():
    rows = "<tr><th>Year<th>A|B<tr><td>1990<td> two <b>words</b><tr><td colspan=2>none</tr>"
    assert text_of(f"<table><caption>Rain</caption>{rows}</table><p>After</p>") == (
        "Rain\n\n| Year | A\\|B |\n| --- | --- |\n| 1990 | two words |\n| none |  |\n\nAfter"
    )


@pytest.mark.parametrize("body", [
    "<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>",
    "<table><tr><td>a<td>b</table>",
    f"<table><tr><td>a<td>b<tr><td>c<td>{PROSE * 4}</table>",
    "<table><tr><td>a<td><h2>b</h2><tr><td>c<td>d</table>",
])  # fmt: skip
def test_a_table_that_lays_out_a_page_has_none(body):
    assert "|" not in text_of(body)


def test_code_keeps_its_lines_and_says_its_language():
    code = '<code class="language-python">def f(x):\n    return x  \n\n# end\n</code>'
    assert text_of(f"<pre>{code}</pre><p>After</p>") == (
        "```python\ndef f(x):\n    return x\n\n# end\n```\n\nAfter"
    )


def test_a_fence_is_longer_than_those_in_the_code_and_line_numbers_are_none_of_it():
    assert text_of("<pre>a\n```\nb</pre>") == "````\na\n```\nb\n````"
    code = "<pre><span class=lineno>1 </span>int a;<br>int b;</pre>"
    assert text_of(f'<div class="highlight-source-c">{code}</div>') == "```c\nint a;\nint b;\n```"


def test_lists_have_marks_numbers_and_depth():
    body = "<ol><li>first<li>second<ul><li>deep</ul></ol>"
    listed = "<div><section><ul><li>one<li><b>two</b></ul></section></div><p>After</p>"
    assert text_of(f"{body}{listed}") == ("1. first\n2. second\n    - deep\n- one\n- two\n\nAfter")


def test_a_list_that_is_taken_for_a_menu_is_counted():
    text, lost = markdown_text(f"<main><ul><li>Home<li>News</ul><p>{PROSE}</p></main>")
    assert (text, lost) == (PROSE, [0, 0, 0, 1])


@pytest.mark.parametrize(("formula", "latex"), [
    ('<math><annotation encoding="application/x-tex">{\\displaystyle x^{2}}</annotation></math>',
     "$x^{2}$"),
    ('<script type="math/tex">a_i</script>', "$a_i$"),
    ('<img class="tex" alt="\\frac{a}{b}">', "$\\frac{a}{b}$"),
    ('<span class="mwe-math-element"><span style="display:none"><math><annotation '
     'encoding="application/x-tex">{\\displaystyle E=mc^{2}}</annotation></math></span>'
     '<img class="mwe-math-fallback-image-inline" alt="{\\displaystyle E=mc^{2}}"></span>',
     "$E=mc^{2}$"),
    ('<span class="katex"><span class="katex-mathml"><math>'
     '<annotation encoding="application/x-tex">\\alpha</annotation></math></span>'
     '<span class="katex-html" aria-hidden>α</span></span>',
     "$\\alpha$"),
    ('<span class="MathJax"><nobr>x y</nobr></span><script type="math/tex">x+y</script>', "$x+y$"),
    ("<math><mfrac><mn>1</mn><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>",
     "$\\frac{1}{n+1}$"),
    ("<math><msqrt><msup><mi>x</mi><mn>2</mn></msup></msqrt><mo>≤</mo><mi>α</mi><mi>y</mi></math>",
     "$\\sqrt{x^{2}}\\le\\alpha y$"),
    ("<math><munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>"
     "<msub><mi>a</mi><mi>i</mi></msub></math>", "$\\sum_{i=1}^{n}a_{i}$"),
])  # fmt: skip
def test_a_formula_is_latex_in_its_sentence(formula, latex):
    assert text_of(f"<p>Let {formula} hold.</p>") == f"Let {latex} hold."


def test_a_formula_on_display_stands_alone():
    body = '<p>So</p><script type="math/tex; mode=display">\\int f</script><p>holds.</p>'
    assert text_of(body) == "So\n\n$$\\int f$$\n\nholds."


def test_a_picture_whose_alternative_text_is_prose_stays_what_it_was():
    assert "$" not in text_of('<p>See <img class="tex" alt="a photo"> here.</p>')


def test_a_formula_in_a_table_is_in_its_cell():
    body = '<table><tr><th>f<th>g<tr><td><script type="math/tex">x|y</script><td>1</table>'
    assert text_of(body) == "| f | g |\n| --- | --- |\n| $x\\|y$ | 1 |"


def test_what_the_main_content_leaves_out_is_counted():
    table = "<table><tr><td>a<td>b<tr><td>c<td>d</table>"
    html = f"<nav>{table}<pre>x</pre></nav><main><p>{PROSE}</p>{table}</main>"
    text, lost = markdown_text(html)
    assert text.count("| --- |") == 1
    assert lost == [1, 1, 0, 0]


def test_a_page_with_our_own_marks_is_no_trouble():
    text, lost = markdown_text(f"<main><p>{PROSE} \ue0f00\ue0f1 and \ue0f077\ue0f1</p></main>")
    assert text == f"{PROSE} and" or PROSE in text
    assert lost == [0, 0, 0, 0]


def test_the_counts_follow_the_text_on_its_way():
    view = EXTRACTORS["resiliparse_markdown"].load()
    html = f"<main><p>{PROSE}</p></main><nav><pre>code</pre></nav>"
    assert without_counts(view(Page(html)).encode()) == (PROSE.encode(), [0, 1, 0, 0])


def test_lines_of_a_cell_are_words_apart_and_its_styles_are_no_text():
    table = (
        "<table><tr><th>City<th>Where</tr>"
        "<tr><td>Paris<br>France<td><style>.a{color:red}</style><p>north</p><p>west</p></tr></table>"
    )
    assert text_of(table).splitlines()[-1] == "| Paris France | north west |"


def test_a_drawn_formula_without_a_source_stays():
    drawn = '<p>Let <span class="MathJax">x + y</span> be even, as is said above.</p>'
    assert "x + y" in text_of(drawn)
