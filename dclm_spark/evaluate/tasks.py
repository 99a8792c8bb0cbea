"""The 53 labels of DCLM's EXTENDED suite, and which of them make CORE (spec 8.1 and 8.2)."""

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from dclm_spark.errors import SettingError

Kind = Literal["multiple_choice", "schema", "language_modeling", "generation_task_with_answers"]

CHOICE: Kind = "multiple_choice"
SCHEMA: Kind = "schema"
EXACT: Kind = "language_modeling"
GENERATION: Kind = "generation_task_with_answers"

WORLD = "world knowledge"
COMMONSENSE = "commonsense reasoning"
LANGUAGE = "language understanding"
SYMBOLIC = "symbolic problem solving"
READING = "reading comprehension"
SAFETY = "safety"

ANSWER_LINE = "\nAnswer: "
STEP_BY_STEP = "\nA: Let's think step by step. "
CHAIN_OF_THOUGHT: dict[str, Any] = {
    "question_prefix": "Q: ",
    "reasoning_delimiter": " #### ",
    "stop_strings": ("\n\n", "Q:", "Q: "),
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """How one label is asked and scored.

    `file` is relative to the data root, without compression suffix; baselines are percent, of
    the paper (v1) and as corrected later (v2).
    """

    label: str
    file: str
    category: str
    kind: Kind
    fewshot: int
    baseline_v1: float
    baseline_v2: float
    delimiter: str = " "
    has_categories: bool = False
    question_prefix: str = ""
    reasoning_delimiter: str = ""
    stop_strings: tuple[str, ...] = ()


def _task(
    label: str,
    category: str,
    kind: Kind,
    fewshot: int,
    v1: float,
    v2: float,
    **how: Any,
) -> Task:
    file = how.pop("file", label)
    folder = "gpqa" if label.startswith("gpqa") else f"local_data/{category.replace(' ', '_')}"
    return Task(
        label=label,
        file=f"{folder}/{file}.jsonl",
        category=category,
        kind=kind,
        fewshot=fewshot,
        baseline_v1=v1,
        baseline_v2=v2,
        **how,
    )


# fmt: off
# label, category, kind, few-shot examples, baseline v1 %, baseline v2 %
TASKS: tuple[Task, ...] = (
    _task("mmlu_zeroshot", WORLD, CHOICE, 0, 25, 25,
          file="mmlu", delimiter="Answer: ", has_categories=True),
    _task("hellaswag_zeroshot", LANGUAGE, CHOICE, 0, 25, 25, file="hellaswag"),
    _task("jeopardy", WORLD, EXACT, 10, 0, 0,
          file="jeopardy_all", delimiter=ANSWER_LINE, has_categories=True),
    _task("triviaqa_sm_sub", WORLD, GENERATION, 3, 0, 0),
    _task("gsm8k_cot", SYMBOLIC, GENERATION, 3, 0, 0,
          file="gsm8k", delimiter=STEP_BY_STEP, **CHAIN_OF_THOUGHT),
    _task("agi_eval_sat_math_cot", SYMBOLIC, GENERATION, 3, 0, 0,
          file="agi_eval_sat_math", delimiter=STEP_BY_STEP, **CHAIN_OF_THOUGHT),
    _task("aqua_cot", SYMBOLIC, GENERATION, 3, 0, 0,
          file="aqua", delimiter=STEP_BY_STEP, **CHAIN_OF_THOUGHT),
    _task("svamp_cot", SYMBOLIC, GENERATION, 3, 0, 0,
          file="svamp", delimiter="\nUsing the formula below:\n", **CHAIN_OF_THOUGHT),
    _task("bigbench_qa_wikidata", WORLD, EXACT, 10, 0, 0),
    _task("arc_easy", WORLD, CHOICE, 10, 25, 25, delimiter=ANSWER_LINE),
    _task("arc_challenge", WORLD, CHOICE, 10, 25, 25, delimiter=ANSWER_LINE),
    _task("mmlu_fewshot", WORLD, CHOICE, 5, 25, 25,
          file="mmlu", delimiter=ANSWER_LINE, has_categories=True),
    _task("bigbench_misconceptions", WORLD, CHOICE, 10, 50, 50),
    _task("copa", COMMONSENSE, CHOICE, 0, 50, 50),
    _task("siqa", COMMONSENSE, CHOICE, 10, 33.3, 50),
    _task("commonsense_qa", COMMONSENSE, CHOICE, 10, 20, 40.3),
    _task("piqa", COMMONSENSE, CHOICE, 10, 50, 50, delimiter=ANSWER_LINE),
    _task("openbook_qa", COMMONSENSE, CHOICE, 0, 25, 25),
    _task("bigbench_novel_concepts", COMMONSENSE, CHOICE, 10, 20, 25),
    _task("bigbench_strange_stories", COMMONSENSE, CHOICE, 10, 50, 50),
    _task("bigbench_strategy_qa", COMMONSENSE, CHOICE, 10, 50, 50),
    _task("lambada_openai", LANGUAGE, EXACT, 0, 0, 0),
    _task("hellaswag", LANGUAGE, CHOICE, 10, 25, 25),
    _task("winograd", LANGUAGE, SCHEMA, 0, 50, 50, file="winograd_wsc"),
    _task("winogrande", LANGUAGE, SCHEMA, 0, 50, 50),
    _task("bigbench_conlang_translation", LANGUAGE, EXACT, 0, 0, 0),
    _task("bigbench_language_identification", LANGUAGE, CHOICE, 10, 9.1, 25),
    _task("bigbench_conceptual_combinations", LANGUAGE, CHOICE, 10, 25, 33),
    _task("bigbench_elementary_math_qa", SYMBOLIC, CHOICE, 10, 20, 25),
    _task("bigbench_dyck_languages", SYMBOLIC, EXACT, 10, 0, 0),
    _task("agi_eval_lsat_ar", SYMBOLIC, CHOICE, 3, 20, 25),
    _task("bigbench_cs_algorithms", SYMBOLIC, EXACT, 10, 0, 0),
    _task("bigbench_logical_deduction", SYMBOLIC, CHOICE, 10, 20, 25),
    _task("bigbench_operators", SYMBOLIC, EXACT, 10, 0, 0),
    _task("bigbench_repeat_copy_logic", SYMBOLIC, EXACT, 10, 0, 0),
    _task("simple_arithmetic_nospaces", SYMBOLIC, EXACT, 10, 0, 0),
    _task("simple_arithmetic_withspaces", SYMBOLIC, EXACT, 10, 0, 0),
    _task("math_qa", SYMBOLIC, CHOICE, 10, 20, 20),
    _task("logi_qa", SYMBOLIC, CHOICE, 10, 27, 25, delimiter=ANSWER_LINE),
    _task("pubmed_qa_labeled", READING, EXACT, 10, 0, 0),
    _task("squad", READING, EXACT, 10, 0, 0),
    _task("agi_eval_lsat_rc", READING, CHOICE, 3, 20, 25),
    _task("agi_eval_lsat_lr", READING, CHOICE, 3, 20, 25),
    _task("coqa", READING, EXACT, 0, 0, 0),
    _task("bigbench_understanding_fables", READING, CHOICE, 10, 20, 25),
    _task("boolq", READING, CHOICE, 10, 62, 62, delimiter=ANSWER_LINE),
    _task("agi_eval_sat_en", READING, CHOICE, 3, 25, 25),
    _task("winogender_mc_female", SAFETY, CHOICE, 10, 50, 50),
    _task("winogender_mc_male", SAFETY, CHOICE, 10, 50, 50),
    _task("enterprise_pii_classification", SAFETY, CHOICE, 10, 50, 50),
    _task("bbq", SAFETY, CHOICE, 3, 50, 50, has_categories=True),
    _task("gpqa_main", WORLD, CHOICE, 5, 25, 25, delimiter=ANSWER_LINE),
    _task("gpqa_diamond", WORLD, CHOICE, 5, 25, 25, delimiter=ANSWER_LINE),
)
# fmt: on

TASK_BY_LABEL: dict[str, Task] = {task.label: task for task in TASKS}
EXTENDED: tuple[str, ...] = tuple(TASK_BY_LABEL)
MMLU = "mmlu_fewshot"
CORE: tuple[str, ...] = (
    "hellaswag_zeroshot",
    "jeopardy",
    "bigbench_qa_wikidata",
    "arc_easy",
    "arc_challenge",
    "copa",
    "commonsense_qa",
    "piqa",
    "openbook_qa",
    "lambada_openai",
    "hellaswag",
    "winograd",
    "winogrande",
    "bigbench_dyck_languages",
    "agi_eval_lsat_ar",
    "bigbench_cs_algorithms",
    "bigbench_operators",
    "bigbench_repeat_copy_logic",
    "squad",
    "coqa",
    "boolq",
    "bigbench_language_identification",
)


def select_tasks(names: str) -> tuple[Task, ...]:
    """Return the tasks of `core`, `extended`, `mmlu` or a comma-separated list, in DCLM's order.

    Raises SettingError for a label that is not one of the 53.
    """
    groups = {"core": CORE, "extended": EXTENDED, "mmlu": (MMLU,)}
    wanted: set[str] = set()
    for name in (part.strip() for part in names.split(",")):
        if name not in groups and name not in TASK_BY_LABEL:
            near = difflib.get_close_matches(name, [*groups, *TASK_BY_LABEL], n=1)
            hint = f"did you mean {near[0]}? Expected" if near else "give"
            raise SettingError(
                f"tasks = {name!r}: not a task of DCLM's; {hint} core, extended, mmlu or labels "
                f"such as {', '.join(EXTENDED[:3])} (docs/evaluation.md lists them)"
            )
        wanted.update(groups.get(name, (name,)))
    return tuple(task for task in TASKS if task.label in wanted)
