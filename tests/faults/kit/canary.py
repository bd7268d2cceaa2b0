"""A listener where nothing must ever connect: it counts who does."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator


class Canary:
    """`hits`: the first bytes of each connection, b"" for one that said nothing within a second."""

    def __init__(self) -> None:
        self.hits: list[bytes] = []
        self.port = 0

    async def _hit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = len(self.hits)
        self.hits.append(b"")
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(1):
                self.hits[at] = await reader.read(4096)
        writer.close()


@contextlib.asynccontextmanager
async def canary(*addresses: str, port: int = 0) -> AsyncGenerator[Canary]:
    """Listens at one port of each address (127.0.0.1 if none is given)."""
    bird = Canary()
    async with contextlib.AsyncExitStack() as stack:
        for address in addresses or ("127.0.0.1",):
            server = await asyncio.start_server(bird._hit, address, bird.port or port)
            await stack.enter_async_context(server)
            bird.port = server.sockets[0].getsockname()[1]
        yield bird
