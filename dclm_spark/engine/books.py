"""The books of a stage: what came in must have gone out, unit by unit."""

from collections.abc import Mapping

from dclm_spark.engine.manifests import uncommit
from dclm_spark.engine.stage_output import StageOutput
from dclm_spark.errors import BalanceError
from udfs import storage

STAGE_MANIFEST = "stage.json"


def check_balance(stage: str, documents_in: Mapping[str, int] | int, output: StageOutput) -> None:
    """Raise BalanceError unless every document that came in has exactly one fate.

    A unit that is off is uncommitted, so that the next run does it again; where it is not known
    which one is, all are.
    """
    found = output.documents_by_unit()
    if isinstance(documents_in, int):
        wrong = list(found) if documents_in != sum(found.values()) else []
        expected = documents_in
    else:
        wrong = [name for name, count in found.items() if documents_in.get(name, count) != count]
        expected = sum(documents_in[name] for name in wrong)
    total = sum(found[name] for name in wrong)
    fates = " + ".join(f"{count} {fate}" for fate, count in output.documents().items())
    told = f"{fates} = {total}" if len(wrong) == len(found) else f"{total} have a fate"
    refuse(output, dict.fromkeys(wrong, f"{expected} documents came in, but {told}"))


def refuse(output: StageOutput, wrong: Mapping[str, str]) -> None:
    """Uncommit the units that are `wrong` and raise BalanceError with what is said of the first."""
    if not wrong:
        return
    uncommit(output.directory, wrong)
    storage.delete(storage.join(output.directory, STAGE_MANIFEST))
    name, reason = next(iter(wrong.items()))
    raise BalanceError(
        f"{output.stage}: {reason}, in {len(wrong)} units below {output.directory}, first {name!r}"
        "; they are no longer committed, and the next run does them again"
    )
