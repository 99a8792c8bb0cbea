"""Patterns of names in object stores."""

import pytest

from dclm_spark.crawl.patterns import folder_of, matching

NAMES = ["s3://b/a1.gz", "s3://b/a2.gz", "s3://b/a[1].gz", "s3://b/x/a1.gz", "s3://b/x/y/a9.gz"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("s3://b/*.gz", [0, 1, 2]),
        ("s3://b/a?.gz", [0, 1]),
        ("s3://b/a[1].gz", [0, 2]),
        ("s3://b/a[!1].gz", [1]),
        ("s3://b/a[2-9].gz", [1]),
        ("s3://b/**/a*.gz", [0, 1, 2, 3, 4]),
        ("s3://b/*/a1.gz", [3]),
        ("s3://b/**", [0, 1, 2, 3, 4]),
        ("s3://b/a[9-1].gz", []),
        ("s3://b/a[1.gz", []),
    ],
)
def test_a_pattern_stands_for_the_names_that_shells_find(pattern, found):
    assert matching(pattern, NAMES) == [NAMES[place] for place in found]


def test_the_folder_of_a_pattern_ends_before_its_first_sign():
    assert folder_of("s3://b/x/y*/z.gz") == "s3://b/x"
