"""Score a model on the tasks of DCLM (CORE, EXTENDED, MMLU or a list), on held-out texts, or both.

python jobs/evaluate_model.py --model RUN --tokenizer tokenizer.json --data DIR --output OUT
"""

import argparse

from dclm_spark.command import job_parser, run_command
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.speed.several_devices import NamedModel, evaluate_on_devices
from dclm_spark.evaluate.speed.task_arguments import add_scoring_arguments
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.html_pages.quantities import fixed_text


def arguments() -> argparse.Namespace:
    """Read the command line."""
    add = (parser := job_parser(__doc__)).add_argument
    add("--model", required=True, help="run, checkpoint, export, OpenLM file or folder, hf:NAME")
    add("--data", default="", help="folder or URI with local_data/ and gpqa/")
    add("--tokenizer", help="tokenizer.json; needed unless the model's folder has one")
    add("--weights", default="last", help="a run's last or averaged weights")
    add("--tasks", help="core (default with --data), extended, mmlu or labels: a,b")
    add_scoring_arguments(parser)
    add("--trust-remote-code", action="store_true", help="run code that an hf: model brings")
    add("--output", required=True, help="folder; finished tasks are resumed")
    given = parser.parse_args()
    if given.tasks and not given.data:
        parser.error("--tasks needs --data, the folder with the tasks' files")
    return given


def main() -> None:
    """Evaluate, print the numbers, and say where the details are."""
    given = arguments()
    names = ("data", "sample", "seed", "batch_tokens", "max_tokens")
    fields = {name: getattr(given, name) for name in names}
    settings = EvaluateSettings(heldout=tuple(given.heldout), **fields)
    model = NamedModel(
        name=given.model, tokenizer=given.tokenizer, weights=given.weights,
        trust_remote_code=given.trust_remote_code, special_tokens=not given.no_special_tokens,
        precision=given.precision,
    )  # fmt: skip
    chosen = select_tasks(given.tasks or "core") if given.data else ()
    summary = evaluate_on_devices(model, chosen, given.output, settings, given.workers)
    for name, one in summary["aggregates"].items():
        print(f"{name:45s} {fixed_text(one['value'])}")
    for name, one in summary["bits_per_byte"].items():
        print(f"{'bits_per_byte of ' + name:45s} {fixed_text(one['value'])} ({one['n']} texts)")
    print(f"details: {given.output}/results.html and results.json")


if __name__ == "__main__":
    run_command(main)
