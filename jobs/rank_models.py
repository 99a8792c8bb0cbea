"""Train, measure and compare models on the corpora of a ranking, on a machine without Spark.

    python jobs/rank_models.py --output RANKING --scale 80m --seeds 3

The folder is that of jobs/rank_recipes.py --corpora-only, wherever it was copied to.
"""

from dclm_spark.command import add_model_arguments, job_parser, model_fields, run_command


def main() -> None:
    """Parse the command line, rank, and print the conclusions."""
    parser = job_parser(__doc__)
    add_model_arguments(parser)
    given = parser.parse_args()
    from dclm_spark.ranking.train_models import ModelSettings, rank_models

    print("\n".join(rank_models(ModelSettings(**model_fields(given)))["conclusions"]))


if __name__ == "__main__":
    run_command(main)
