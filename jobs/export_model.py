"""Export a run, a checkpoint, an OpenLM file, or the mean of several.

    python jobs/export_model.py --model RUN --tokenizer tokenizer.json --output DIR

The output is a Hugging Face folder or, where it ends in .pt, OpenLM's file.
"""

import argparse
from pathlib import Path

from dclm_spark.command import job_parser, run_command
from dclm_spark.train.export import DTYPES, ExportSettings, average_models, write_folder
from dclm_spark.train.model import WEIGHTS
from dclm_spark.train.openlm import write_model


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = job_parser(__doc__)
    parser.add_argument("--model", nargs="+", required=True, help="runs, checkpoints or .pt files")
    parser.add_argument(
        "--shares", nargs="+", type=float, help="weight of each model in the mean; default: equal"
    )
    parser.add_argument(
        "--weights", choices=WEIGHTS, default="last", help="of the last step, or their average"
    )
    parser.add_argument("--output", required=True, help="a folder, or a .pt file for OpenLM")
    parser.add_argument("--tokenizer", help="tokenizer.json that goes along (folders only)")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32", help="of the folder's weights")
    parser.add_argument("--end-of-text-id", type=int, help="default: by its name")
    return parser.parse_args()


def main() -> None:
    """Write the export and say where it is."""
    options = arguments()
    count = len(options.model)
    output = Path(options.output)
    shares = options.shares or [1 / count] * count
    model, training = average_models(options.model, shares, weights=options.weights)
    if output.suffix == ".pt":
        write_model(model, output)
    else:
        settings = ExportSettings(
            tokenizer=Path(options.tokenizer) if options.tokenizer else None,
            end_of_text_id=options.end_of_text_id,
            dtype=options.dtype,
        )
        write_folder(model, output, settings, training)
    print(f"{output}: {count} model{'s averaged' if count > 1 else ''}")


if __name__ == "__main__":
    run_command(main)
