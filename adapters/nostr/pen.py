"""Drafts signed and letters sealed with derived keys, and where they go. Pure but for the keys, which never change."""

from dataclasses import dataclass
from typing import Final

from adapters.nostr import ids, messages, pow, relays, signing
from adapters.nostr.drafts import Draft, Letter
from adapters.nostr.event import BadEvent, is_addressable, sign, to_json
from bridged.api import LOCAL, Keys, Part, Ref, Rejected, View

_GHOST: Final = "nostr-ghost"
_BALLOT: Final = "nostr-ballot"
_SEED: Final = "nostr-message"
_FOR_NOBODY: Final = frozenset({0, 10000, 10001, 10002})
"""Kinds of what an account keeps, which nobody is to be told of."""


@dataclass(frozen=True, slots=True)
class Pen:
    """own   the public URL of the embedded relay, "" without one    endpoints  our own relays    pow  NIP-13, bits"""

    keys: Keys
    own: str
    endpoints: tuple[str, ...]
    pow: int = 0

    def secret(self, owner: Ref, generation: int = 0) -> bytes:
        """The secret key of somebody's ghost."""
        return self.keys.derive(_GHOST, owner, generation)

    def part(self, part: Draft | Letter | Part, view: View) -> Part:
        """Signs or seals what is not yet a part. Raises Rejected."""
        if isinstance(part, Part):
            return part
        if view.actor.custody != "hosted":
            raise Rejected("the account here is the person's own: its key is not ours")
        try:
            return self._signed(part, view) if isinstance(part, Draft) else self._sealed(part, view)
        except BadEvent as bad:
            raise Rejected(f"cannot be said as an event: {bad.reason}") from None

    def _signed(self, draft: Draft, view: View) -> Part:
        if draft.secret:
            secret = self.keys.derive(_BALLOT, draft.of)
        else:
            secret = self.secret(view.actor.keyed, view.actor.generation)
        tags = draft.tags
        if self.pow:
            key = signing.public_key(secret).hex()
            tags = pow.mine(key, draft.at, draft.kind, tags, draft.content, self.pow)
            if tags is None:
                raise Rejected("no proof of work was found in time, set adapters.nostr.pow lower")
        event = sign(secret, draft.kind, draft.at, tags, draft.content)
        if event.pubkey != view.actor.ref.id and not draft.secret:
            raise Rejected("the ghost's key is not the one derived for it")
        body = to_json(event)
        return Part(
            of=draft.of,
            ref=ids.post_ref(event),
            body=body,
            served=body,
            endpoints=self._places(draft, view),
            number=draft.number,
            gone=draft.gone,
            detail={**draft.detail, "event": event.id} if is_addressable(event.kind) else draft.detail,
        )

    def _sealed(self, letter: Letter, view: View) -> Part:
        secret = self.secret(view.actor.keyed, view.actor.generation)
        seed = self.keys.derive(_SEED, letter.of, letter.number)
        return messages.sealed(letter, secret, seed, self._ours(letter.relays or self.endpoints))

    def _places(self, draft: Draft, view: View) -> tuple[str, ...]:
        """Our own relays, those the draft names, and where the natives concerned read (NIP-65)."""
        own = tuple(dict.fromkeys((*self.endpoints, *draft.more)))
        if draft.kind in _FOR_NOBODY:
            return self._ours(own)
        natives = (account.detail for ref, account in view.accounts.items() if ref.network == ids.NETWORK)
        return self._ours(relays.endpoints_for(natives, own))

    def _ours(self, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        """Nothing is sent over the network to ourselves."""
        return tuple(dict.fromkeys(LOCAL if url == self.own else url for url in endpoints))
