"""What encoders must know of our own place on Nostr."""

from dataclasses import dataclass
from typing import Literal

Edits = Literal["repost", "note"]


@dataclass(frozen=True, slots=True)
class Home:
    """`relay` is the public URL of the embedded relay ("" when it is off), `relays` the configured ones.

    `edits`: an edited note is deleted and said anew ("repost"), or left as it is and answered ("note").
    """

    domain: str
    relay: str = ""
    relays: tuple[str, ...] = ()
    edits: Edits = "repost"

    @property
    def public_relays(self) -> tuple[str, ...]:
        """Where our events are found, ours first."""
        return tuple(dict.fromkeys(url for url in (self.relay, *self.relays) if url))
