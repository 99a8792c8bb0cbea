from dataclasses import replace

import pytest

from dclm_spark.evaluate.datasets import TaskData, load_task
from dclm_spark.evaluate.prompts import TaskPrompts
from dclm_spark.evaluate.tasks import EXTENDED, GENERATION, TASK_BY_LABEL
from dclm_spark.evaluate.tokens import PromptEncoder
from tests.dclm_spark.evaluate.reference_prompts import Reference
from tests.dclm_spark.evaluate.tokenizers_of_kinds import BEGIN, END, KINDS, llama, llama3, neox
from tests.shared_data import SHARED, needs_shared


def encoder(kind: str, **options: bool) -> PromptEncoder:
    tokenizer = KINDS[kind]()
    return PromptEncoder(tokenizer, tokenizer.token_to_id(END), **options)


def differing(data: TaskData, kind: str, rows: int) -> list[str]:
    """Return which of the first rows' prompts are not those of the rule."""
    ours = encoder(kind)
    prompts = TaskPrompts(data, ours)
    wrong = []
    for category, members in data.categories().items():
        of_category = [data.rows[number] for number in members]
        reference = Reference(data.task, of_category, ours.tokenizer, ours.end_of_text_id or 0)
        places = [(category, number) for number in range(min(rows, len(members)))]
        together = prompts.items(places)
        for number, expected in zip(range(rows), reference.items(), strict=False):
            item = prompts.item(category, number)
            assert together[number] == item
            found = [(list(one.tokens), one.start) for one in item.candidates]
            if found != expected:
                wrong.append(f"{data.task.label} {category} {number}")
    if data.task.kind == GENERATION and prompts.max_new_tokens != reference.max_new_tokens():
        wrong.append(f"{data.task.label} max_new_tokens")
    return wrong


@needs_shared
@pytest.mark.parametrize("label", EXTENDED)
def test_prompts_follow_the_rule_for_every_kind_of_tokenizer(label: str) -> None:
    data = load_task(TASK_BY_LABEL[label], SHARED / "eval")
    if data.task.kind == GENERATION:
        # All answers are tokenized, for the longest bounds what may be generated.
        data = replace(data, rows=data.rows[:200])
    rows = 1 if len(data.categories()) > 9 else 3
    assert [one for kind in KINDS for one in differing(data, kind, rows)] == []


def test_a_beginning_stands_before_the_preamble_alone_also_an_empty_one() -> None:
    begin = llama3().token_to_id(BEGIN)
    for kind in ("llama", "llama3"):
        begin = KINDS[kind]().token_to_id(BEGIN)
        assert encoder(kind).preamble("") == [begin]
        assert encoder(kind).preamble("a b")[0] == begin
        assert begin not in encoder(kind).plain("a b")
        assert encoder(kind).beginning() == begin
    assert encoder("neox").preamble("") == []
    assert encoder("neox").beginning() == neox().token_to_id(END)


def test_an_end_of_text_behind_the_preamble_is_taken_off() -> None:
    tokenizer = KINDS["with end"]()
    begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
    assert tokenizer.encode("a").ids[-1] == end
    assert encoder("with end").preamble("a")[-1] != end
    assert encoder("with end").preamble("") == [begin]


def test_a_space_leads_a_continuation_only_where_the_tokenizer_needs_it() -> None:
    assert encoder("neox").continuation("yes") == " yes"
    assert encoder("llama3").continuation("yes") == " yes"
    assert encoder("llama").continuation("yes") == "yes"
    assert encoder("neox").continuation(" yes") == " yes"
    assert llama().encode("a", add_special_tokens=False).tokens[0].startswith("▁")


def test_a_model_trained_without_the_beginning_is_asked_without_it() -> None:
    plain = encoder("llama3", special_tokens=False)
    assert plain.preamble("") == []
    assert plain.preamble("a b") == plain.plain("a b")
    assert plain.longest_answer(["a"]) == encoder("llama3").longest_answer(["a"]) - 1
