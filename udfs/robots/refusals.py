"""What a robots.txt refuses to agents, address by address (RFC 9309)."""

import re
from collections.abc import Sequence
from functools import lru_cache

from protego import Protego

# RFC 9309, 2.5: a parser must read at least so much; what is beyond is not read.
MAX_SIZE_BYTES = 500 * 1024
# An agent that no file names is judged by the rules for all.
_NOBODY = "none-of-these-agents"
_REFUSAL = re.compile(rb"^[ \t]*disallow[ \t]*:[ \t]*[^\s#]", re.IGNORECASE | re.MULTILINE)
_DECISIONS = 4096


def rules_text(content: bytes) -> str:
    """Return as text what of a robots.txt is read; "" where it refuses nothing to anybody.

    Parts in wrong UTF-8 become U+FFFD, as the format is UTF-8.
    """
    head = content[:MAX_SIZE_BYTES].removeprefix(b"\xef\xbb\xbf")
    # Lines may end with a carriage return alone.
    if not _REFUSAL.search(head.replace(b"\r", b"\n")):
        return ""
    return head.decode("utf-8", "replace").replace("\x00", "")


class RobotsRules:
    """The rules of one robots.txt for some agents."""

    def __init__(self, text: str, agents: Sequence[str]) -> None:
        self._agents = agents
        self._rules = Protego.parse(text) if text else None
        self._refused = lru_cache(_DECISIONS)(self._asked)

    def refused(self, url: str) -> tuple[tuple[str, ...], bool]:
        """Return the agents that are kept from an address, and whether all others are, too.

        An agent that the file does not name obeys the rules for all (`User-agent: *`).
        """
        return self._refused(url) if self._rules is not None else ((), False)

    def _asked(self, url: str) -> tuple[tuple[str, ...], bool]:
        assert self._rules is not None
        found = tuple(one for one in self._agents if not self._rules.can_fetch(url, one))
        return found, bool(found) and not self._rules.can_fetch(url, _NOBODY)
