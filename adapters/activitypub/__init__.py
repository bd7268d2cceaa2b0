"""The ActivityPub adapter."""
