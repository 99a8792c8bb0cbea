"""Score a model on the tasks of DCLM: CORE, EXTENDED, MMLU or a list of labels."""

import argparse

from dclm_spark.command import run_command
from dclm_spark.evaluate.models import load_model
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import evaluate
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.html_pages.quantities import fixed_text


def main() -> None:
    """Parse the arguments, evaluate, and say where the results are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="run, checkpoint, .pt file or hf:NAME")
    parser.add_argument("--data", required=True, help="folder or URI with local_data/ and gpqa/")
    parser.add_argument("--tokenizer", help="tokenizer.json; required unless hf: brings its own")
    parser.add_argument("--weights", default="last", help="a run's last or averaged weights")
    parser.add_argument("--tasks", default="core", help="core, extended, mmlu or labels: a,b")
    parser.add_argument("--sample", type=int, help="score at most so many rows of each task")
    parser.add_argument("--seed", type=int, default=0, help="which rows --sample takes")
    parser.add_argument("--heldout", action="append", default=[], help="JSON lines of texts")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="padded tokens at a time")
    parser.add_argument("--output", required=True, help="folder; finished tasks are resumed")
    arguments = parser.parse_args()
    settings = EvaluateSettings(
        data=arguments.data,
        sample=arguments.sample,
        seed=arguments.seed,
        heldout=tuple(arguments.heldout),
        batch_tokens=arguments.batch_tokens,
    )
    tasks = select_tasks(arguments.tasks)
    model = load_model(arguments.model, arguments.tokenizer, weights=arguments.weights)
    summary = evaluate(model, tasks, arguments.output, settings)
    for name, estimate in summary["aggregates"].items():
        print(f"{name:45s} {fixed_text(estimate['value'])}")
    print(f"details: {arguments.output}/results.html and results.json")


if __name__ == "__main__":
    run_command(main)
