"""The report in a real browser: widths, colours, print, and the script that sorts and searches."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dclm_spark.report.page import render_report
from tests.dclm_spark.report.test_page import example_summary

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# What the test's own script finds out, written into the title of the page around the report.
PROBE = """
<iframe src="report.html" style="width:{width}px;height:900px;border:0"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const inside = document.querySelector("iframe").contentDocument;
  const said = document.getElementById("found");
  const tell = (name, value) => said.textContent += `${{name}}=${{value}};`;
  const bars = [...inside.querySelectorAll("#funnel svg.bar")];
  tell("bars", bars.filter((bar) => bar.getBoundingClientRect().width >= 90).length);
  tell("wide", inside.documentElement.scrollWidth <= {width});
  const heads = [...inside.querySelectorAll("#rules th")];
  const first = () => inside.querySelector("#rules tbody code").textContent;
  const documents = heads.find((head) => head.textContent === "Documents");
  documents.click(); tell("most", first());
  documents.click(); tell("least", first());
  tell("paper", getComputedStyle(inside.body).backgroundColor);
}});
</script>
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "report.html").write_text(render_report(example_summary()))
    return folder


def found(folder: Path, width: int, *flags: str) -> dict[str, str]:
    (folder / "probe.html").write_text(PROBE.format(width=width))
    shown = chromium(folder, "--allow-file-access-from-files", "--dump-dom", *flags, "probe.html")
    told = re.search(r'<pre id="found">(.*?)</pre>', shown).group(1)
    return dict(part.split("=") for part in told.strip(";").split(";"))


def chromium(folder: Path, *arguments: str) -> str:
    *flags, page = arguments
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [CHROMIUM, *FLAGS, profile, *flags, f"file://{folder / page}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("width", [400, 1280])
def test_bars_can_be_seen_and_nothing_is_cut_off_at_this_width(folder, width):
    """Slow: a browser is started."""
    told = found(folder, width)
    assert int(told["bars"]) == len(example_summary().funnel)
    assert told["wide"] == "true"


def test_a_column_is_sorted_by_its_numbers_both_ways(folder):
    told = found(folder, 1280)
    assert (told["most"], told["least"]) == ("language", "damaged_file")


def test_colours_follow_the_reader(folder):
    assert found(folder, 1280)["paper"] == "rgb(255, 255, 255)"
    dark = found(folder, 1280, "--blink-settings=preferredColorScheme=0")
    assert dark["paper"] == "rgb(18, 22, 29)"


def test_it_can_be_printed(folder):
    chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={folder / 'a.pdf'}", "report.html")
    assert (folder / "a.pdf").read_bytes().startswith(b"%PDF")
