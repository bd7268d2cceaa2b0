"""What encoders must know of our own place on Nostr."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Home:
    """`relay` is the public URL of the embedded relay ("" when it is off), `relays` the configured ones."""

    domain: str
    relay: str = ""
    relays: tuple[str, ...] = ()

    @property
    def public_relays(self) -> tuple[str, ...]:
        """Where our events are found, ours first."""
        return tuple(dict.fromkeys(url for url in (self.relay, *self.relays) if url))
