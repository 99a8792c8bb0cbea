"""The report: complete, self-contained, and safe to open whatever the pages say."""

import base64
import hashlib
import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest

from dclm_spark.html_pages.charts import differences
from dclm_spark.html_pages.quantities import bytes_text, duration_text, share_text
from dclm_spark.report.page import headline, render_report, write_report
from dclm_spark.report.summary import (
    BandSummary,
    DedupPrecision,
    DedupSummary,
    DomainCount,
    DuplicatePair,
    FunnelStep,
    Histogram,
    InformationLoss,
    LanguageCount,
    Limit,
    RuleCount,
    RunSummary,
    SamplePage,
    ShardSummary,
    StageSummary,
)

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;<a href='javascript:x'>"


def example_summary(text="A page about bridges.\nIts second line."):
    documents = StageSummary(
        name="documents",
        documents_in=2012,
        kept=1208,
        dropped=734,
        quarantined=70,
        text_bytes_kept=5_200_000,
        seconds=21.4,
        task_seconds=40.5,
        cpu_seconds=38.0,
        bytes_in=13_100_000,
        rules={"language": 228},
    )
    later = replace(documents, documents_in=1208, quarantined=0, seconds=3.1, bytes_in=None)
    return RunSummary(
        title="Curation run",
        recipe_name="sample",
        recipe_hash="3f2a9c" * 8,
        recipe_yaml="name: sample\nquality:\n  top: 0.5\n",
        versions={"python": "3.11.2", "pyspark": "4.0.1", "resiliparse": "0.16.0"},
        commit="d6850f0",
        started="2026-01-01 10:00:00 UTC",
        seconds=205,
        documents_in=2012,
        kept=902,
        dropped=1040,
        quarantined=70,
        stages=(
            documents,
            replace(later, name="deduplicate", kept=1100, dropped=108, text_bytes_kept=4_600_000),
            replace(later, name="select", documents_in=1100, kept=902, dropped=198),
        ),
        funnel=(
            FunnelStep(label="records read", documents=2012, text_bytes=7_000_000),
            FunnelStep(label="reading and extraction", documents=1942, text_bytes=6_900_000),
            FunnelStep(label="url_domain", documents=1939, text_bytes=6_890_000),
            FunnelStep(label="language", documents=1711, text_bytes=6_100_000),
            FunnelStep(label="bullet_lines", documents=1711, text_bytes=6_100_000),
            FunnelStep(label="deduplicate", documents=1100, text_bytes=4_600_000),
            FunnelStep(label="select", documents=902, text_bytes=4_100_000, tokens=1_204_221),
        ),
        rules=(
            RuleCount(
                stage="documents",
                rule="language",
                documents=228,
                threshold=0.65,
                description="the likeliest language and its probability",
                limits=(Limit(side="minimum", value=0.65),),
            ),
            RuleCount(stage="select", rule="quality_score", documents=198, threshold=0.018112),
            RuleCount(
                stage="documents",
                rule="damaged_file",
                documents=3,
                fate="quarantined",
                advice="fetch it",
            ),
        ),
        languages=(
            LanguageCount(language="en", documents=1600, kept=902),
            LanguageCount(language="de", documents=23, kept=0),
        ),
        domains=(
            DomainCount(domain="kestrel-notes.example", documents=31, kept=20, text_bytes_kept=9),
            DomainCount(domain="willow-journal.example", documents=12, kept=3),
        ),
        histograms=(
            Histogram(
                name="quality_score",
                edges=(0, 0.001, 0.01, 0.1, 0.5, 0.9, 1.0),
                counts=(40, 30, 10, 5, 60, 300),
                stage="select",
                kept=(0, 0, 2, 5, 60, 300),
                limits=(Limit(side="minimum", value=0.018112),),
            ),
            Histogram(
                name="language_score",
                edges=tuple(n / 20 for n in range(21)),
                counts=tuple(range(20)),
                limits=(Limit(side="minimum", value=0.65),),
            ),
        ),
        samples=(
            SamplePage(
                rule="language",
                url="https://x.example/a",
                value=0.31,
                threshold=0.65,
                text=text,
                limit_side="minimum",
                doc_id="5f" * 16,
                warc_path="crawl/a.warc.gz",
                warc_offset=4711,
                language="de",
                charset="iso-8859-1",
                charset_source="http",
            ),
            SamplePage(rule="damaged_file", url="", error="the gzip member is cut off"),
        ),
        duplicates=(
            DuplicatePair(
                kind="n-gram",
                similarity=0.91,
                left_url="https://x.example/1",
                left_text=text,
                right_url="https://x.example/2",
                right_text=text + " More.",
            ),
        ),
        deduplication=DedupSummary(
            method="global",
            mode="remove",
            documents_removed=31,
            documents_shortened=12,
            paragraphs_removed=44,
            text_bytes_removed=81_000,
            tokens_removed=20_400,
            tokens_new=1_204_221,
            earlier=("s3://bucket/april",),
            precision=(
                DedupPrecision(
                    rule="near_duplicate",
                    measure="Jaccard",
                    threshold=0.8,
                    sampled=50,
                    right=49,
                    low=0.895,
                    high=0.996,
                ),
            ),
            clusters=(("near_duplicate", 2, 9),),
            domains=(DomainCount(domain="copies.example", documents=9, kept=2),),
            losses=(
                InformationLoss(
                    measure="13-grams",
                    group="",
                    name="",
                    total=90_000,
                    lost=270,
                    share=0.003,
                    low=0.0027,
                    high=0.0034,
                    by_component=0.05,
                ),
            ),
            losses_sampled_one_in=64,
            bands=BandSummary(
                bands=93, rows=15, threshold=0.8, recall=0.964, curve=((0.0, 0.0), (1.0, 1.0))
            ),
        ),
        record_types={"response": 2004, "request": 2012, "warcinfo": 6, "metadata": 2011},
        shards=ShardSummary(
            shards=9,
            sequences=4700,
            sequence_length=256,
            tokens=1_204_221,
            padding_tokens=120,
            bytes=2_400_000,
            tokenizer="2c8d",
            fingerprint="91aa0c",
        ),
    )


def poisoned(value):
    """Return a summary all of whose texts are an attack."""
    if isinstance(value, str):
        return ATTACK
    if isinstance(value, tuple):
        return tuple(poisoned(part) for part in value)
    if isinstance(value, dict):
        return {poisoned(key): poisoned(part) for key, part in value.items()}
    if is_dataclass(value):
        changes = {part.name: poisoned(getattr(value, part.name)) for part in fields(value)}
        return replace(value, **changes)
    return value


class Elements(HTMLParser):
    """Collects the tags and attributes of a document and checks that tags are closed."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def elements(html):
    parser = Elements()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def test_the_headline_says_kept_tokens_and_balance():
    assert headline(example_summary()) == (
        "902 of 2,012 records kept (44.8 %), 1,204,221 tokens, books balanced"
    )


def test_books_that_do_not_balance_are_shouted():
    html = render_report(replace(example_summary(), kept=903))
    assert "the books do not balance" in html
    assert 'class="balance broken"' in html


def test_a_stage_that_does_not_balance_is_named():
    summary = example_summary()
    stages = (replace(summary.stages[0], dropped=1), *summary.stages[1:])
    html = render_report(replace(summary, stages=stages))
    assert "unbalanced stages: documents" in html


def test_no_text_of_a_page_becomes_markup():
    plain, attacked = (
        elements(render_report(example_summary())),
        elements(render_report(poisoned(example_summary()))),
    )
    assert attacked.tags <= plain.tags
    assert attacked.attributes <= plain.attributes
    assert not {"img", "iframe", "link", "object"} & attacked.tags
    # The one script is that of all pages.
    assert render_report(poisoned(example_summary())).count("<script") == 1
    assert not any(name.startswith("on") for name in attacked.attributes)


def test_the_report_needs_no_other_file():
    html = render_report(example_summary())
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "url(" not in html
    assert "@import" not in html


def test_the_policy_forbids_everything_but_the_style_sheet_and_the_script():
    html = render_report(example_summary())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    script = re.search("<script>(.*)</script>", html, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe-inline" not in policy
    assert "style" not in elements(html).attributes


def test_every_section_has_its_figures():
    html = render_report(example_summary())
    for anchor in ("funnel", "rules", "samples", "scores", "languages", "domains", "duplicates"):
        assert f'<section id="{anchor}">' in html
    for text in ("−228", "quality_score", "kestrel-notes.example", "0.65", "A page about bridges."):
        assert text in html


def test_rules_are_sorted_by_what_they_removed():
    html = render_report(example_summary())
    section = html[html.index('id="rules"') : html.index('id="samples"')]
    names = re.findall(r"<code>(\w+)</code>", section)
    assert names == ["language", "quality_score", "damaged_file"]


def test_a_run_with_nothing_in_it_still_has_a_report():
    empty = replace(
        example_summary(),
        **{name: () for name in ("stages", "funnel", "rules", "languages", "domains")},
        **{name: () for name in ("histograms", "samples", "duplicates")},
        **dict.fromkeys(("documents_in", "kept", "dropped", "quarantined"), 0),
        record_types={},
        shards=None,
    )
    html = render_report(empty)
    elements(html)
    assert "0 of 0 records kept" in html
    assert 'id="rules"' not in html


def test_long_texts_are_cut():
    html = render_report(example_summary("word " * 5000))
    assert len(html) < 70_000
    assert "[…]" in html


def test_the_threshold_is_drawn_where_it_lies_among_uneven_bins():
    html = render_report(example_summary())
    # 0.018112 lies 9 % into the third of six bins, so at 2.09 / 6 of 320.
    x = float(re.search(r'class="threshold" x1="([\d.]+)"', html).group(1))
    assert x == pytest.approx(320 * (2 + 0.008112 / 0.09) / 6, abs=0.01)


def test_write_report_writes_utf_8(tmp_path):
    write_report(example_summary("naïve 東京"), str(tmp_path / "report.html"))
    assert "naïve 東京" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (4_600_000, "4.6 MB"), (None, "–")]
)
def test_sizes_read_well(value, text):
    assert bytes_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "0.8 s"),
        (59.2, "59 s"),
        (59.9, "1 min 0 s"),
        (205, "3 min 25 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations_read_well(seconds, text):
    assert duration_text(seconds) == text


def test_shares_keep_their_small_digits():
    assert [share_text(1, 3), share_text(1, 3000), share_text(0, 3), share_text(0, 0)] == [
        "33.3 %",
        "0.033 %",
        "0.0 %",
        "–",
    ]


def test_the_report_says_how_much_deduplication_removed_and_how_sure_that_is():
    page = render_report(example_summary())
    for shown in ("about 20,400", "98.0 %", "90 to 100 %", "2 to 3", "copies.example"):
        assert shown in page
    assert "1,204,221 that these do not hold" in page


def test_dropped_documents_stand_red_on_the_kept_ones_whatever_side_of_a_limit_they_are_on():
    html = render_report(example_summary())
    # Of ten in the third bin, which lies right of the minimum in part, two were kept.
    assert "0.01 to 0.1: 10, 2 kept, 8 not" in html
    chart = html[html.index('aria-label="quality_score"') :]
    bars = re.findall(r'class="(kept|lost)" x="106.67" y="([\d.]+)" .*? height="([\d.]+)"', chart)
    # 300 documents are 110 high; too small a bar is drawn 1 high.
    assert bars == [("kept", "109.00", "1.00"), ("lost", "106.07", "2.93")]


def test_every_limit_is_drawn_and_says_its_side():
    summary = example_summary()
    limits = (Limit(side="minimum", value=0.1), Limit(side="maximum", value=0.9))
    html = render_report(
        replace(summary, histograms=(replace(summary.histograms[0], limits=limits),))
    )
    assert html.count('class="threshold"') == 3  # Two here, one of the chances of bands.
    assert ">minimum 0.1</text>" in html
    assert ">maximum 0.9</text>" in html


def test_a_sample_says_where_it_is_from_and_which_limit_it_broke():
    html = render_report(example_summary())
    assert "value 0.31 · minimum 0.65 · language de · charset iso-8859-1 by http" in html
    assert f"id <code>{'5f' * 16}</code> · crawl/a.warc.gz · offset 4711" in html
    assert "What to do: fetch it." in html


def test_a_rule_is_explained_where_the_pointer_rests_on_its_name():
    told = 'title="the likeliest language and its probability"><code>language</code>'
    section = render_report(example_summary()).split('id="samples"')[0]
    assert told in section


def test_wall_time_and_the_time_of_tasks_are_told_apart():
    section = render_report(example_summary()).split('id="stages"')[1]
    row = section[section.index("<td>documents") : section.index("<td>deduplicate")]
    assert [text in row for text in (">21 s<", ">40 s<", ">38 s<")] == [True] * 3


def test_differences_of_pairs_are_drawn_with_the_line_of_no_difference():
    pairs = [{"first": "a", "second": "b<", "difference": 0.2, "low": -0.1, "high": 0.3}]
    drawn = str(differences(pairs))
    assert "a - b&lt;" in drawn
    # Zero lies a quarter into the plot, which is 500 wide and begins at 200; the mean three.
    assert re.search(r'class="zero" x1="325.0"', drawn)
    assert re.search(r'class="point" cx="575.0"', drawn)
    assert differences([]) == ""


def test_files_that_were_lost_are_listed_as_text():
    said = "in/<b>.jsonl: no document could be read; damaged_file at 0: <script>"
    page = render_report(replace(example_summary(), lost_files=(said,)))
    assert "Input files that gave no document" in page
    assert "<li>in/&lt;b&gt;.jsonl: no document could be read" in page
    assert "Input files that gave no document" not in render_report(example_summary())
