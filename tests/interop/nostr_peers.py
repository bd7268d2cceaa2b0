"""Nostr relays nobody here wrote, and people who use libraries nobody here wrote."""

import json
import socket
import subprocess
import threading
from typing import Any

from .world import KIT, PEERS, World, eventually, free_port, lines_of


class Relay:
    """LocalRelay of nostr-sdk. `admitted` is every event it was handed, repeats included, oldest first."""

    def __init__(self, world: World, name: str = "relay"):
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.process = world.run(
            name, [PEERS / "nostr/bin/python", KIT / "local_relay.py", "--port", self.port, "--log"]
        )
        eventually(lambda: "ws://" in self.process.log.read_text())

    def posts(self, text: str) -> list[dict[str, Any]]:
        """Events it was handed whose content has the text, each id once, oldest first."""
        return list({e["id"]: e for e in self.admitted() if text in e["content"]}.values())

    def wait_post(self, text: str, timeout: float = 90) -> dict[str, Any]:
        return eventually(lambda: [e for e in self.posts(text) if e["kind"] == 1], timeout)[0]

    def admitted(self) -> list[dict[str, Any]]:
        return [line["event"] for line in lines_of(self.process.log)]


class AuthFirst(Relay):
    """npm @nostr-relay/core: sends AUTH before anything else, and takes and serves nothing until it is answered."""

    def __init__(self, world: World, name: str = "relay-auth", need: str = "both"):
        self.world, self.name, self.port = world, name, free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.env = {"PORT": str(self.port), "REQUIRE_AUTH": need, "LOG": "1"}
        self.start()

    def start(self) -> None:
        """Also again, with nothing in it but its log, after process.stop()."""
        argv = [PEERS / "bin/node", "auth_first_relay.cjs"]
        self.process = self.world.run(self.name, argv, self.env, PEERS / "npm")
        eventually(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)

    def frames(self, way: str = "in") -> list[tuple[int, list[Any]]]:
        """(number of the connection, frame) that came "in" or went "out", oldest first."""
        return [
            (line["client"], json.loads(line["frame"])) for line in lines_of(self.process.log) if line["dir"] == way
        ]

    def admitted(self) -> list[dict[str, Any]]:
        taken = {(client, f[1]) for client, f in self.frames("out") if f[0] == "OK" and f[2]}
        return [f[1] for client, f in self.frames() if f[0] == "EVENT" and (client, f[1]["id"]) in taken]


class Sloppy(Relay):
    """PyPI nostr-relay: serves what it should have refused (kit/sloppy_relay.sh tells what). Keeps no log of events."""

    def __init__(self, world: World, name: str = "relay-sloppy"):
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        env = {
            "PORT": str(self.port),
            "STATE": str(world.home / name),
            "NOSTR_RELAY": str(PEERS / "sloppy/bin/nostr-relay"),
        }
        self.process = world.run(name, [KIT / "sloppy_relay.sh"], env)
        eventually(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)

    def admitted(self) -> list[dict[str, Any]]:
        raise NotImplementedError("ask it: Nostr.fetch")


class Nostr:
    """The nostr-sdk process that all Nostr users share; inside the world, so it reaches public names."""

    name = "nostr"
    program = (PEERS / "nostr/bin/python", KIT / "nostr_user.py")

    def __init__(self, world: World):
        self.process = world.run(self.name, self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lock = threading.Lock()

    def ask(self, op: str, **request: Any) -> Any:
        pipe = self.process.popen
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        with self._lock:
            pipe.stdin.write(json.dumps({"op": op, **request}).encode() + b"\n")
            pipe.stdin.flush()
            answer = json.loads(pipe.stdout.readline() or b'{"error": "the process ended"}')
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(answer["error"])
        return answer

    def fetch(self, relay: str, **flt: Any) -> list[dict[str, Any]]:
        """Stored events by a NIP-01 filter (tags as `_e=[…]`), oldest first."""
        return self.ask("fetch", relays=[relay], filter=nip01(flt))

    def send(self, event: dict[str, Any], *relays: str) -> Any:
        """{"event", "ok", "failed"}: what the relays said to an event that is sent as it is, however wrong."""
        return self.ask("send", relays=list(relays), event=event)


class NostrTools(Nostr):
    """npm nostr-tools, for NostrUser in place of Nostr. `key` is whose AUTH is given where it is asked for."""

    name = "nostr-tools"
    program = (PEERS / "bin/node", PEERS / "npm/nostr_tools_user.mjs")

    def count(self, relay: str, key: str = "", **flt: Any) -> int:
        return self.ask("count", key=key, relays=[relay], filter=nip01(flt))[relay]

    def auth(self, relay: str, key: str) -> str:
        """What the relay said to an AUTH that it had not asked for but offered a challenge for."""
        return self.ask("auth", key=key, relays=[relay])[relay]

    def watch(self, *relays: str, key: str = "", **flt: Any) -> "Watch":
        return Watch(self, self.ask("watch", key=key, relays=list(relays), filter=nip01(flt))["watch"])

    def dm(self, key: str, to: str, text: str, *relays: str) -> Any:
        """NIP-17 letter to a public key: {"event", "ok", "failed"} of the gift wrap."""
        return self.ask("dm", key=key, to=to, relays=list(relays), text=text)

    def dms(self, key: str, *relays: str) -> list[dict[str, Any]]:
        """Letters there that the key opens: {"from", "kind", "content", "tags", "created_at", "wrap"}, oldest first."""
        return self.ask("dms", key=key, relays=list(relays))

    def nip05(self, name: str) -> dict[str, Any] | None:
        """{"pubkey", "relays"} behind name@host."""
        return self.ask("nip05", name=name)

    def info(self, relay: str) -> dict[str, Any]:
        """NIP-11."""
        return self.ask("info", url=relay)


class Watch:
    """An open subscription."""

    def __init__(self, tools: NostrTools, number: int):
        self.tools, self.number = tools, number

    def seen(self) -> dict[str, Any]:
        """{"events", "eose", "closed": [{"url", "reason"}]} so far, in order of arrival."""
        return self.tools.ask("seen", watch=self.number)

    def events(self, text: str = "") -> list[dict[str, Any]]:
        return [e for e in self.seen()["events"] if text in e["content"]]

    def close(self) -> None:
        self.tools.ask("unwatch", watch=self.number)


def tags(event: dict[str, Any], name: str) -> list[list[str]]:
    """The values of all tags of that name."""
    return [t[1:] for t in event["tags"] if t[0] == name]


def one(nostr: Nostr, relay: Relay, **flt: Any) -> dict[str, Any]:
    """The only stored event that matches; waits for it."""
    events = eventually(lambda: nostr.fetch(relay.url, **flt))
    assert len(events) == 1, events
    return events[0]


def nip01(flt: dict[str, Any]) -> dict[str, Any]:
    return {k.replace("_", "#", 1) if k[0] == "_" else k: v for k, v in flt.items()}


class NostrUser:
    """A person with a key, who writes to one relay."""

    def __init__(self, nostr: Nostr, name: str, relay: str):
        self.nostr, self.key, self.relay = nostr, f"seed:{name}", relay
        ids = nostr.ask("id", key=self.key)
        self.public, self.npub = ids["public"], ids["npub"]

    def try_publish(
        self,
        kind: int,
        content: str,
        tags: list[list[str]] | None = None,
        relay: str = "",
        at: int | None = None,
    ) -> Any:
        """{"event", "ok", "failed"}: what the relay said."""
        return self.nostr.ask(
            "publish",
            key=self.key,
            relays=[relay or self.relay],
            kind=kind,
            content=content,
            tags=tags or [],
            at=at,
        )

    def publish(
        self,
        kind: int,
        content: str,
        tags: list[list[str]] | None = None,
        relay: str = "",
        at: int | None = None,
    ) -> Any:
        """The event, which the relay took."""
        said = self.try_publish(kind, content, tags, relay, at)
        assert said["ok"], said
        return said["event"]

    def note(self, text: str, tags: list[list[str]] | None = None) -> Any:
        return self.publish(1, text, tags)

    def profile(self, **fields: Any) -> Any:
        return self.publish(0, json.dumps(fields, ensure_ascii=False))

    def reply(self, parent: Any, text: str, relay: str = "") -> Any:
        """NIP-10: the parent's root, then the parent; its people and its author."""
        where = relay or self.relay
        root = next((t for t in parent["tags"] if t[0] == "e" and t[3:4] == ["root"]), None)
        link = ["e", parent["id"], where, "reply" if root else "root", parent["pubkey"]]
        people = dict.fromkeys([t[1] for t in parent["tags"] if t[0] == "p"] + [parent["pubkey"]])
        return self.publish(1, text, [*([root] if root else []), link, *(["p", p] for p in people)], relay)

    def like(self, target: Any) -> Any:
        return self.publish(
            7, "+", [["e", target["id"], self.relay, target["pubkey"]], ["p", target["pubkey"]], ["k", "1"]]
        )

    def repost(self, target: Any) -> Any:
        return self.publish(
            6,
            json.dumps(target, ensure_ascii=False),
            [["e", target["id"], self.relay], ["p", target["pubkey"]]],
        )

    def delete(self, target: Any) -> Any:
        return self.publish(5, "", [["e", target["id"]], ["k", str(target["kind"])]])

    def follow(self, *people: str) -> Any:
        return self.publish(3, "", [["p", p] for p in people])
