"""Asking a relay for the ids of all it has (NIP-77), where going back page by page would be long."""

from typing import Final

from adapters.nostr import wire
from adapters.nostr.connection import Connection, Unsynced
from adapters.nostr.filters import Filter
from adapters.nostr.negentropy import BadMessage, Negentropy

WORTH: Final = 3600
"""Seconds missed from which on it is worth asking."""
SECONDS: Final = 20.0
"""For one answer."""
ROUNDS: Final = 200
MAX_IDS: Final = 50_000


async def ids_at(connection: Connection, filter_: Filter) -> list[str]:
    """The ids of the relay's events that meet the filter, in no order.

    We hold nothing against them: an adapter cannot ask its inbox by filter, and what we know is left out when
    the events themselves are fetched. Raises Unsynced, and Ended.
    """
    side = Negentropy(())
    name = connection.new_name()
    text = wire.neg_open(name, filter_, side.initiate())
    found: list[str] = []
    try:
        for _ in range(ROUNDS):
            following, _, needed = side.reconcile(await connection.exchange(name, text, SECONDS))
            found += needed
            if len(found) > MAX_IDS:
                raise Unsynced(f"more than {MAX_IDS} events")
            if following is None:
                break
            text = wire.neg_msg(name, following)
        else:
            raise Unsynced(f"more than {ROUNDS} rounds")
    except BadMessage as bad:
        raise Unsynced(str(bad)) from None
    await connection.leave(name)
    return list(dict.fromkeys(found))
