from dataclasses import dataclass

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.settings import from_dict, override, settings_hash, to_dict, to_yaml


@dataclass(frozen=True, kw_only=True)
class Inner:
    count: int = 1
    rate: float = 0.5
    names: tuple[str, ...] = ("a",)
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner()
    extra: Inner | None = None
    name: str = "x"


def test_a_tree_survives_the_way_through_plain_data():
    tree = Outer(inner=Inner(count=3, names=("b", "c")), extra=Inner(limit=2.0))
    assert from_dict(Outer, to_dict(tree)) == tree
    assert "count: 3" in to_yaml(tree)


def test_an_override_reaches_into_the_tree():
    changed = override(Outer(), ["inner.count=7", "inner.rate=1e-3", "inner.names=[p, q]"])
    assert changed.inner == Inner(count=7, rate=0.001, names=("p", "q"))


def test_an_override_can_fill_an_absent_part():
    assert override(Outer(), ["extra.count=4"]).extra == Inner(count=4)


def test_an_unknown_key_names_the_nearest_known_one():
    with pytest.raises(SettingError, match=r"unknown key 'inner.cuont': did you mean 'count'"):
        override(Outer(), ["inner.cuont=7"])


@pytest.mark.parametrize("assignment", ["inner.count=many", "inner.names=3", "inner=3", "name.x=1"])
def test_a_value_of_the_wrong_kind_is_refused(assignment):
    with pytest.raises(SettingError, match=assignment.partition("=")[0].split(".")[0]):
        override(Outer(), [assignment])


def test_the_hash_follows_the_values():
    assert settings_hash(Outer()) == settings_hash(Outer())
    assert settings_hash(Outer()) != settings_hash(Outer(name="y"))
