"""Hosts in Unicode, as browsers ask for them."""

import pytest

from udfs.rules.banned_domains import to_punycode


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("m\u00fcnchen.example", "xn--mnchen-3ya.example"),
        # IDNA 2003 made other hosts of these: fass.de, and a Greek word with another sigma.
        ("fa\u00df.de", "xn--fa-hia.de"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
        ("\u00d6BB.at", "xn--bb-eka.at"),
        # Wide letters and the ideographic full stop.
        ("\uff21\uff22\uff23\u3002example", "abc.example"),
        # Names that no registry takes and browsers resolve.
        ("\u2603.net", "xn--n3h.net"),
        ("a_b.m\u00fcnchen.de", "a_b.xn--mnchen-3ya.de"),
        ("plain.example", "plain.example"),
        ("\ufffd.example", "\ufffd.example"),
    ],
)
def test_a_host_is_written_in_ascii_or_stays(host, expected):
    assert to_punycode(host) == expected
