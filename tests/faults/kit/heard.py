"""Whom the daemon has begun to listen to: until then it says thanks for their posts, and keeps none."""

from collections.abc import Awaitable, Callable

from . import eventually
from .daemon import Daemon


async def until_heard(daemon: Daemon, network: str, say: Callable[[], Awaitable[object]]) -> int:
    """Says it again and again, until it is kept; how often it was said in vain before."""
    said = 0

    async def kept() -> bool:
        nonlocal said
        before = await daemon.metric("bridged_received_total", network=network)
        await say()
        said += 1
        return await daemon.metric("bridged_received_total", network=network) > before

    await eventually(kept)
    return said - 1
