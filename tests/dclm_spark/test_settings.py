from dataclasses import dataclass, field

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.recipes import RECIPES, load_recipe
from dclm_spark.recipes.recipe import Recipe, recipe_hash
from dclm_spark.settings import (
    FileReference,
    from_dict,
    keys,
    merge,
    override,
    read,
    save,
    settings_hash,
    to_dict,
    to_yaml,
)
from udfs.checks import FRACTION, check


@dataclass(frozen=True, kw_only=True)
class Inner:
    count: int = 1
    rate: float = 0.5
    names: tuple[str, ...] = ("a",)
    limit: float | None = None
    on: bool = True

    def __post_init__(self):
        check(self, rate=FRACTION)


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner()
    extra: Inner | None = None
    name: str = "x"
    title: str | None = None
    file: FileReference | None = None
    default: FileReference = field(default_factory=lambda: FileReference(uri="a", sha256="0" * 64))


def test_a_tree_survives_the_way_through_plain_data():
    tree = Outer(inner=Inner(count=3, names=("b", "c")), extra=Inner(limit=2.0))
    assert from_dict(Outer, to_dict(tree)) == tree
    assert "count: 3" in to_yaml(tree)


@pytest.mark.parametrize(
    "text", ["no", "1e-3", "null", "", "a: b", "s3://b/a #b", "07", "~", "it's"]
)
def test_any_text_survives_the_way_through_a_file(text, tmp_path):
    save(Outer(name=text), tmp_path / "settings.yaml")
    assert read(Outer, tmp_path / "settings.yaml") == Outer(name=text)


def test_an_override_reaches_into_the_tree():
    changed = override(Outer(), ["inner.count=7", "inner.rate=1e-3", "inner.names=[p, q]"])
    assert changed.inner == Inner(count=7, rate=0.001, names=("p", "q"))


def test_an_override_can_fill_an_absent_part():
    assert override(Outer(), ["extra.count=4"]).extra == Inner(count=4)


@pytest.mark.parametrize("text", ["no", "1e-3", "s3://bucket/a #b", "a: b", "[x", "07"])
def test_a_text_is_taken_as_it_was_typed(text):
    assert override(Outer(), [f"name={text}"]).name == text


def test_quotes_and_null_keep_their_meaning():
    assert override(Outer(), ["name='a b'", "title=null"]) == Outer(name="a b")


@pytest.mark.parametrize("word", ["no", "off", "false"])
def test_a_switch_takes_the_usual_words(word):
    assert override(Outer(), [f"inner.on={word}"]).inner.on is False


def test_a_new_file_drops_the_checksum_of_the_old_one():
    assert override(Outer(), ["default.uri=b"]).default == FileReference(uri="b")
    both = ["default.sha256=" + "1" * 64, "default.uri=b"]
    assert override(Outer(), both).default == FileReference(uri="b", sha256="1" * 64)
    assert merge(Outer(), {"default": "b"}).default == FileReference(uri="b")


def test_keys_are_dotted():
    assert keys(Inner()) == ["count", "rate", "names", "limit", "on"]
    assert {"inner.count", "default.uri", "name"} <= set(keys(Outer()))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("inner.cuont=7", r"unknown key 'inner\.cuont': did you mean inner\.count\?"),
        ("rte=7", r"unknown key 'rte': did you mean inner\.rate\?"),
        ("count=7", r"unknown key 'count': did you mean inner\.count or extra\.count\?"),
        ("inner.uri=7", r"unknown key 'inner\.uri': did you mean .*default\.uri"),
        ("zzz=7", r"unknown key 'zzz': known keys: inner, extra"),
        ("inner.count=many", r"inner\.count = 'many': expected a whole number"),
        ("inner.count=true", r"inner\.count = True: expected a whole number"),
        ("inner.rate=x", r"inner\.rate = 'x': expected a number"),
        ("inner.rate=5", r"inner\.rate = 5\.0: expected 0\.0 to 1\.0"),
        ("inner.rate=.nan", r"inner\.rate = nan: expected 0\.0 to 1\.0"),
        ("inner.names=3", r"inner\.names = 3: expected a list"),
        ("inner=3", r"inner = 3: expected a mapping"),
        ("inner.on=7", r"inner\.on = 7: expected true or false"),
        ("name.x=1", r"name is a value and has no keys; unknown are x"),
        ("name", r"expected key\.path=value"),
        ("inner.names=[a", r"not readable as YAML: line 1"),
        ("file.sha256=abc", "file: the key 'uri' is required"),
    ],
)
def test_a_wrong_override_says_what_is_right(assignment, message):
    with pytest.raises(SettingError, match=message):
        override(Outer(), [assignment])


def test_the_hash_follows_the_values():
    assert settings_hash(Outer()) == settings_hash(Outer())
    assert settings_hash(Outer()) != settings_hash(Outer(name="y"))


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"recipe\.yaml: it is empty; write at least one key"),
        ("- a\n- b\n", r"recipe\.yaml: expected a mapping of recipe keys to values"),
        ("quality:\n\tthreshold: 0.5\n", r"line 2, column 1: a tab"),
        ("quality: {threshold: 0.5\n", r"not readable as YAML: line"),
        ("tokens:\n  seed: 1\n  seed: 2\n", r"line 3, column 3: the key 'seed' stands twice"),
        ("qualitty:\n  threshold: 0.5\n", r"unknown key 'qualitty': did you mean quality\?"),
        ("threshold: 0.5\n", r"unknown key 'threshold': did you mean .*threshold\?"),
        ("base: finweb\n", r"recipe\.yaml: base 'finweb': did you mean 'fineweb'"),
        ("quality:\n  threshold: 5\n", r"quality\.threshold = 5\.0: expected 0\.0 to 1\.0"),
        ("quality:\n  threshold: .nan\n", r"quality\.threshold = nan: expected"),
        ("quality:\n  top: 10\n", r"quality\.top = 10\.0: expected a fraction above 0"),
        ("quality: 3\n", r"quality = 3: expected a mapping"),
        (
            "heuristics:\n  min_words: 90\n  max_words: 10\n",
            r"heuristics\.min_words = 90: expected at most max_words = 10",
        ),
        ("heuristics:\n  repetition:\n    top_2_gram: 20\n", r"repetition\.top_2_gram = 20\.0"),
        ("deduplication:\n  method: minhsh\n", r"deduplication\.method = 'minhsh': expected one"),
        (
            "deduplication:\n  ngrams:\n    min_ngram: 20\n",
            r"min_ngram = 20: .* max_ngram = 13",
        ),
        (
            "extraction:\n  reading:\n    max_attempts: 0\n",
            r"extraction\.reading\.max_attempts = 0: expected at least 1",
        ),
        ("heuristics:\n  quirks: none\n", r"heuristics\.quirks = 'none', but quirks = 'dclm-2024'"),
        ("quirks: dclm2024\n", r"quirks = 'dclm2024': expected one of dclm-2024, none"),
        ("tokens:\n  seed: {{ SEED }}\n", r"line 2, column 10: a list or mapping stands for a key"),
        ("? [a]\n: 1\n", r"line 1, column 3: a list or mapping stands for a key"),
        ("base: [raw]\n", r"recipe\.yaml: base \['raw'\]: did you mean 'raw'"),
        (f"tokens:\n  seed: {'9' * 5000}\n", r"line 2, column 9: a number of 5000 digits"),
        ("input:\n  text_column: ''\n", r"input\.text_column = '': expected the name of a column"),
        ("input:\n  text_column: url\n", r"input\.url_column = 'url': expected another column"),
        (b"name: \xff\n", r"recipe\.yaml: not UTF-8 .* at byte 6"),
    ],
)
def test_a_wrong_recipe_file_is_refused_in_one_line(text, message, recipe_file):
    with pytest.raises(SettingError, match=message) as raised:
        load_recipe(recipe_file(text))
    assert "\n" not in str(raised.value)


def test_norwegian_is_a_language_and_a_number_may_have_an_exponent(recipe_file):
    path = recipe_file("base: c4\nheuristics:\n  language: no\n  min_language_score: 1e-3\n")
    recipe = load_recipe(path)
    assert (recipe.name, recipe.heuristics.language) == ("c4", "no")
    assert recipe.heuristics.min_language_score == 0.001
    assert load_recipe("c4", ["heuristics.language=no"]).heuristics.language == "no"


def test_a_recipe_file_may_lie_at_any_uri(recipe_file):
    path = recipe_file(b"\xef\xbb\xbfbase: fineweb\n")
    assert load_recipe(f"file://{path}") == load_recipe("fineweb")
    with pytest.raises(SettingError, match=r"none\.yaml: there is no such file"):
        load_recipe("none.yaml")


@pytest.mark.parametrize("name", RECIPES)
def test_a_printed_recipe_is_the_same_recipe(name, recipe_file):
    recipe = load_recipe(name, ["quirks=none"] if name == "c4" else [])
    again = load_recipe(recipe_file(to_yaml(recipe)))
    assert again == recipe
    assert recipe_hash(again) == recipe_hash(recipe)


def test_one_switch_reaches_every_part_that_has_quirks():
    """Every settings class below a recipe with a field `quirks` follows the recipe's."""
    recipe = load_recipe("dclm_baseline", ["quirks=none"])
    found = [key for key in keys(recipe) if key.split(".")[-1] == "quirks"]
    assert len(found) == 5
    values = to_dict(recipe)
    for key in found:
        value = values
        for part in key.split("."):
            # Settings of which one of several is chosen stand under the name of the choice.
            value = value[value["method"]] if part == "method" else value[part]
        assert value == "none", key


def test_a_recipe_of_ones_own_is_checked_too():
    with pytest.raises(ValueError, match=r"quirks = 'other'"):
        Recipe(name="mine", quirks="other")


def test_a_name_of_another_section_wins_over_a_similar_one_here():
    with pytest.raises(SettingError, match=r"'min_words': did you mean heuristics\.min_words or "):
        load_recipe("dclm_baseline", ["min_words=4"])
    with pytest.raises(SettingError, match=r"'min_sentences': did you mean heuristics\.c4\.min_s"):
        load_recipe("dclm_baseline", ["min_sentences=4"])
