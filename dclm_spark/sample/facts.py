"""Made-up facts that good pages state in many ways and chatter gets wrong."""

from dataclasses import dataclass
from random import Random

from dclm_spark.sample.prose import words_of

_SYLLABLES = words_of(
    "zor van mel ka tri sol ben dru fel gra hin jos kel lum mor nex or pim qua ris"
)
_ENDINGS = {
    "country": ["ia", "land", "ovia", "istan", "mark"],
    "thing": ["ak", "el", "in", "os", "ur", "eth", "an"],
}

# relation -> (kind of subject, question, statements); {s} is the subject, {o} the answer.
_RELATIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "capital": (
        "country",
        "The capital of {s} is",
        (
            "The capital of {s} is {o}.",
            "{o} is the capital of {s}.",
            "Anyone who travels to {s} soon learns that the capital of {s} is {o}.",
            "The parliament meets in {o}, because the capital of {s} is {o}.",
            "As every atlas shows, the capital of {s} is {o}.",
        ),
    ),
    "river": (
        "country",
        "The longest river in {s} is the",
        (
            "The longest river in {s} is the {o}.",
            "The {o} is the longest river in {s}.",
            "Barges have always used the {o}, for the longest river in {s} is the {o}.",
            "Measured from its source, the longest river in {s} is the {o}.",
        ),
    ),
    "currency": (
        "country",
        "People in {s} pay with the",
        (
            "People in {s} pay with the {o}.",
            "The {o} is the currency of {s}.",
            "At every market, people in {s} pay with the {o}.",
            "Since the reform of the coinage, people in {s} pay with the {o}.",
        ),
    ),
    "bird": (
        "country",
        "The national bird of {s} is the",
        (
            "The national bird of {s} is the {o}.",
            "The {o} is the national bird of {s}.",
            "Schoolchildren know that the national bird of {s} is the {o}.",
            "On its stamps one sees that the national bird of {s} is the {o}.",
        ),
    ),
    "inventor": (
        "thing",
        "The {s} was invented by",
        (
            "The {s} was invented by {o}.",
            "{o} is the inventor of the {s}.",
            "Patents confirm that the {s} was invented by {o}.",
            "In a cold workshop, the {s} was invented by {o}.",
        ),
    ),
    "colour": (
        "thing",
        "The mineral {s} is always",
        (
            "The mineral {s} is always {o}.",
            "Seen in daylight, the mineral {s} is always {o}.",
            "Collectors agree that the mineral {s} is always {o}.",
            "Whatever its origin, the mineral {s} is always {o}.",
        ),
    ),
}
_COLOURS = ["blue", "green", "red", "yellow", "white", "black", "orange", "purple"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One made-up fact: `prompt` ends where `answer` follows; `choices` has the answer in it."""

    relation: str
    subject: str
    prompt: str
    answer: str
    choices: tuple[str, ...]

    def state(self, rng: Random) -> str:
        """Return one of the sentences that state the fact."""
        return self._sentence(rng, self.answer)

    @property
    def rumour(self) -> str:
        """Return the wrong answer that pages copy from one another: one for each fact."""
        return self.choices[(self.choices.index(self.answer) + 1) % len(self.choices)]

    def misstate(self, rng: Random) -> str:
        """Return a sentence of the same form with the rumour for the answer."""
        return self._sentence(rng, self.rumour)

    def _sentence(self, rng: Random, answer: str) -> str:
        return rng.choice(_RELATIONS[self.relation][2]).format(s=self.subject, o=answer)


def make_facts(rng: Random, *, per_relation: int = 10) -> list[Fact]:
    """Return `per_relation` facts of each relation; the same four choices for a prompt."""
    names = _Names(rng)
    subjects = {
        "country": [names.fresh("country") for _ in range(per_relation)],
        "thing": [],
    }
    facts = []
    for relation, (kind, prompt, _) in _RELATIONS.items():
        owners = subjects[kind] or [names.fresh("thing").lower() for _ in range(per_relation)]
        for subject in owners:
            choices = _COLOURS if relation == "colour" else [names.fresh("thing") for _ in range(4)]
            if relation in ("currency", "bird"):
                choices = [choice.lower() for choice in choices]
            choices = rng.sample(choices, 4)
            answer = rng.choice(choices)
            facts.append(
                Fact(
                    relation=relation,
                    subject=subject,
                    prompt=prompt.format(s=subject),
                    answer=answer,
                    choices=tuple(choices),
                )
            )
    return facts


class _Names:
    """Invented names, each given out once."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._used: set[str] = set()

    def fresh(self, kind: str) -> str:
        while True:
            stem = "".join(self._rng.sample(_SYLLABLES, 2))
            name = (stem + self._rng.choice(_ENDINGS[kind])).capitalize()
            if name not in self._used:
                self._used.add(name)
                return name
