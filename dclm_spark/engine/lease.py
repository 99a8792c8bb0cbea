"""One driver at a time writes to an output: a small file there says which one."""

import _thread
import getpass
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dclm_spark.errors import SettingError, StageError
from udfs import storage
from udfs.storage.exclusive import write_new
from udfs.storage.stream import shown

LOGGER = logging.getLogger("dclm_spark")

LEASE = ".driver"
HEARTBEAT_SECONDS = 30.0
# A driver that has not been heard of for so long counts as dead.
STALE_SECONDS = 300.0
_ATTEMPTS = 3
# What this process holds already.
_held: set[str] = set()


class OutputHeldError(SettingError):
    """Another driver that is alive writes to the output."""


@contextmanager
def only_driver(*outputs: str) -> Iterator[None]:
    """Be the only driver that writes to `outputs` until the block ends.

    Raises OutputHeldError where another one does, and StageError when another took over meanwhile,
    which it may once this one has not been heard of for STALE_SECONDS.
    """
    wanted = [uri for uri in dict.fromkeys(map(storage.absolute, outputs)) if uri not in _held]
    leases: list[_Lease] = []
    try:
        for uri in wanted:
            leases.append(_Lease(uri))
            leases[-1].acquire()
            _held.add(uri)
        yield
    except KeyboardInterrupt:
        lost = next((lease for lease in leases if lease.lost), None)
        if lost is None:
            raise
        raise StageError(f"{shown(lost.output)}: another driver took over; this one ends") from None
    finally:
        for lease in leases:
            lease.release()
            _held.discard(lease.output)


class _Lease:
    """A driver's claim to an output, renewed by a thread of its own."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.lost = False
        self._uri = storage.join(output, LEASE)
        self._content: dict[str, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="driver-lease")

    def acquire(self) -> None:
        """Write the claim, or raise OutputHeldError that says whose there is."""
        now = time.time()
        content = _this_process() | {"started": now, "heartbeat": now}
        for _ in range(_ATTEMPTS):
            write_new(self._uri, _encoded(content))
            owner = self._read()
            if owner is not None and owner["token"] == content["token"]:
                self._content = content
                self._thread.start()
                return
            if owner is not None and not _dead(owner):
                raise OutputHeldError(_refusal(self.output, owner))
            if owner is not None:
                LOGGER.warning("%s: taken over from %s", shown(self.output), _named(owner))
                storage.delete(self._uri)
        raise OutputHeldError(f"{shown(self.output)}: several drivers start here at a time")

    def release(self) -> None:
        """Remove the claim, unless it is another's by now."""
        self._ended.set()
        if not self._content:
            return
        self._thread.join()
        owner = self._read()
        if owner is not None and owner["token"] == self._content["token"]:
            storage.delete(self._uri)

    def _renew(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                owner = self._read()
                if owner is not None and owner["token"] != self._content["token"]:
                    LOGGER.error("%s: now written by %s", shown(self.output), _named(owner))
                    self.lost = True
                    _thread.interrupt_main()
                    return
                self._content["heartbeat"] = time.time()
                storage.write_bytes(self._uri, _encoded(self._content))
            except (ValueError, OSError) as error:
                LOGGER.warning("%s: no sign of life could be left: %s", LEASE, error)

    def _read(self) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(storage.read_bytes(self._uri))
        except storage.MissingObjectError:
            return None
        return content


def _this_process() -> dict[str, Any]:
    return {
        "token": secrets.token_hex(8),
        "host": socket.gethostname(),
        "processes": _process_table(),
        "pid": os.getpid(),
        "user": _user(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        return str(os.getuid())


def _process_table() -> str:
    """Return what tells the numbers of this machine's (or container's) processes from others'."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _dead(owner: dict[str, Any]) -> bool:
    """Say whether a driver is gone: silent for too long, or ended on this machine."""
    if time.time() - owner["heartbeat"] > STALE_SECONDS:
        return True
    if owner["processes"] != _process_table():
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return bool(owner["pid"] == os.getpid())


def _refusal(output: str, owner: dict[str, Any]) -> str:
    return (
        f"{shown(output)}: another driver writes here ({_named(owner)}): wait for it, or stop it, "
        "and run the same command again. If it is dead, this output is free "
        f"{STALE_SECONDS:.0f} s after its last sign of life, at "
        f"{_time(owner['heartbeat'] + STALE_SECONDS)}"
    )


def _named(owner: dict[str, Any]) -> str:
    return (
        f"host {owner['host']}, process {owner['pid']} of {owner['user']}, since "
        f"{_time(owner['started'])}, last heard of {_time(owner['heartbeat'])}"
    )


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode()
