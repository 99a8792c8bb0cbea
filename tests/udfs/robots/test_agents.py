"""Names by which sites speak to those who train models."""

from udfs.robots.agents import AGENTS, TOKENS


def test_each_agent_is_named_once_with_whose_it_is_and_where_that_is_said():
    assert len({token.lower() for token in TOKENS}) == len(AGENTS)
    for agent in AGENTS:
        assert agent.operator
        assert agent.source.startswith("https://")
