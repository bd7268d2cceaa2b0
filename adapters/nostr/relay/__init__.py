"""The embedded relay: NIP-01, 09, 11, 40, 42, 45 over the bridge's own store."""

from adapters.nostr.relay.relay import Relay

__all__ = ["Relay"]
