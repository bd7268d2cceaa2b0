"""The adapter. Its server gives ids, so whatever refers to something waits until that was sent (`Part.waits`)."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from bridged.api import (
    API_VERSION,
    Account,
    Act,
    Activity,
    Capabilities,
    Copy,
    Delete,
    Delivery,
    EgressFailed,
    Envelope,
    Finding,
    Follow,
    Ghost,
    Host,
    Malformed,
    Outgoing,
    Part,
    Post,
    PostBody,
    React,
    Ref,
    Rejected,
    Retry,
    Sent,
    Text,
    There,
    Tx,
    Unreachable,
    View,
)

NETWORK, LIMIT = "pigeon", 140


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    server: str = "https://pigeon.example"


def pieces(text: str) -> list[str]:
    """`text` cut between words into what fits into one coo each."""
    found: list[str] = []
    while len(text) > LIMIT:
        cut = text.rfind(" ", 1, LIMIT + 1)
        cut = cut if cut > 0 else LIMIT
        found.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*found, text] if text or not found else found


class Pigeon:
    network: ClassVar[str] = NETWORK
    api_version: ClassVar[int] = API_VERSION
    config_type: ClassVar[type[BaseModel]] = Config
    migrations: ClassVar[Path | None] = None
    capabilities: ClassVar[Capabilities] = Capabilities(
        acts=frozenset({"Post", "Delete", "React", "Follow", "Profile"}), ids="server", edits=False
    )

    def __init__(self, config: Config, host: Host) -> None:
        self._base, self._host = config.server, host

    async def start(self) -> None: ...
    async def run(self) -> None: ...
    def routes(self) -> Iterable[web.RouteDef]:
        return ()

    def streams(self) -> Iterable[web.RouteDef]:
        return ()

    async def serve(self) -> None: ...

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        return ()

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        return ()

    def hints(self) -> Sequence[str]:
        return ("On Pigeon, flock to the bird named like the person.",)

    async def check(self) -> Sequence[Finding]:
        return (Finding("pigeon", True, self._base),)

    def parse(self, text: str) -> Ref | None:
        id = text.removeprefix("pigeon:").removeprefix(f"{self._base}/coos/")
        return Ref(NETWORK, id) if id != text and id.isalnum() else None

    def names(self, ref: Ref, *, account: bool = False) -> str:
        return f"pigeon:{ref.id}"

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        try:
            said: dict[str, Any] = json.loads(envelope.body)
            kind, ref, by = said["kind"], Ref(NETWORK, said["id"]), Ref(NETWORK, said["by"])
            mark = str(said.get("about", ""))
            if by != envelope.signer:
                raise Malformed("forged")
            return [Activity(ref, by, envelope.received_at, self._act(kind, said, ref, by, envelope), mark)]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            raise Malformed("not_a_coo") from None

    def _act(self, kind: str, said: dict[str, Any], ref: Ref, by: Ref, envelope: Envelope) -> Act:
        if kind == "coo":
            to = Ref(NETWORK, said["to"]) if said["to"] else None
            detail, mark = {"hash": str(said["hash"])}, str(said.get("about", ""))
            text = Text(str(said["text"]))
            return Post(PostBody(ref, by, text, envelope.received_at, reply_to=to, detail=detail, mark=mark))
        target = Ref(NETWORK, said["target"])
        match kind:
            case "clap":
                return React(target)
            case "flock":
                return Follow(target)
            case "drop":
                return Delete(target)
            case _:
                raise Malformed("unknown_kind")

    async def find(self, name: str) -> Ref | None:
        account = await self.account(Ref(NETWORK, name)) if name.isalnum() else None
        return account.ref if account else None

    async def account(self, ref: Ref) -> Account | None:
        bird = await self._get(f"/birds/{ref.id}")
        if bird is None:
            return None
        return Account(Ref(NETWORK, bird["id"]), bird["name"], name=bird["title"], endpoint=self._base)

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        coo = await self._get(f"/coos/{ref.id}")
        if coo is None:
            return ()
        body = json.dumps(coo).encode()
        return (Envelope(NETWORK, ref.id, body, "fetch", Ref(NETWORK, coo["by"]), self._host.now()),)

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        name = f"{account.handle}.{account.ref.network}"
        if await taken(name):
            name = f"{name}.{account.ref.id[-12:]}"
        made = await self._host.http.post(
            f"{self._base}/birds", json.dumps({"name": name, "title": account.name or name}).encode()
        )
        return Ghost(account.ref, Ref(NETWORK, json.loads(made.body)["id"]), name)

    def encode(self, activity: Activity, view: View) -> Outgoing:
        match activity.act:
            case Post(body):
                return self._coos(activity, body, view)
            case Delete():
                live = [c for c in view.previous if not c.gone]
                return Outgoing(tuple(self._drop(c) for c in live))
            case React(target):
                return Outgoing((self._about(activity, "/claps", {}, view.there.get(target)),))
            case Follow(target):
                return Outgoing((self._about(activity, "/flocks", {"bird": target.id}, None),))
            case _:
                return Outgoing(losses=("birds keep the name they were given",))

    def _coos(self, activity: Activity, body: PostBody, view: View) -> Outgoing:
        """A chain: every coo answers the one before, the first the parent."""
        parent = view.there.get(body.reply_to) if body.reply_to else None
        parts: list[Part] = []
        for number, text in enumerate(pieces(body.text.plain)):
            if number:
                parts.append(self._part(activity, "/coos", {"text": text}, number, [(activity.ref, number - 1)]))
            else:
                parts.append(self._about(activity, "/coos", {"text": text}, parent))
        return Outgoing(tuple(parts), ("its parent is not here",) if body.reply_to and parent is None else ())

    def _about(self, activity: Activity, path: str, said: dict[str, Any], there: There | None) -> Part:
        if there is None:
            return self._part(activity, path, said, 0, [])
        if not there.parts and there.ref is not None:
            return self._part(activity, path, {**said, "to": {"id": there.ref.id, "hash": there.detail["hash"]}}, 0, [])
        return self._part(activity, path, said, 0, [(there.origin, there.parts[-1].part)])

    def _part(
        self, activity: Activity, path: str, said: dict[str, Any], number: int, waits: list[tuple[Ref, int]]
    ) -> Part:
        body = json.dumps({"path": path, "about": f"{activity.ref}#{number}", **said}).encode()
        return Part(activity.ref, None, body, body, (self._base,), number=number, waits=tuple(waits))

    def _drop(self, copy: Copy) -> Part:
        body = json.dumps({"path": "drop"}).encode()
        waits = ((copy.origin, copy.part),)
        return Part(copy.origin, copy.ref, body, b"", (self._base,), copy.part, True, waits, copy.detail)

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        raise Rejected("nothing of Pigeon is kept here")

    async def deliver(self, item: Delivery) -> Sent:
        said = json.loads(item.body)
        path = said.pop("path")
        fact = item.facts[0] if item.facts else None
        if path == "drop":
            if fact is None or fact.ref is None:
                raise Rejected("it was never sent")
            path, said["hash"] = f"/coos/{fact.ref.id}/drop", fact.detail["hash"]
        elif item.facts and (fact is None or fact.ref is None):
            if path == "/claps":
                raise Rejected("what it is about was never sent")
        elif fact is not None and fact.ref is not None:
            said["to"] = {"id": fact.ref.id, "hash": fact.detail["hash"]}
        by = item.actor.ref.id
        if item.attempt and "about" in said and (found := await self._sent_before(by, said["about"])):
            return found
        answer = await self._host.http.post(self._base + path, json.dumps({**said, "by": by, "key": item.key}).encode())
        if answer.status >= 500:
            raise Retry(f"HTTP {answer.status}")
        if answer.status >= 400:
            raise Rejected(f"HTTP {answer.status}")
        return _sent(json.loads(answer.body))

    async def _sent_before(self, by: str, about: str) -> Sent | None:
        """After an uncertain end: what this bird said last tells whether it got through."""
        try:
            recent = await self._get(f"/birds/{by}/recent")
        except Unreachable as error:
            raise Retry(str(error)) from None
        found = next((c for c in (recent or {}).get("coos", ()) if c.get("about") == about), None)
        return _sent(found) if found else None

    async def _get(self, path: str) -> Any:
        try:
            answer = await self._host.http.get(self._base + path)
        except EgressFailed as error:
            raise Unreachable(error.why) from None
        return json.loads(answer.body) if answer.status == 200 else None


def _sent(made: dict[str, Any]) -> Sent:
    return Sent(Ref(NETWORK, made["id"]), {"hash": made["hash"]}) if made else Sent()
