"""The pigeon server: an HTTP API behind `Http.get` and `Http.post`, in memory. It outlives the bridge.

    POST /birds              {name, title}                               -> {id}; the same id for the same name
    GET  /birds/ID-OR-NAME   -> {id, name, title}
    GET  /birds/ID/recent    -> the newest coos, newest first
    POST /coos               {by, key, text, to?: {id, hash}, about}     -> {id, hash}
    GET  /coos/ID            -> the coo
    POST /coos/ID/drop       {by, key, hash}                             -> {}; claps and flocks too
    POST /claps              {by, key, to: {id, hash}}                   -> {id, hash}
    POST /flocks             {by, key, bird}                             -> {id, hash}

Whoever answers or drops something must say which version of it they mean: a wrong hash is a 409. A key that was
used before changes nothing and gets the first answer again, but keys are forgotten after a while (`forget_keys`).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bridged.api import EgressFailed, Response, Sign

LIMIT = 140
BASE = "https://pigeon.example"


class PigeonServer:
    """`mishaps` befall the next posts: "refuse" (503), "lose" (done, but the answer is lost), "fail" (not done)."""

    def __init__(self) -> None:
        self.birds: dict[str, dict[str, Any]] = {}
        self.coos: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.keys: dict[str, dict[str, Any]] = {}
        self.mishaps: list[str] = []
        self.posts = 0

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 20,
        sign: Sign | None = None,
        redirects: int = 3,
    ) -> Response:
        match url.removeprefix(BASE).strip("/").split("/"):
            case ["birds", id]:
                named = next((b for b in self.birds.values() if b["name"] == id), None)
                return _answer(url, self.birds.get(id, named))
            case ["birds", id, "recent"]:
                coos = [c for c in [*self.coos.values(), *self.events] if c["by"] == id]
                return _answer(url, {"coos": coos[::-1]})
            case ["coos", id]:
                coo = self.coos.get(id)
                return _answer(url, None if coo is None or coo["dropped"] else coo)
            case _:
                return _answer(url, None)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
        sign: Sign | None = None,
    ) -> Response:
        said = json.loads(body)
        if "key" in said and self.mishaps:
            mishap = self.mishaps.pop(0)
            if mishap == "refuse":
                return Response(503, url, {}, b"")
            if mishap == "lose":
                self._post(url, said)
            raise EgressFailed("no answer")
        return self._post(url, said)

    async def websocket(self, url: str, *, max_size: int) -> Any:
        raise EgressFailed("pigeons speak HTTP")

    def forget_keys(self) -> None:
        self.keys.clear()

    def bird(self, name: str, title: str = "") -> str:
        """Registers a bird; its id."""
        known = next((b["id"] for b in self.birds.values() if b["name"] == name), None)
        if known is None:
            known = f"bird{len(self.birds) + 1}"
            self.birds[known] = {"id": known, "name": name, "title": title or name}
        return known

    def coo(self, by: str, text: str, to: str = "") -> dict[str, Any]:
        """Somebody at home here says something."""
        return self._coo({"by": by, "text": text, "to": {"id": to} if to else None})

    def event(self, kind: str, by: str, target: str) -> dict[str, Any]:
        """A clap, a flock (follow) or a drop by somebody at home here."""
        if kind == "drop":
            self.coos[target]["dropped"] = True
        event = {"kind": kind, "id": f"{kind}{len(self.events) + 1}", "by": by, "target": target, "hash": "0"}
        self.events.append(event)
        return event

    def _post(self, url: str, said: dict[str, Any]) -> Response:
        key = said.get("key")
        if key in self.keys:
            return _answer(url, self.keys[key])
        target = said.get("to")
        if target and (known := self.coos.get(target["id"])) and (known["dropped"] or known["hash"] != target["hash"]):
            return Response(409, url, {}, b"")
        match url.removeprefix(BASE).strip("/").split("/"):
            case ["birds"]:
                answer = {"id": self.bird(said["name"], said["title"])}
            case ["coos"]:
                if len(said["text"]) > LIMIT:
                    return Response(422, url, {}, b"")
                coo = self._coo(said)
                answer = {"id": coo["id"], "hash": coo["hash"]}
                self.posts += 1
            case ["coos", id, "drop"]:
                what = next(e for e in [*self.coos.values(), *self.events] if e["id"] == id)
                if what["hash"] != said["hash"] or what["by"] != said["by"]:
                    return Response(409, url, {}, b"")
                what["dropped"] = True
                answer = {}
            case ["claps"]:
                answer = self.event("clap", said["by"], said["to"]["id"]) | {"about": said["about"]}
                self.events[-1] = answer
            case ["flocks"]:
                answer = self.event("flock", said["by"], said["bird"]) | {"about": said["about"]}
                self.events[-1] = answer
            case _:
                return Response(404, url, {}, b"")
        if key:
            self.keys[key] = answer
        return _answer(url, answer)

    def _coo(self, said: dict[str, Any]) -> dict[str, Any]:
        id = f"coo{len(self.coos) + 1}"
        digest = hashlib.sha256(f"{id} {said['text']}".encode()).hexdigest()[:16]
        to = (said.get("to") or {}).get("id", "")
        about = said.get("about", "")
        self.coos[id] = {
            "kind": "coo", "id": id, "hash": digest, "by": said["by"], "text": said["text"], "to": to,
            "about": about, "dropped": False,
        }  # fmt: skip
        return self.coos[id]

    def flying(self, name: str = "") -> list[tuple[str, str]]:
        """(text, id of what it answers) of all coos of a bird that were not dropped."""
        by = {b["id"] for b in self.birds.values() if name in ("", b["name"])}
        return [(c["text"], c["to"]) for c in self.coos.values() if c["by"] in by and not c["dropped"]]


def _answer(url: str, what: object) -> Response:
    return Response(404 if what is None else 200, url, {"content-type": "application/json"}, json.dumps(what).encode())
