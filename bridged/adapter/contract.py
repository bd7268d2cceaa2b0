"""The protocols: what a network offers the bridge, and what the bridge offers it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel

from bridged.adapter.values import (
    Blob,
    Capabilities,
    Delivery,
    Envelope,
    Finding,
    Heard,
    Outgoing,
    Response,
    Sent,
    Site,
    View,
)
from bridged.model import Account, Activity, Copy, Ghost, Ref

API_VERSION = 1

T = TypeVar("T")


class Tx(Protocol):
    """An open transaction of the store, used by units of work: plain functions that do no I/O of their own."""

    def execute(self, statement: Any, parameters: Any = None) -> Any: ...
    def on_commit(self, call: Callable[[], None]) -> None:
        """Run `call` on the event loop once this unit is on disk; never if it is not."""
        ...

    def signal(self, name: str, what: str = "") -> None:
        """Once this unit is on disk, call whoever listens to `name` (`Host.on`), in every process of the bridge.

        `what` is a short word about it, at most 4000 bytes: an id, a number.
        """
        ...


class Keys(Protocol):
    def derive(self, purpose: str, ref: Ref, generation: int = 0) -> bytes:
        """32 bytes that only this bridge can compute, always the same for the same arguments (HKDF-SHA256)."""
        ...


Sign = Callable[[str, str], Mapping[str, str]]
"""(method, url) -> headers to add; called again for every redirect."""


class Http(Protocol):
    """The one door to the outside (`egress.py`). Raises EgressRefused for ever, EgressFailed for now."""

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 20,
        sign: Sign | None = None,
        redirects: int = 3,
    ) -> Response: ...
    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
        sign: Sign | None = None,
    ) -> Response: ...
    async def websocket(self, url: str, *, max_size: int) -> Any: ...


class Host(Protocol):
    """What the bridge gives an adapter. All refs and ids are of the adapter's own network unless said."""

    site: Site
    http: Http
    log: Any

    @property
    def keys(self) -> Keys: ...
    def now(self) -> float: ...
    async def receive(
        self, *envelopes: Envelope, cursor: tuple[str, str] | None = None, also: Callable[[Tx], None] | None = None
    ) -> int:
        """Station 1: store what arrived, the cursor and `also`'s own rows in one durable transaction.

        Returns how many were new. Raises Busy when the store cannot take them: tell the sender to come back.
        """
        ...

    def heard(self) -> Heard:
        """Whom to listen for now (in memory, cheap)."""
        ...

    async def heard_change(self, since: Heard) -> Heard:
        """Waits until `heard()` differs from `since`, and returns it."""
        ...

    async def cursor(self, key: str) -> str | None: ...
    async def read(self, unit: Callable[[Tx], T]) -> T: ...
    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run `unit` in a transaction of its own; durable when it returns."""
        ...

    async def restored(self) -> float:
        """When the database was last put back from a backup (seconds since 1970), 0 for never: what was said after that
        backup was made is not known here, and its numbers are not to be given out again."""
        ...

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A secret of this adapter, sealed in the store; `make` is called the first time only."""
        ...

    async def ghost(self, ref: Ref) -> tuple[Ghost, Account] | None:
        """The live ghost with this native ref, and whom it stands for."""
        ...

    async def ghost_gone(self, ref: Ref) -> bool:
        """Whether a ghost with this native ref existed and was withdrawn (410)."""
        ...

    async def ghost_named(self, handle: str) -> tuple[Ghost, Account] | None:
        """The live ghost here with this handle."""
        ...

    async def lookup(self, name: str) -> tuple[Ghost, Account] | None:
        """Find, on any other network, the account called `name` there, and its ghost here.

        Makes the ghost where consent allows. None: nobody, or no consent. Raises Unreachable.
        """
        ...

    async def copy(self, ref: Ref) -> Copy | None:
        """Our latest copy that has (or once had) this native ref."""
        ...

    async def copies_by(
        self, ghost: Ghost, acts: Iterable[str], limit: int, before: int | None = None
    ) -> list[tuple[int, Copy]]:
        """Copies a ghost made by acts of these names ("Post", "Repost"), newest first, each with a paging number."""
        ...

    async def standing(self, account: Ref, acts: Iterable[str], limit: int) -> set[Ref]:
        """What an account of this network did by acts of these names and is not taken back: the newest, by native ids,
        so many for each network that it stands on."""
        ...

    async def followers(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        """Total, and a page of native accounts that follow the ghost."""
        ...

    async def following(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]: ...
    async def pinned(self, ghost: Ghost) -> list[Copy]:
        """Copies of what the ghost's owner keeps at the top of their profile, first to last."""
        ...

    async def answers(self, ref: Ref, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        """Total, and a page of what is known here to answer the native post `ref`, oldest first: natives and copies."""
        ...

    async def bring(self, text: str) -> Ref | None:
        """What a person means by this URL or id of another network, a post or an account: made to stand here.

        The native ref of the copy or ghost; None: nothing, or no consent. Raises Unreachable.
        """
        ...

    async def blob(self, sha256: bytes) -> tuple[Blob, Path] | None:
        """A file that we own and that something of ours shows, and where it lies, to be served as it is."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """`ghosts` (live, here) and `posts` (copies of posts here), for public statistics."""
        ...

    def on(self, name: str, call: Callable[[str], None]) -> None:
        """`call(what)` runs on the event loop after each commit that signalled `name`, in whatever process.

        With "" anything may have happened: signals were lost with a connection. Names begin with the network's.
        """
        ...

    async def alone(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Runs `job` in one process of the bridge at a time: waits for its turn, ends with `job`, stops it when another
        has to take over. Whatever must not be done twice at once, like reading from one stream, is run so.
        """
        ...

    def refused(self, reason: str) -> None:
        """Count an input refused before it was verified."""
        ...

    def dropped(self, reason: str) -> None:
        """Count a verified input that is not for us."""
        ...

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set one of this adapter's own figures in /metrics."""
        ...


class Source(Protocol):
    """A network that is heard. Built without I/O; `start` runs before any other call."""

    network: ClassVar[str]
    api_version: ClassVar[int]
    config_type: ClassVar[type[BaseModel]]
    """A class method `at_home` may say what it is on one's own machine (`bridged init --domain localhost`)."""
    migrations: ClassVar[Path | None]
    """Folder of Alembic migrations for this adapter's own tables, all named `<network>_…`.

    New tables are empty: a restore fills them from a backup, which it would collide with.
    """

    def __init__(self, config: Any, host: Host) -> None: ...
    async def start(self) -> None:
        """Load keys; the store is open, nothing is served yet."""
        ...

    async def run(self) -> None:
        """Listen until cancelled. What it raises is logged, and it is run again after a while.

        Where the bridge has several processes, it runs in more than one: see `Host.alone`.
        """
        ...

    def routes(self) -> Iterable[web.RouteDef]: ...
    def streams(self) -> Iterable[web.RouteDef]:
        """Routes whose connections stay open, which an operator may want in a process of their own."""
        ...

    async def serve(self) -> None:
        """Goes along with `streams`, until cancelled: then sends their clients away, in good order."""
        ...

    def parse(self, text: str) -> Ref | None:
        """The ref a person means by this URL or id, of a post or an account; None when it is none of ours. Pure."""
        ...

    def names(self, ref: Ref, *, account: bool = False) -> str:
        """How a person would write this ref of a post, or of an `account` (`note1…`, `npub1…`, a URL). Pure."""
        ...

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        """What the bytes say; nothing when it is nothing we bridge. Pure; raises only Malformed."""
        ...

    async def find(self, name: str) -> Ref | None:
        """The account with this handle or alias (see `Account`), checked at its home; also what is shown at an address,
        account or post, where `parse` can't tell without asking. Raises Unreachable."""
        ...

    async def account(self, ref: Ref) -> Account | None:
        """The account as its home shows it now; None when it is gone. Raises Unreachable."""
        ...

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        """The post `ref` from its origin, verified; empty when it is gone or not public. Raises Unreachable."""
        ...

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        """The public posts that answer the post `ref` directly, verified, a few dozen at most. Raises Unreachable."""
        ...

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        """What the account said lately and keeps pinned, verified, oldest first; nothing where listening brings that
        by itself. Raises Unreachable."""
        ...

    def hints(self) -> Sequence[str]:
        """Sentences for the front page: how somebody there finds people of other networks."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Findings for `bridged check`: what of this network works, and how to mend what does not."""
        ...


class Sink(Source, Protocol):
    """A network that is also written to."""

    capabilities: ClassVar[Capabilities]

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        """The ghost that stands for `account`; same answer every time for the same account.

        `taken(handle)` says whether another ghost here has that handle already: then choose another.
        """
        ...

    def encode(self, activity: Activity, view: View) -> Outgoing:
        """What is said here for it. Pure; raises Rejected when it cannot be said here at all."""
        ...

    async def deliver(self, item: Delivery) -> Sent:
        """One attempt. Raises Retry or Rejected."""
        ...

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        """The effect of a `LOCAL` delivery, inside the transaction that marks it sent. Raises Rejected."""
        ...
