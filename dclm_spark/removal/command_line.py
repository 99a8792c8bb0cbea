"""What a command line asks to remove: its options, and the request that they make."""

import argparse
from datetime import UTC, datetime
from functools import partial

from dclm_spark.removal.lists import all_entries, read_agents
from dclm_spark.removal.record import read_key
from dclm_spark.removal.remove import Request
from dclm_spark.removal.robots import RobotsRequest, robots_files
from udfs import storage
from udfs.robots.agents import TOKENS


def add_removal_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the job."""
    add = partial(parser.add_argument, action="append", default=[], metavar="FILE")
    parser.add_argument("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    add("--domains", help="domains, one a line, each with all below it (repeatable)")
    add("--urls", help="addresses, one a line (repeatable)")
    add("--ids", help="ids of documents in hex, one a line (repeatable)")
    parser.add_argument(
        "--robots", metavar="FILES", help="what sites' robots.txt now keep from AI agents: WARCs "
        "of robots.txt records (listing, glob, folder, files), or JSON Lines with url, date, text",
    )  # fmt: skip
    parser.add_argument("--base", help="what the paths of a listing are below")
    parser.add_argument(
        "--robots-until", type=_time, metavar="DATE", help="pass over what sites said later"
    )
    parser.add_argument(
        "--robots-agents", metavar="FILE", help="names of agents, one a line, instead of the own"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list and count what --robots would remove"
    )
    parser.add_argument("--reason", default="", help="why; goes into the record")
    parser.add_argument("--signing-key", metavar="FILE", help="a secret that signs the record")
    parser.add_argument(
        "--compact", action="store_true", help="blank what was removed in all files"
    )
    parser.add_argument("--master", help="Spark master, for example local[*]")


def request_of(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Request:
    """Return what options ask for; those that do not go together end the program.

    Raises InputError for lists that cannot be read.
    """
    named = (("domain", given.domains), ("url", given.urls), ("id", given.ids))
    lists = [(kind, uri) for kind, uris in named for uri in uris]
    if not (lists or given.compact or given.robots):
        parser.error("name --domains, --urls, --ids or --robots, or --compact what was removed")
    if given.dry_run and (lists or given.compact or not given.robots):
        parser.error("--dry-run lists what --robots would remove; give it with --robots alone")
    if (lists or given.robots) and not (given.reason or given.dry_run):
        parser.error("--reason: say why; the record of the removal keeps it")
    return Request(
        output=storage.absolute(given.output),
        entries=all_entries(lists),
        reason=given.reason,
        signing_key=read_key(given.signing_key) if given.signing_key else None,
        robots=_robots(given) if given.robots else None,
        compact=given.compact,
    )


def _time(text: str) -> datetime:
    """Return a moment given in ISO 8601; a day without a time counts as a whole, in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a date such as 2026-05-01") from None
    if len(text) == len("2026-05-01"):
        found = found.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _robots(given: argparse.Namespace) -> RobotsRequest:
    return RobotsRequest(
        files=robots_files(given.robots, given.base),
        until=given.robots_until,
        agents=read_agents(given.robots_agents) if given.robots_agents else TOKENS,
    )
