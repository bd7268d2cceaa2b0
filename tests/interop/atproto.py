"""The reference AT Protocol stack (PLC directory, PDS, AppView; kit/atproto) and people with an account on its PDS.

`Stack(world, "at", bridge_host)`: `appview(method, **params)` asks the AppView as anybody may. `AtUser(stack, name)`:

| what | how | returns |
|---|---|---|
| write | `post(text, **record)` `reply(text, root, parent)` `quote(text, post)` | {uri, cid} |
| | `like(post)` `repost(post)` `follow(did)` `block(did)` `profile(**record)` `delete(said)` | {uri, cid} |
| files, facets | `upload(bytes, mime)` | blob |
| all else, as this person | `ask(method, **params)` `tell(method, body)` | JSON |
"""

import base64
import json
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from .world import PEERS, World, eventually, free_port

# Handles of those whose ghosts are did:web: the host of such an identity has to be known before the world is made.
WANDA = "npub1hy7933hg8a8xuzpu23edr8dct75264u475hzkwslkwr8fnde8fzqmkkf2x.web.test"
WIM = "wim-at-wim-test.web.test"


class Stack:
    """`bridge` is the public name of a bridge whose stream the AppView reads, and whose handles end in that name.
    `plc` is the directory's public name: the stack's own where the world has no other server of that name."""

    def __init__(self, world: World, pds: str, bridge: str, plc: str, database: str, *, own_plc: bool = True):
        self.world, self.host = world, pds
        self.plc, self.bridge = f"https://{plc}", bridge
        self.pds_port, self.appview_port = world.port[pds], world.port[pds.replace("pds", "appview", 1)]
        env = {
            "APPVIEW_PORT": str(self.appview_port),
            "BSYNC_PORT": str(free_port()),
            "DATAPLANE_PORT": str(free_port()),
            "DB_SCHEMA": "".join(c for c in pds if c.isalpha()),
            "DB_URL": database,
            "FIREHOSE": f"wss://{bridge}",
            "HANDLES": f".{bridge}=http://127.0.0.1:{world.port[bridge]}",
            "PDS_DATA": str(world.home / f"data-{pds}"),
            "PDS_HOST": pds,
            "PDS_PORT": str(self.pds_port),
            "PLC_URL": self.plc,
            "REDIS_HOST": f"127.0.0.1:{(redis := free_port())}",
        } | ({"PLC_PORT": str(world.port[plc])} if own_plc else {})
        kept = ["--save", "", "--appendonly", "no", "--dir", world.home]
        world.run(f"redis-{pds}", ["redis-server", "--bind", "127.0.0.1", "--port", redis, *kept])
        node = [PEERS / "bin/node", "--import", "./loopback.mjs", "stack.mjs"]
        self.process = world.run(f"stack-{pds}", node, env, PEERS / "atproto")

        def up() -> bool:
            log = self.process.log.read_text(errors="replace")
            assert self.process.popen.poll() is None, f"the AT stack ended:\n{log[-3000:]}"
            return '"ready":true' in log

        eventually(up, timeout=180)

    def appview(self, method: str, **params: Any) -> Any:
        return call(self.appview_port, method, params)

    def administer(self, method: str, body: object) -> Any:
        """A procedure, by who runs the PDS."""
        return call(self.pds_port, method, {}, body, basic="admin:admin")

    def refused(self, method: str, **params: Any) -> str:
        """Status and words of the AppView's refusal, "" for none."""
        try:
            self.appview(method, **params)
        except AssertionError as error:
            return str(error).partition("}: ")[2]
        return ""

    def find(self, handle: str) -> str:
        """The DID behind a handle of the bridge's, as `.well-known/atproto-did` there says. The AppView of the packages
        knows only handles that it has indexed, where that of the public network asks for those it does not know."""
        port = self.world.port[self.bridge]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/.well-known/atproto-did", headers={"Host": handle})
        with urllib.request.urlopen(request, timeout=90) as reply:
            return reply.read().decode()

    def refusals(self) -> list[str]:
        """What the AppView read and would not have, a line each."""
        return [line for line in self.process.log.read_text(errors="replace").splitlines() if "[refused" in line]

    def post(self, uri: str) -> dict[str, Any]:
        """A post as the AppView shows it; waits until it does."""

        def look() -> dict[str, Any]:
            return self.appview("app.bsky.feed.getPosts", uris=[uri])["posts"][0]

        return eventually(look)

    def said(self, did: str, text: str) -> dict[str, Any]:
        """The newest post of an account that has this text; waits for it. Replies are found, too."""

        def look() -> dict[str, Any]:
            feed = self.appview("app.bsky.feed.getAuthorFeed", actor=did, limit=100)["feed"]
            found = [v["post"] for v in feed if "reason" not in v and text in v["post"]["record"]["text"]]
            assert found, f"{did} has not said {text!r}: {[v['post']['record']['text'][:60] for v in feed]}"
            return found[0]

        return eventually(look)

    def posts(self, did: str, text: str = "") -> list[dict[str, Any]]:
        """Posts of an account that have this text, newest first."""
        feed = self.appview("app.bsky.feed.getAuthorFeed", actor=did, limit=100)["feed"]
        return [v["post"] for v in feed if "reason" not in v and text in v["post"]["record"]["text"]]

    def profile(self, actor: str, ready: Callable[[dict[str, Any]], object] = bool) -> dict[str, Any]:
        """An account, by DID or handle, once it is as `ready` wants it."""

        def look() -> dict[str, Any] | None:
            found = self.appview("app.bsky.actor.getProfile", actor=actor)
            assert ready(found), found
            return found

        return eventually(look)

    def image(self, url: str) -> tuple[str, bytes]:
        """(content type, bytes) behind the address of a picture: the AppView makes it from the blob, which it asks
        of the author's host."""
        path = url.partition("/img/")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{self.appview_port}/img/{path}", timeout=90) as reply:
            return reply.headers["content-type"], reply.read()


class AtUser:
    """Somebody with an account on the stack's PDS."""

    def __init__(self, stack: Stack, name: str):
        self.stack, self.handle = stack, f"{name}.{stack.host}"
        about = {"handle": self.handle, "email": f"{name}@example.com", "password": f"pw-{name}"}
        made = call(stack.pds_port, "com.atproto.server.createAccount", {}, about)
        self.did, self._token = made["did"], made["accessJwt"]

    def ask(self, method: str, **params: Any) -> Any:
        return call(self.stack.pds_port, method, params, token=self._token)

    def tell(self, method: str, body: object = b"") -> Any:
        """A procedure; by default one that takes nothing."""
        return call(self.stack.pds_port, method, {}, body, self._token)

    def create(self, collection: str, **record: Any) -> dict[str, Any]:
        whole = {"$type": collection, "createdAt": _now(), **record}
        about = {"repo": self.did, "collection": collection, "record": whole}
        made = call(self.stack.pds_port, "com.atproto.repo.createRecord", {}, about, self._token)
        return {"uri": made["uri"], "cid": made["cid"]}

    def post(self, text: str, **record: Any) -> dict[str, Any]:
        return self.create("app.bsky.feed.post", text=text, **record)

    def reply(self, text: str, root: dict[str, Any], parent: dict[str, Any] | None = None) -> dict[str, Any]:
        """A post is {uri, cid, …}."""
        return self.post(text, reply={"root": _strong(root), "parent": _strong(parent or root)})

    def quote(self, text: str, post: dict[str, Any]) -> dict[str, Any]:
        return self.post(text, embed={"$type": "app.bsky.embed.record", "record": _strong(post)})

    def like(self, post: dict[str, Any]) -> dict[str, Any]:
        return self.create("app.bsky.feed.like", subject=_strong(post))

    def repost(self, post: dict[str, Any]) -> dict[str, Any]:
        return self.create("app.bsky.feed.repost", subject=_strong(post))

    def follow(self, did: str) -> dict[str, Any]:
        return self.create("app.bsky.graph.follow", subject=did)

    def block(self, did: str) -> dict[str, Any]:
        return self.create("app.bsky.graph.block", subject=did)

    def profile(self, **record: Any) -> dict[str, Any]:
        return self.put("app.bsky.actor.profile", "self", **record)

    def put(self, collection: str, rkey: str, **record: Any) -> dict[str, Any]:
        about = {"repo": self.did, "collection": collection, "rkey": rkey, "record": {"$type": collection, **record}}
        return call(self.stack.pds_port, "com.atproto.repo.putRecord", {}, about, self._token)

    def delete(self, said: dict[str, Any]) -> None:
        """What any of the above returned."""
        _, collection, rkey = said["uri"].removeprefix("at://").split("/")
        about = {"repo": self.did, "collection": collection, "rkey": rkey}
        call(self.stack.pds_port, "com.atproto.repo.deleteRecord", {}, about, self._token)

    def upload(self, data: bytes, mime: str) -> dict[str, Any]:
        return call(self.stack.pds_port, "com.atproto.repo.uploadBlob", {}, data, self._token, mime)["blob"]

    def notices(self, reason: str, author: str) -> list[dict[str, Any]]:
        """Notifications of this kind from that account."""
        told = self.ask("app.bsky.notification.listNotifications", limit=100)["notifications"]
        return [n for n in told if n["reason"] == reason and n["author"]["did"] == author]

    def wait_notice(self, reason: str, author: str) -> dict[str, Any]:
        return eventually(lambda: self.notices(reason, author))[0]


def call(
    port: int,
    method: str,
    params: dict[str, Any],
    body: object = None,
    token: str = "",
    mime: str = "application/json",
    basic: str = "",
) -> Any:
    """XRPC: a query, or a procedure where there is a body. Raises AssertionError with what was answered."""
    url = f"http://127.0.0.1:{port}/xrpc/{method}"
    if params:
        url += f"?{urlencode(params, doseq=True)}"
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": mime} if data else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if basic:
        headers["Authorization"] = f"Basic {base64.b64encode(basic.encode()).decode()}"
    verb = "GET" if data is None else "POST"
    request = urllib.request.Request(url, data or None, headers, method=verb)
    try:
        with urllib.request.urlopen(request, timeout=90) as reply:
            return json.loads(reply.read() or b"{}")
    except HTTPError as error:
        raise AssertionError(f"{method} {params}: {error.code} {error.read().decode()[:500]}") from error


def facet(text: str, shown: str, **feature: Any) -> dict[str, Any]:
    """A facet over `shown`; feature: did=… for a mention, uri=… for a link, tag=… for a tag."""
    kind = {"did": "mention", "uri": "link", "tag": "tag"}[next(iter(feature))]
    start = len(text[: text.index(shown)].encode())
    index = {"byteStart": start, "byteEnd": start + len(shown.encode())}
    return {"index": index, "features": [{"$type": f"app.bsky.richtext.facet#{kind}", **feature}]}


def features(post: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the facets of a post say, by the letters that they cover."""
    raw = post["record"]["text"].encode()
    return {
        raw[f["index"]["byteStart"] : f["index"]["byteEnd"]].decode(): f["features"][0]
        for f in post["record"].get("facets", [])
    }


def authors(likes: Sequence[dict[str, Any]]) -> set[str]:
    return {like["actor"]["did"] for like in likes}


def _strong(post: dict[str, Any]) -> dict[str, str]:
    return {"uri": post["uri"], "cid": post["cid"]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
