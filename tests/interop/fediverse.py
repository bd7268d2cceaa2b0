"""ActivityPub servers nobody here wrote, each with one actor, behind one interface."""

import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError

from .acts import PUBLIC, Acts, ident
from .world import AS2, KIT, PEERS, Exchange, World, control, eventually


class Peer(Acts):
    """An ActivityPub server with one actor. `received` is its own log of what it verified."""

    def __init__(self, world: World, host: str, user: str):
        self.world, self.host, self.user, self.port = world, host, user, world.port[host]
        self.acct = f"{user}@{host}"
        self.actor: str
        self.follows: dict[str, dict[str, Any]] = {}  # the Follow sent to each actor

    def _ready(self) -> None:
        eventually(lambda: self.world.get_json(self.actor))

    def _ctl(self, name: str, **body: Any) -> Any:
        try:
            return control(self.port, name, body)
        except HTTPError as e:
            raise AssertionError(f"{self.host} {name} {body}: {e.read().decode()[:300]}") from e

    def activity(self, kind: str, obj: Any, to: str) -> dict[str, Any]:
        return {"type": kind, "id": f"https://{self.host}/activities/{uuid.uuid4()}", "actor": self.actor,
                "object": obj, "to": [PUBLIC], "cc": [to]}  # fmt: skip

    def received(self, kind: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Activities received, oldest first; `fields` compares ids (object="…", actor="…")."""
        return [
            a for a in self._log()
            if kind in (None, a["type"]) and all(ident(a.get(k)) == v for k, v in fields.items())
        ]  # fmt: skip

    def notes(self, text: str) -> list[dict[str, Any]]:
        """Create activities received whose note contains the text."""
        return [
            a
            for a in self.received("Create")
            if isinstance(a["object"], dict) and text in str(a["object"].get("content"))
        ]

    def wait_note(self, text: str, timeout: float = 90) -> dict[str, Any]:
        return eventually(lambda: self.notes(text), timeout)[0]["object"]

    def deliveries(self) -> list[Exchange]:
        """POSTs to this server's inboxes as they passed the TLS front."""
        return [x for x in self.world.wire(self.host, "POST") if "inbox" in x.path]

    def like(self, note: str, author: str) -> dict[str, Any]:
        return self.send(self.activity("Like", note, author), author)

    def boost(self, note: str, author: str) -> dict[str, Any]:
        boost = self.activity("Announce", note, author) | {"published": datetime.now(UTC).isoformat(timespec="seconds")}
        return self.send(boost, author)

    def undo(self, activity: dict[str, Any], author: str) -> dict[str, Any]:
        return self.send(self.activity("Undo", activity, author), author)

    def _log(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def lookup(self, uri: str) -> dict[str, Any]:
        raise NotImplementedError

    def follow(self, actor: str) -> None:
        raise NotImplementedError

    def following(self) -> list[str]:
        """Actors who accepted."""
        raise NotImplementedError

    def unfollow(self, actor: str) -> None:
        self.undo(self.follows.pop(actor), actor)
        control(self.port, "forget", {"actor": actor})  # else following again would not wait for a new Accept

    def post(self, text: str, **note: Any) -> str:
        """A public note to the followers; its id."""
        raise NotImplementedError

    def reply(self, text: str, note: str, author: str) -> str:
        """A public note in reply to `note`, mentioning and delivered to its author; its id."""
        raise NotImplementedError

    def edit(self, note: str, text: str, to: str) -> None:
        raise NotImplementedError

    def delete(self, note: str, to: str) -> None:
        raise NotImplementedError

    def send(self, activity: dict[str, Any], to: str) -> dict[str, Any]:
        raise NotImplementedError

    def followers(self) -> list[str]:
        return self._state()["followers"]

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError


class Fedify(Peer):
    """npm @fedify/fedify: RFC 9421 first unless cavage=True, falls back; strict. Keeps all in memory."""

    def __init__(
        self,
        world: World,
        host: str,
        user: str = "fay",
        *,
        cavage: bool = False,
        patient: bool = False,
        icon: str = "",
        kind: str = "Person",
    ):
        super().__init__(world, host, user)
        self.actor = f"https://{host}/users/{user}"
        env = {
            "PORT": str(self.port),
            "ORIGIN": f"https://{host}",
            "ACTOR": user,
            "FIRST_KNOCK": "cavage" if cavage else "rfc9421",
            "ICON": icon,
            "PATIENT": "1" if patient else "",
            "KIND": kind,
        }
        self.process = world.run(host, [PEERS / "bin/node", "fedify_peer.mjs"], env, PEERS / "npm")
        self._ready()

    def _log(self) -> list[dict[str, Any]]:
        return self._ctl("log")

    def _state(self) -> dict[str, Any]:
        return self._ctl("state")

    def lookup(self, uri: str) -> dict[str, Any]:
        return self._ctl("lookup", uri=uri)

    def follow(self, actor: str) -> None:
        sent = self._ctl("follow", uri=actor)["id"]
        self.follows[actor] = {"type": "Follow", "id": sent, "actor": self.actor, "object": actor}

    def following(self) -> list[str]:
        return self._state()["following"]

    def post(self, text: str, **note: Any) -> str:
        return self._ctl("note", note={"content": f"<p>{text}</p>", **note})["id"]

    def reply(self, text: str, note: str, author: str) -> str:
        return self._ctl("note", note={"content": f"<p>{text}</p>", "inReplyTo": note}, to=[author], mentions=[author])[
            "id"
        ]

    def post_to(self, text: str, actor: str) -> str:
        """A public note that answers and mentions nobody, delivered to that actor's server all the same."""
        return self._ctl("note", note={"content": f"<p>{text}</p>"}, to=[actor])["id"]

    def edit(self, note: str, text: str, to: str) -> None:
        self._ctl("edit", id=note, note={"content": f"<p>{text}</p>"}, to=[to])

    def delete(self, note: str, to: str) -> None:
        self._ctl("remove", id=note, to=[to])

    def send(self, activity: dict[str, Any], to: str) -> dict[str, Any]:
        self._ctl("send", activity=activity, to=[to])
        return activity


class Pubby(Peer):
    """PyPI pubby: verifies draft-cavage only, delivers once. `seen` is what it notifies its user of."""

    def __init__(self, world: World, host: str, user: str = "pat"):
        super().__init__(world, host, user)
        self.actor = f"https://{host}/ap/actor"
        env = {
            "PORT": str(self.port),
            "ORIGIN": f"https://{host}",
            "ACTOR": user,
            "DATA": str(world.home / host),
        }
        self.process = world.run(host, [PEERS / "pubby/bin/python", KIT / "pubby_peer.py"], env)
        self._ready()

    def _log(self) -> list[dict[str, Any]]:
        return control(self.port, "log")

    def _state(self) -> dict[str, Any]:
        return control(self.port, "state")

    def seen(self, kind: str, target: str) -> list[dict[str, Any]]:
        """Notifications: replies, mentions, likes and boosts of that target."""
        seen = self._state()["seen"]
        return [i for i in seen if i["interaction_type"] == kind and i["target_resource"] == target]

    def lookup(self, uri: str) -> dict[str, Any]:
        """pubby has no look-up of its own: WebFinger and the actor, as a client of its network would."""
        acct = uri.removeprefix("acct:")
        query = f"https://{acct.rpartition('@')[2]}/.well-known/webfinger?resource=acct:{acct}"
        jrd = self.world.get_json(query, "application/jrd+json")
        return self.world.get_json(next(x["href"] for x in jrd["links"] if x["rel"] == "self" and x["type"] == AS2))

    def follow(self, actor: str) -> None:
        self.follows[actor] = control(self.port, "follow", {"actor": actor})

    def following(self) -> list[str]:
        return [actor for actor, accepted in self._state()["following"].items() if accepted]

    def post(self, text: str, **note: Any) -> str:
        return control(self.port, "publish", {"content": f"<p>{text}</p>", **note})["object"]["id"]

    def reply(self, text: str, note: str, author: str) -> str:
        tag = [{"type": "Mention", "href": author, "name": "@someone"}]
        return self.post(text, in_reply_to=note, cc=[author], tag=tag)

    def edit(self, note: str, text: str, to: str) -> None:
        control(self.port, "edit", {"id": note, "content": f"<p>{text}</p>", "to": [to]})

    def delete(self, note: str, to: str) -> None:
        control(self.port, "remove", {"id": note, "to": [to]})

    def send(self, activity: dict[str, Any], to: str) -> dict[str, Any]:
        whole = {
            "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
            **activity,
        }
        control(self.port, "send", {"activity": whole})
        return activity
