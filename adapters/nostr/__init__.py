"""The Nostr adapter."""
