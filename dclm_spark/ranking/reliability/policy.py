"""Which of many metrics a ranking is decided by, stated before any is measured."""

from collections.abc import Sequence

# The first that is there decides; the others are reported. Held-out texts come first, since below
# some hundred million weights accuracies are mostly noise.
ORDER = (
    "bits_per_byte/macro", "bits_per_byte/", "core_gold_bits_per_byte", "core_v2", "extended_",
)  # fmt: skip


def primary_metric(names: Sequence[str]) -> str:
    """Return the metric that decides: the first kind of ORDER, and of a kind the first by name.

    >>> primary_metric(["core_v2", "bits_per_byte/news", "bits_per_byte/code"])
    'bits_per_byte/code'
    """
    for kind in ORDER:
        found = sorted(name for name in names if name.startswith(kind))
        if found:
            return found[0]
    return names[0]
