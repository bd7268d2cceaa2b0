#!/usr/bin/env python3
# ruff: noqa: E401, E501, I001, UP017
"""ActivityPub peer on the PyPI library `pubby` (draft-cavage verification, FEP-044f quote authorisations).

    pip install 'pubby[db,fastapi]==0.6.2' uvicorn
    PORT=18088 ORIGIN=https://pubby.test ACTOR=pat DATA=dir python pubby_peer.py      DATA: key and database (a new temporary folder)

Control (JSON): POST /_ctl/publish {content, type?, id?, to?, cc?, tag?, in_reply_to?}   Create to followers
                POST /_ctl/send    {activity}                                      any activity, as built
                POST /_ctl/edit    {id, content, to}                               stores the object anew, Update to those named
                POST /_ctl/forget  {actor}                                         no longer counts as followed, without a word to it
                POST /_ctl/remove  {id, to}                                        forgets the object, Delete to those named
                POST /_ctl/follow  {actor}                                         Follow
                GET  /_ctl/log                                                     every activity received, signature verified, oldest first
                GET  /_ctl/state                                                   followers, following, seen (replies, mentions, quotes, likes, boosts)
pubby keeps only what answers or names its actor (`seen`): a plain post of someone it follows shows up in `log` alone.
"""

import os, tempfile, uuid
from datetime import datetime, timezone
from pathlib import Path
import uvicorn
from fastapi import FastAPI
from pubby import ActivityPubHandler, Object
from pubby.crypto import export_private_key_pem, generate_rsa_keypair
from pubby.server.adapters.fastapi import bind_activitypub
from pubby.storage.adapters.db import init_db_storage

PORT, ORIGIN, ACTOR = (
    int(os.environ.get("PORT", "18088")),
    os.environ.get("ORIGIN", "https://pubby.test"),
    os.environ.get("ACTOR", "pat"),
)
data = Path(os.environ.get("DATA") or tempfile.mkdtemp(prefix="pubby-")).resolve()
data.mkdir(parents=True, exist_ok=True)
keyfile = data / "key.pem"
if not keyfile.exists():
    pem = export_private_key_pem(generate_rsa_keypair()[0])
    keyfile.write_text(pem if isinstance(pem, str) else pem.decode())
seen, log, following = [], [], {}  # following: actor -> True accepted, False rejected, None no answer yet
app = FastAPI()
storage = init_db_storage(f"sqlite:///{data}/pubby.db")
handler = ActivityPubHandler(
    storage=storage,
    private_key_path=keyfile,
    max_retries=1,
    actor_config={"base_url": ORIGIN, "username": ACTOR, "name": "Pubby peer", "summary": "<p>test peer</p>"},
    on_activity=lambda activity, raw: log.append(raw),
    on_follow_response=lambda actor, accepted: following.update({actor: accepted}),
    on_interaction_received=lambda i: seen.append(i.to_dict() if hasattr(i, "to_dict") else repr(i)),
)
objects = {}


@app.get("/objects/{oid}")
def get_object(oid: str):
    from fastapi.responses import JSONResponse

    o = objects.get(oid)
    return (
        JSONResponse(
            {"@context": "https://www.w3.org/ns/activitystreams", **o.to_dict()},
            media_type="application/activity+json",
        )
        if o
        else JSONResponse({}, 404)
    )


# Plain functions run in the thread pool: publishing fetches the recipients' actors, and those may ask for ours meanwhile.
@app.post("/_ctl/publish")
def publish(b: dict):
    oid = uuid.uuid4().hex
    o = Object(
        **{
            "type": "Note",
            "id": f"{ORIGIN}/objects/{oid}",
            "url": f"{ORIGIN}/objects/{oid}",
            "attributed_to": handler.actor_id,
            "published": datetime.now(timezone.utc),
            "to": ["https://www.w3.org/ns/activitystreams#Public"],
            "cc": [handler.actor_id + "/followers"],
            **b,
        }
    )
    objects[oid] = o
    return handler.publish_object(o, "Create")


@app.post("/_ctl/forget")
def forget(b: dict):
    return {"was": following.pop(b["actor"], None)}


@app.post("/_ctl/send")
def send(b: dict):
    return handler.publish_activity(b["activity"])


def about(kind, oid, obj, to):
    return handler.publish_activity(
        {
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": f"{oid}#{kind.lower()}-{uuid.uuid4()}",
            "type": kind,
            "actor": handler.actor_id,
            "object": obj,
            "to": ["https://www.w3.org/ns/activitystreams#Public"],
            "cc": to,
        }
    )


@app.post("/_ctl/edit")
def edit(b: dict):
    o = objects[b["id"].rsplit("/", 1)[1]]
    o.content, o.updated = b["content"], datetime.now(timezone.utc)
    return about("Update", b["id"], o.to_dict(), b["to"])


@app.post("/_ctl/remove")
def remove(b: dict):
    del objects[b["id"].rsplit("/", 1)[1]]
    return about("Delete", b["id"], {"id": b["id"], "type": "Tombstone"}, b["to"])


@app.post("/_ctl/follow")
def follow(b: dict):
    target = b["actor"]
    following.setdefault(target)
    return handler.publish_activity(
        {
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": f"{ORIGIN}/follows/{uuid.uuid4()}",
            "type": "Follow",
            "actor": handler.actor_id,
            "object": target,
            "to": [target],
        }
    )


@app.get("/_ctl/log")
def get_log():
    return log


@app.get("/_ctl/state")
def state():
    return {
        "actor": handler.actor_id,
        "followers": [f.actor_id for f in storage.get_followers()],
        "following": following,
        "seen": seen,
    }


bind_activitypub(app, handler)
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="info")
