"""The bridge without its daemon: the real stations over a real store, with a clock that the test moves.

    async with Harness([red.adapter, blue.adapter], store=url, data_dir=tmp_path) as bridge:
        await bridge.hear(red.post("alice", "hello"))
        assert blue.texts() == ["hello"]

`restart` drops all that is in memory, as a crash would, and goes on with the same database.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bridged.adapter import Envelope, Http, Sink, Site
from bridged.bridge import Bridge
from bridged.config import Settings, adapter_config
from bridged.core import Core
from bridged.host import AdapterHost
from bridged.keys import KeyRing
from bridged.model import BOT, Copy, Ghost, Ref
from bridged.outbox import Outbox
from bridged.refresh import Refresh
from bridged.store import acts, identity, inboxes, ledger, queue
from bridged.store.engine import Store, Tx, url_of
from bridged.store.upgrade import CORE
from bridged.testing.world import Log, ScriptedHttp

T = TypeVar("T")
SOON = 1.0
"""Seconds by which `settle` moves the clock on, at most, for what is due in a moment."""
ROUNDS = 500


class Clock:
    """A clock that stands still unless it is moved (seconds since 1970)."""

    def __init__(self, at: float = 1_790_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


class Harness:
    """Core, stations and adapters. `settings` are keys of bridge.yaml; consent is `open` unless they say otherwise."""

    def __init__(
        self,
        adapters: Sequence[type[Sink]],
        *,
        data_dir: Path,
        store: str = "sqlite",
        clock: Clock | None = None,
        http: Http | None = None,
        configs: Mapping[str, Mapping[str, object]] | None = None,
        domain: str = "bridge.test",
        **settings: Any,
    ) -> None:
        self.classes = list(adapters)
        self.clock = clock or Clock()
        self.http: Http = http or ScriptedHttp()
        self.log = Log()
        base = {
            "domain": domain,
            "data_dir": data_dir,
            "store": store,
            "consent": {a.network: "open" for a in self.classes},
            "adapters": {a.network: dict((configs or {}).get(a.network, {})) for a in self.classes},
        }
        self.settings = Settings.model_validate({**base, **settings})
        self._build()

    def _build(self) -> None:
        s = self.settings
        self.core = Core(s, Store(url_of(s.store, s.data_dir)), KeyRing(b"harness." * 4), clock=self.clock)
        self.core.log = self.log
        self.core.media.http = self.http
        self.bridge = Bridge(self.core)
        self.outbox = Outbox(self.core)
        self.refresh = Refresh(self.core, self.bridge.ghosts.profiles)
        self.hosts: dict[str, AdapterHost] = {}

    async def open(self) -> None:
        """What the daemon does at its start."""
        core, s = self.core, self.settings
        s.data_dir.mkdir(parents=True, exist_ok=True)
        await core.store.open()
        await core.store.migrate(CORE, "bridged_version")
        site = Site(s.domain, s.handle_domain, s.base_url, "0", s.bot.username, s.bot.name, s.data_dir)
        for adapter in self.classes:
            network = adapter.network
            host = AdapterHost(core, network, self.bridge.threads, self.http, site)
            self.hosts[network] = host
            core.adapters[network] = adapter(adapter_config(s, network, adapter.config_type), host)
            if adapter.migrations is not None:
                await core.store.migrate(adapter.migrations, f"{network}_version")
        for adapter in core.adapters.values():
            await adapter.start()
        bot = core.bot()
        await core.store.write(lambda tx: identity.save_account(tx, bot, core.now()))
        for network in core.adapters:
            await self.bridge.ghosts.ensure(bot, network)
        await core.ears.refresh(core.adapters)

    async def close(self) -> None:
        await self.bridge.stop()
        await self.outbox.stop()
        await self.core.media.close()
        await self.core.store.close()

    async def restart(self) -> None:
        """A crash and a new start: only the database is left."""
        await self.close()
        self._build()
        await self.open()

    async def __aenter__(self) -> "Harness":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def hear(self, *envelopes: Envelope, settle: bool = True) -> int:
        """Hands envelopes in as their adapters would; how many were new."""
        new = 0
        for envelope in envelopes:
            new += await self.hosts[envelope.network].receive(envelope)
        if settle:
            await self.settle()
        return new

    async def decide(self) -> None:
        """Station 2 until nothing is due there; nothing is sent."""
        await self._until_idle(self.bridge.step)

    async def settle(self) -> None:
        """Both stations until nothing is due. Raises AssertionError when something went wrong inside the bridge."""

        async def both() -> int:
            return await self.bridge.step() + await self.outbox.step()

        end = self.clock.at + SOON
        while True:
            await self._until_idle(both)
            soon = await self.read(_next)
            if soon is None or soon > end:
                return
            self.clock.at = max(self.clock.at, soon)

    async def _until_idle(self, step: Callable[[], Awaitable[int]]) -> None:
        for _ in range(ROUNDS):
            await self.core.ears.refresh(self.core.adapters)
            count = await step()
            errors = self.log.errors()
            if errors:
                raise AssertionError(f"the bridge failed: {errors}") from _cause(errors[0][1])
            if not count:
                return
        raise AssertionError("the bridge does not come to rest")

    async def wait(self, seconds: float) -> None:
        """Lets time pass, then settles."""
        self.clock.move(seconds)
        await self.settle()

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self.core.store.read(unit)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        return await self.core.store.write(unit)

    async def ghost(self, owner: Ref, network: str) -> Ghost:
        """The live ghost of an account; made if there is none. Raises AssertionError for a stranger."""
        ghost = await self.bridge.ghosts.wanted(owner, network)
        assert ghost is not None, f"{owner} has no ghost on {network}"
        return ghost

    async def bot(self, network: str) -> Ghost:
        """The ghost of the bridge's bot."""
        ghost = await self.read(lambda tx: identity.ghost_for(tx, BOT, network))
        assert ghost is not None
        return ghost

    async def copies(self, origin: Ref, network: str) -> tuple[Copy, ...]:
        return await self.read(lambda tx: acts.copies_of(tx, origin, network))

    async def ledger(self, origin: Ref) -> list[tuple[str, str]]:
        """(step, reason) of everything written about an act."""
        rows = await self.read(lambda tx: ledger.about(tx, origin))
        return [(r["step"], r["reason"]) for r in rows]


def _next(tx: Tx) -> float | None:
    found = [t for t in (inboxes.next_due(tx), queue.next_due(tx)) if t is not None]
    return min(found) if found else None


def _cause(values: Mapping[str, object]) -> BaseException | None:
    info = values.get("exc_info")
    if isinstance(info, tuple):
        error: object = info[1]  # pyright: ignore[reportUnknownVariableType]
        return error if isinstance(error, BaseException) else None
    return None
