"""Pigeon, an invented network: short posts, ids and version hashes given by its server."""
