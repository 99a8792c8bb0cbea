"""The pages in a language, whatever else they are: what filters of the language compare with."""

from udfs.rules.family import LANGUAGE_SIGNALS, RuleFamily, Step


class LanguageOnly(RuleFamily[None]):
    """The language's rule alone; addresses are not judged, texts stay as they are."""

    rules = ("language",)
    signals = LANGUAGE_SIGNALS
    unread = frozenset({"quirks", "cleaning", "stop_words"})
    judges_addresses = False

    @classmethod
    def language_quirks(cls, quirks: str) -> str:
        """Return "none": newlines are blanks to the language's model, as in FineWeb2's filters."""
        return "none"

    def steps(self) -> tuple[Step, ...]:
        """Return the language's step."""
        return (Step(measure=self.measure_language, limit=self.limit_language),)
