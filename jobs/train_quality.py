"""Train a quality classifier (fastText) from positive and negative, or from labelled texts.

python jobs/train_quality.py --positive good.jsonl --negative bad.jsonl --output model.bin
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.quality_classifier import QualityTrainingSettings, train_quality
from dclm_spark.settings import override


def main() -> None:
    """Parse the command line, train, and print what the held-out texts say."""
    parser = job_parser(__doc__)
    texts = "JSON Lines with `text` (comma, .gz, .zst)"
    parser.add_argument("--positive", default="", help=texts)
    parser.add_argument("--negative", default="", help=texts)
    parser.add_argument("--labelled", default="", help="with a number `label`, too")
    parser.add_argument(
        "--positive-from", type=float, default=1.0, help="label from which a text is positive"
    )
    parser.add_argument("--output", required=True, help="where the model goes (model.bin)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    arguments = parser.parse_args()
    report = train_quality(
        positives=arguments.positive,
        negatives=arguments.negative,
        labelled=arguments.labelled,
        positive_from=arguments.positive_from,
        output=arguments.output,
        settings=override(QualityTrainingSettings(), arguments.set),
    )
    print(f"{arguments.output}: held-out AUC {report['heldout_auc']}")
    for row in report["heldout_at_threshold"]:
        print("  " + "  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    run_command(main)
