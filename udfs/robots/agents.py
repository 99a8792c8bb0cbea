"""Names by which sites speak, in robots.txt, to those who gather texts to train models.

Each is the product token of a crawler, or of a use of what a crawler fetched, whose operator, or
the collection of such names at https://github.com/ai-robots-txt/ai.robots.txt (robots.json, commit
0037a9e, MIT licence), says that texts train models. Assistants that fetch a page for a reader, and
searching machines, are left out: keeping them out says nothing about training.
"""

from typing import NamedTuple

_COLLECTION = "https://github.com/ai-robots-txt/ai.robots.txt/blob/main/robots.json"
_META = "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"
_ANTHROPIC = (
    "https://support.anthropic.com/en/articles/8896518-does-anthropic-crawl-data-from-the-web-and-"
    "how-can-site-owners-block-the-crawler"
)
_GOOGLE = "https://developers.google.com/search/docs/crawling-indexing/overview-google-crawlers"


class Agent(NamedTuple):
    """A name in robots.txt, whose it is, and where that is said."""

    token: str
    operator: str
    source: str


AGENTS = (
    Agent("AI2Bot", "Ai2", "https://allenai.org/crawler"),
    Agent("Ai2Bot-Dolma", "Ai2", "https://allenai.org/crawler"),
    Agent("anthropic-ai", "Anthropic", _COLLECTION),
    Agent("Applebot-Extended", "Apple", "https://support.apple.com/en-us/119829"),
    Agent("Bytespider", "ByteDance", _COLLECTION),
    Agent("CCBot", "Common Crawl Foundation", "https://commoncrawl.org/ccbot"),
    Agent("ClaudeBot", "Anthropic", _ANTHROPIC),
    Agent("cohere-training-data-crawler", "Cohere", _COLLECTION),
    Agent("Cotoyogi", "ROIS", "https://ds.rois.ac.jp/en_center8/en_crawler/"),
    Agent("DeepSeekBot", "DeepSeek", _COLLECTION),
    Agent("FacebookBot", "Meta", "https://developers.facebook.com/docs/sharing/bot/"),
    Agent("Factset_spyderbot", "FactSet", _COLLECTION),
    Agent("Google-Extended", "Google", _GOOGLE),
    Agent("GPTBot", "OpenAI", "https://platform.openai.com/docs/bots"),
    Agent("ICC-Crawler", "NICT", _COLLECTION),
    Agent("Kangaroo Bot", "Kangaroo LLM", _COLLECTION),
    Agent("meta-externalagent", "Meta", _META),
    Agent("omgili", "Webz.io", _COLLECTION),
    Agent("PanguBot", "Huawei", _COLLECTION),
    Agent("SBIntuitionsBot", "SB Intuitions", "https://www.sbintuitions.co.jp/en/bot/"),
    Agent("Sidetrade indexer bot", "Sidetrade", _COLLECTION),
)
TOKENS = tuple(agent.token for agent in AGENTS)
