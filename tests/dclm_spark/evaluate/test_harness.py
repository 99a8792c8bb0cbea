import pytest

from dclm_spark.errors import InputError
from dclm_spark.evaluate.harness import harness_model
from tests.dclm_spark.evaluate.fakes import LengthScorer, loaded


class Request:
    def __init__(self, *arguments: object) -> None:
        self.args = arguments


def test_without_the_harness_the_error_says_what_to_install() -> None:
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="pip install lm-eval"):
            harness_model(loaded(LengthScorer()))


def test_the_harness_gets_sums_of_log_likelihoods() -> None:
    pytest.importorskip("lm_eval")
    model = harness_model(loaded(LengthScorer()))
    requests = [Request("longer question", " zz"), Request("q", "!"), Request("", "z")]
    found = model.loglikelihood(requests)
    assert [likelihood for likelihood, _ in found] == pytest.approx(
        [-(33 + 123 + 123) / 100, -0.34, -1.23]
    )
    assert [greedy for _, greedy in found] == [False, False, True]
    assert model.loglikelihood_rolling([Request("zz")]) == pytest.approx([-2.46])


def test_generation_ends_before_the_stop_string() -> None:
    pytest.importorskip("lm_eval")
    model = harness_model(loaded(LengthScorer("an answer. More")))
    assert model.generate_until([Request("q", {"until": ["."], "max_gen_toks": 20})]) == [
        "an answer"
    ]
