"""The web server of the core: adapters' routes, the front page, health and metrics."""
