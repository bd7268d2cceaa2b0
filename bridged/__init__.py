"""bridged: a self-hosted bridge between open social networks."""

__version__ = "0.1.0"
