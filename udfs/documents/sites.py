"""Registered domains of hosts, as far as a rule tells them: there is no list of suffixes here."""

import pyarrow as pa
import pyarrow.compute as pc

# Second levels below country codes under which names are registered.
_SECOND_LEVELS = frozenset(
    (
        *("ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "gv", "ind", "ltd", "me", "mil"),
        *("ne", "net", "nhs", "nic", "nom", "or", "org", "plc", "sch"),
    )
)
_COUNTRY_CODE = 2


def site_of(host: str) -> str:
    """Return the registered domain of a host, by rule: its last two labels, or three.

    Three below a country code whose second level is one such as "co" or "ac". Addresses in digits
    and names without a dot are what they are. Hosting platforms count as one site.

    >>> site_of("www.news.example.co.uk"), site_of("blog.example.org"), site_of("192.0.2.1")
    ('example.co.uk', 'example.org', '192.0.2.1')
    """
    labels = host.rstrip(".").split(".")
    if labels[-1].isdigit() or host.startswith("["):
        return host
    below = len(labels) > 2 and len(labels[-1]) == _COUNTRY_CODE and labels[-2] in _SECOND_LEVELS
    return ".".join(labels[-3 if below else -2 :])


def sites(hosts: pa.Array) -> pa.Array:
    """Return the registered domain of each host of a column; "" for null."""
    distinct = pc.dictionary_encode(pc.fill_null(hosts, ""))
    named = [site_of(host) for host in distinct.dictionary.to_pylist()]
    return pa.array(named, pa.string()).take(distinct.indices)
