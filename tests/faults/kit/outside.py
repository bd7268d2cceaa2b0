"""Two networks in memory, one of which has hosts that break down; the stations run on a clock that the test moves."""

from collections.abc import Callable

from bridged.adapter import Delivery, Sent, Sink
from bridged.store import queue
from bridged.testing import FakeNetwork, Harness


class Outside:
    """Two networks; people of blue have their inboxes at hosts. `answer` is asked for every delivery to blue."""

    def __init__(self) -> None:
        self.red, self.blue = FakeNetwork("red"), FakeNetwork("blue", hub=False)
        self.tried: list[tuple[float, str, str]] = []
        self.answer: Callable[[str], Exception | None] = lambda endpoint: None
        self.bridge: Harness

    @property
    def adapter(self) -> type[Sink]:
        usual, outside = self.blue.adapter, self

        async def deliver(self: Sink, item: Delivery) -> Sent:
            outside.tried.append((outside.bridge.clock.at, item.endpoint, item.actor.owner.id))
            error = outside.answer(item.endpoint)
            if error is not None:
                raise error
            return await usual.deliver(self, item)

        return type("Counting", (usual,), {"deliver": deliver})

    def settles(self, name: str, endpoint: str) -> None:
        self.blue.join(name)
        self.blue.change(name, endpoint=endpoint)

    async def follow(self, author: str, *fans: str) -> None:
        ghost = await self.bridge.ghost(self.red.ref(author), "blue")
        await self.bridge.hear(*(self.blue.say("Follow", fan, target=ghost.ref.id) for fan in fans))

    async def crowd(self, count: int, host: str = "down.test", *authors: str) -> None:
        """So many people at one host follow alice, or these authors."""
        fans = [f"fan{n}" for n in range(count)]
        for n, fan in enumerate(fans):
            self.settles(fan, f"https://{host}/{n}")
        for author in authors or ("alice",):
            await self.follow(author, *fans)
        self.tried.clear()

    def down(self, host: str, error: Exception) -> None:
        self.answer = lambda endpoint: error if host in endpoint else None

    def well(self) -> None:
        self.answer = lambda endpoint: None

    async def pass_time(self, seconds: float, step: float = 300.0) -> None:
        """Moves the clock to whatever is due next, in steps of at least `step` seconds."""
        end = self.bridge.clock.at + seconds
        while self.bridge.clock.at < end:
            due = await self.bridge.read(queue.next_due)
            self.bridge.clock.at = min(end, max(end if due is None else due, self.bridge.clock.at + step))
            await self.bridge.settle()
