"""What encoders wrote becomes commits in the repos of our ghosts. Units of work."""

from collections.abc import Callable
from typing import Final

from adapters.atproto import cbor, feeds, ids, ours
from adapters.atproto.crypto import SigningKey
from adapters.atproto.minting import Identities
from adapters.atproto.pds import firehose, reading, store
from adapters.atproto.pds.store import NoRepo, Repos, Write
from adapters.atproto.plc import State
from adapters.atproto.writes import read_write
from bridged.api import Delivery, Ghost, Malformed, Rejected, Sent, Tx

_TOLD: Final = 60.0
"""Seconds of waiting for its turn that are worth a word in the ledger."""
_PAGE: Final = 200
"""Repositories that say where they stand in one transaction."""


class Hosting:
    """`service` is the DID of this bridge as a server of feeds."""

    def __init__(self, identities: Identities, service: str, now: Callable[[], float]) -> None:
        self._identities, self._service, self._now = identities, service, now
        self._repos = Repos()

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        """The effect of a delivery; the same again changes nothing. Raises Rejected."""
        ghost, now = item.actor, self._now()
        did = ghost.ref.id
        try:
            write = read_write(item.body)
            if write.action == "leave":
                store.set_status(tx, did, "deleted", now)
                return Sent()
            if write.action == "end":
                self._identities.end(tx, did)
                return Sent()
            record = cbor.decode(write.record) if write.record else None
            if record is None and store.find(tx, did) is None:
                return Sent()
            self._made(tx, ghost, now)
            self._repos.apply(tx, did, self._key(ghost), [Write(write.collection, write.rkey, record)], now)
            if write.collection == ids.PROFILE:
                self._identities.change(tx, did, handle=ghost.handle, own=write.key)
        except Malformed as bad:
            raise Rejected(f"its record is refused: {bad.reason}") from None
        except NoRepo:
            return Sent(note="it had no repository here")
        wait = (firehose.next_due(tx, now) or now) - now
        return Sent(note=f"relays are shown it after {wait:.0f} s at least: the pace" if wait > _TOLD else "")

    def stand(self, tx: Tx) -> bool:
        """After the database was put back some repositories say where they stand; whether there are more."""
        stood = firehose.stood(tx)
        if stood is None:
            return False
        found = list(reading.repositories(tx, stood, _PAGE))
        for repo in found:
            made = ours.identity(tx, repo.did)
            # a did:web that was ended is known no longer; its repository is deleted, and nothing is signed of that
            self._repos.renew(tx, repo, self._identities.signing_key(made.owner) if made else None, self._now())
        firehose.stand(tx, found[-1].id if found else None)
        return bool(found)

    def changed(self, tx: Tx, did: str, state: State) -> None:
        """The directory has another handle or key for an identity of ours."""
        repo = store.find(tx, did)
        if repo is not None and repo.status == "active":
            store.identity(tx, repo, state.handle, self._now())

    def _made(self, tx: Tx, ghost: Ghost, now: float) -> None:
        """The ghost has a repository. With a new one the bot's may have to have a record for one feed more."""
        found = store.find(tx, ghost.ref.id)
        if found is not None and found.status != "deleted":
            return
        self._repos.create(tx, ghost.ref.id, ghost.handle, self._key(ghost), now)
        bot = ours.of(tx, feeds.BOT)
        repo = store.find(tx, bot.did) if bot is not None else None
        if bot is None or repo is None:
            return
        names = feeds.names(tx) if ghost.owner == feeds.BOT else (feeds.EVERYONE, ghost.owner.network)
        new = (name for name in names if not self._repos.held(tx, repo, f"{feeds.COLLECTION}/{name}"))
        writes = [Write(feeds.COLLECTION, name, feeds.record(name, self._service, now)) for name in new]
        self._repos.apply(tx, bot.did, self._identities.signing_key(bot.owner), writes, now)

    def _key(self, ghost: Ghost) -> SigningKey:
        return self._identities.signing_key(ghost.keyed, ghost.generation)
