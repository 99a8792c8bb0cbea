"""Our models in lm-evaluation-harness, for breadth: its numbers are not DCLM's CORE."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.evaluate.bits_per_byte import score_texts
from dclm_spark.evaluate.models import LoadedModel
from dclm_spark.evaluate.prompts import Candidate


def harness_model(loaded: LoadedModel, max_tokens: int = 2048, batch_size: int = 8) -> Any:
    """Return an `lm_eval.api.model.LM` for `lm_eval.simple_evaluate(model=...)`.

    Raises InputError when lm-eval is not installed.
    """
    try:
        api = import_module("lm_eval.api.model")
    except ImportError as error:
        raise InputError("the harness adapter needs lm-eval: pip install lm-eval") from error

    class HarnessModel(api.TemplateLM):  # type: ignore[misc, name-defined]
        """The methods that the harness calls."""

        @property
        def eot_token_id(self) -> int:
            """Return the token that stands before a text without context."""
            return loaded.end_of_text_id

        def tok_encode(self, string: str, **_: Any) -> list[int]:
            """Return the tokens of `string`."""
            return list(loaded.tokenizer.encode(string, add_special_tokens=False).ids)

        def _loglikelihood_tokens(
            self, requests: Sequence[Any], **_: Any
        ) -> list[tuple[float, bool]]:
            candidates = [_candidate(list(one[1]), list(one[2]), max_tokens) for one in requests]
            return list(_likelihoods(loaded, candidates, batch_size))

        def loglikelihood_rolling(self, requests: Sequence[Any], **_: Any) -> list[float]:
            """Return the log-likelihood of whole texts."""
            texts = [request.args[0] for request in requests]
            records = score_texts(
                loaded.scorer, loaded.tokenizer, texts, max_tokens, loaded.end_of_text_id
            )
            return [-record["nats"] for record in records]

        def generate_until(self, requests: Sequence[Any], **_: Any) -> list[str]:
            """Return greedy continuations up to the first of the request's stop strings."""
            return [self._generate(*request.args) for request in requests]

        def _generate(self, context: str, options: dict[str, Any]) -> str:
            stops = options.get("until") or []
            stops = [stops] if isinstance(stops, str) else list(stops)
            limit = int(options.get("max_gen_toks") or 256)
            prompt = self.tok_encode(context)[-(max_tokens - limit) :]
            new = loaded.scorer.generate([prompt], limit, stops)[0]
            text = loaded.tokenizer.decode(new)
            ends = [text.find(stop) for stop in stops if stop in text]
            return text[: min(ends, default=len(text))]

    return HarnessModel()


def _candidate(context: list[int], continuation: list[int], max_tokens: int) -> Candidate:
    kept = context[max(0, len(context) + len(continuation) - max_tokens) :]
    return Candidate((*kept, *continuation), len(kept), "", len(context))


def _likelihoods(
    loaded: LoadedModel, candidates: Sequence[Candidate], batch_size: int
) -> Iterator[tuple[float, bool]]:
    order = sorted(range(len(candidates)), key=lambda place: len(candidates[place].tokens))
    found: list[tuple[float, bool]] = [(0.0, False)] * len(candidates)
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        scores = loaded.scorer.score([candidates[place] for place in places])
        for place, score in zip(places, scores, strict=True):
            found[place] = (-float(score.nats.sum()), bool(score.is_greedy.all()))
    yield from found
