"""Finds the adapters that are installed: entry points of the group `bridged.adapters`, named after their network."""

from importlib.metadata import entry_points

from bridged.adapter import API_VERSION, Sink

GROUP = "bridged.adapters"


class BadAdapter(Exception):
    """An installed adapter cannot be used; says which and why."""


def networks() -> list[str]:
    """Names of all networks with an adapter installed, sorted."""
    return sorted({e.name for e in entry_points(group=GROUP)})


def load(network: str) -> type[Sink]:
    """The adapter class of a network. Raises BadAdapter."""
    found = [e for e in entry_points(group=GROUP) if e.name == network]
    if not found:
        raise BadAdapter(f"no adapter for {network!r} is installed; there are: {', '.join(networks())}")
    try:
        adapter: type[Sink] = found[0].load()
    except Exception as e:
        raise BadAdapter(f"the adapter for {network!r} does not load: {type(e).__name__}: {e}") from e
    if adapter.network != network or adapter.api_version != API_VERSION:
        raise BadAdapter(
            f"the adapter for {network!r} is made for {adapter.network!r}, contract {adapter.api_version};"
            f" this bridge has contract {API_VERSION}"
        )
    return adapter
