"""Lists of what is to be removed, as editors save them."""

from pathlib import Path

import pytest

from dclm_spark.errors import InputError
from dclm_spark.removal.lists import read_list


def test_a_mark_before_the_first_line_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_bytes("\ufeffGone.example\r\n".encode())
    assert read_list("domain", str(path)) == ["gone.example"]


def test_a_list_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_bytes("gone.example".encode("utf-16"))
    with pytest.raises(InputError, match=r"domains\.txt: not UTF-8 .*save the list"):
        read_list("domain", str(path))


def test_a_list_that_is_not_there_is_named_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--domains .*none\.txt: .*of one domain a line"):
        read_list("domain", str(tmp_path / "none.txt"))


def test_what_follows_a_mark_is_a_comment_and_a_fragment_is_none(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# of May\nGone.example. # asked on 3 May\n\n  #none\n")
    assert read_list("domain", str(path)) == ["gone.example"]
    path.write_text("https://a.example/page#part # asked\n")
    assert read_list("url", str(path)) == ["https://a.example/page#part"]


@pytest.mark.parametrize(
    "line", ["*.gone.example", "gone.example:443", "gone.example,", '"gone.example"', "gone"]
)
def test_a_line_that_could_name_no_host_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"line 1: .* is not a name such as"):
        read_list("domain", str(path))


def test_a_domain_in_unicode_is_the_one_that_browsers_ask_for(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_text("Fa\u00df.example\n", encoding="utf-8")
    assert read_list("domain", str(path)) == ["xn--fa-hia.example"]
