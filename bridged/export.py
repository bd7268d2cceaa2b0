"""`bridged export`: all that the bridge keeps about one account, as one JSON document, for its owner.

Keys are not in it, and nothing of other people's but what they did to the account in public: follows.
"""

import os
from pathlib import Path

import msgspec

from bridged.core import Core
from bridged.model import Ref
from bridged.store import everything
from bridged.store.engine import Tx


class Unwritten(Exception):
    """The file cannot be written, or is there already."""


class NoAccount(Exception):
    """Nothing is known of such an account."""


async def export(core: Core, who: str, path: Path) -> dict[str, int]:
    """Writes `path`, which must not exist, for its owner's eyes; how many rows of what.

    Raises NoAccount, Unwritten, Busy.
    """
    network, _, name = who.partition(":")
    adapter = core.adapters.get(network)
    parsed = adapter.parse(name) if adapter else None

    def unit(tx: Tx) -> dict[str, int]:
        found = [*([parsed] if parsed else []), *everything.named(tx, network, name.removeprefix("@"))]
        for ref in found:
            if everything.named(tx, ref.network, ref.id):
                try:
                    return _write(core, tx, ref, path)
                except OSError as e:
                    raise Unwritten(e.strerror or str(e)) from e
        raise NoAccount(f"nothing is known of {who}; write it as NETWORK:HANDLE or NETWORK:ID")

    return await core.store.read(unit)


def _write(core: Core, tx: Tx, ref: Ref, path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        head = {"export_of": str(ref), "bridge": core.settings.domain, "at": core.now()}
        out.write(msgspec.json.encode(head)[:-1])
        for name, rows in everything.sections(tx, ref):
            out.write(b",\n" + msgspec.json.encode(f"{name}") + b": [")
            counts[name] = 0
            for row in rows:
                out.write((b",\n" if counts[name] else b"\n") + msgspec.json.encode(row))
                counts[name] += 1
            out.write(b"]")
        out.write(b"}\n")
    return counts
