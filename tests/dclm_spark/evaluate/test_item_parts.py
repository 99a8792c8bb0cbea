import pytest

from dclm_spark.evaluate.item_parts import item_of

PASSAGE = " ".join(f"word{n}" for n in range(70))


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (
            {"query": "Question: Which is soft?", "choices": ["iron", "wool"], "gold": 1},
            ("Which is soft?", "wool", "iron\nwool", ""),
        ),
        (
            {"query": "Question: Where to?\nChoices:\nA. home\nB. out\nAnswer:", "gold": 0,
             "choices": ["A", "B"]},
            ("Where to?", "home", "home\nout", ""),
        ),
        (
            {"query": f"Passage: {PASSAGE}\nQuestion: is it long?", "choices": ["no", "yes"],
             "gold": 1},
            ("is it long?", "yes", "no\nyes", PASSAGE),
        ),
        (
            {"query": "Context: Jo ran.\nQuestion: Why?\nA. fear\nB. joy\nAnswer:",
             "choices": ["A", "B"], "gold": 1},
            ("Jo ran.\nQuestion: Why?", "joy", "fear\njoy", ""),
        ),
        (
            {"context_options": ["the cup broke as the cup", "the cup broke as the stone"],
             "continuation": "was thin.", "gold": 0},
            ("the cup broke as the cup", "was thin.", "", ""),
        ),
        ({"context": "She went to the", "continuation": "shop"},
         ("She went to the", "shop", "", "")),
        (
            {"context": f"{PASSAGE}\nQuestion: one?\nAnswer: a\n\nFinal question:\n"
             "Question: two?\nAnswer: ", "continuation": "b"},
            ("two?", "b", "", PASSAGE),
        ),
        ({"query": "What is the value of a\nA:", "choices": ["2", "3"], "gold": 0},
         ("What is the value of a", "2", "2\n3", "")),
        ({"context": "How many?", "answer": "10", "aliases": ["ten"]},
         ("How many?", "10", "", "")),
    ],
)  # fmt: skip
def test_a_row_of_each_type_has_its_parts(row, parts):
    item = item_of("task", 3, row)
    assert (item.question, item.answer, item.choices, item.passage) == parts
    assert (item.task, item.number) == ("task", 3)
