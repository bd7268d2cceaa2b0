"""Two invented networks for tests of the command line, installed by a folder of metadata on the path.

An account is a word, a post is `id author text` posted to /NETWORK/posts. Nobody lives at `nobody`, `silent`
does not answer, `shy` does not want to be bridged, and every endpoint of a network with `down: true` fails.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from bridged.api import (
    API_VERSION,
    Account,
    Activity,
    Capabilities,
    Delivery,
    Envelope,
    Finding,
    Ghost,
    Host,
    Outgoing,
    Part,
    Post,
    PostBody,
    Ref,
    Retry,
    Sent,
    Text,
    Unreachable,
    View,
)

HERE = Path(__file__).parent


def install(folder: Path, **adapters: str) -> list[str]:
    """Writes the metadata under `folder`; what the path must hold for the networks to be found."""
    adapters = adapters or {"alpha": "Alpha", "beta": "Beta", "rival": "Rival"}
    info = folder / f"toynet_{len(adapters)}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toynet-{len(adapters)}\nVersion: 1\n")
    points = "".join(f"{network} = toynet:{name}\n" for network, name in adapters.items())
    (info / "entry_points.txt").write_text(f"[bridged.adapters]\n{points}")
    return [str(folder), str(HERE)]


class Config(BaseModel):
    """What a toy can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    down: bool = False
    well: bool = True


class Toy:
    network = "toy"
    api_version = API_VERSION
    config_type = Config
    migrations = None
    capabilities = Capabilities(acts=frozenset({"Post", "Profile", "Delete"}))

    def __init__(self, config: Config, host: Host) -> None:
        self.config, self.host = config, host

    async def start(self) -> None: ...
    async def run(self) -> None: ...
    async def serve(self) -> None: ...

    def streams(self) -> Iterable[web.RouteDef]:
        return ()

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post(f"/{self.network}/posts", self.posted), web.get(f"/{self.network}/me", self.me)]

    async def posted(self, request: web.Request) -> web.Response:
        body = await request.read()
        ident, author, _ = body.decode().split(" ", 2)
        where = f"{self.network} door"
        await self.host.receive(Envelope(self.network, ident, body, where, Ref(self.network, author), self.host.now()))
        return web.Response(status=202)

    async def me(self, request: web.Request) -> web.Response:
        return web.Response(text=f"{request.remote} {request.scheme}")

    def parse(self, text: str) -> Ref | None:
        scheme, _, rest = text.partition("://")
        return Ref(self.network, rest) if scheme == self.network and rest else None

    def names(self, ref: Ref, *, account: bool = False) -> str:
        return f"{self.network}://{ref.id}"

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        ident, author, text = envelope.body.decode().split(" ", 2)
        ref, by = Ref(self.network, ident), Ref(self.network, author)
        return [Activity(ref, by, envelope.received_at, Post(PostBody(ref, by, Text(text), envelope.received_at)))]

    async def find(self, name: str) -> Ref | None:
        if name == "silent":
            raise Unreachable("no answer from home")
        return None if name == "nobody" else Ref(self.network, name)

    async def account(self, ref: Ref) -> Account | None:
        refuses = "#nobridge" if ref.id == "shy" else ""
        return Account(ref, ref.id, alias=f"{ref.id}@home", name=ref.id.title(), refuses=refuses)

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        return []

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        return []

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        return []

    def hints(self) -> Sequence[str]:
        return (f"On {self.network}, shout <name> & wait.",)

    async def check(self) -> Sequence[Finding]:
        return [Finding(f"{self.network} weather", self.config.well, "as seen", "wait for sunshine")]

    async def mint(self, account: Account, taken: Any) -> Ghost:
        return Ghost(account.ref, Ref(self.network, f"ghost-{account.ref.id}"), f"{account.handle}_ghost")

    def encode(self, activity: Activity, view: View) -> Outgoing:
        ref = Ref(self.network, f"copy-{activity.ref.id}")
        endpoints = (f"{self.network} square",) if isinstance(activity.act, Post) else ()
        return Outgoing((Part(activity.ref, ref, b"body", b"served", endpoints),))

    async def deliver(self, item: Delivery) -> Sent:
        if self.config.down:
            raise Retry("the square is closed", 600)
        return Sent()

    def apply(self, tx: Any, item: Delivery) -> Sent:
        return Sent()


class Alpha(Toy):
    network = "alpha"


class Beta(Toy):
    network = "beta"


class Rival(Toy):
    """Claims a path of alpha's."""

    network = "rival"

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/alpha/me", self.me)]
