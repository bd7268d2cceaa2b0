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
                POST /_ctl/deliver {activity, to}                                  as it is, to [actors and "followers"], once -> {inbox: status}
                POST /_ctl/serve   {path, doc}                                     a JSON-LD document of ours at that path; null takes it away
                POST /_ctl/profile {fields}                                        lays these over the actor document -> the document
                POST /_ctl/fetch   {url}                                           signed GET, by way of a page's link to its JSON-LD -> {url, document}
                POST /_ctl/collection {url, limit?}                                all pages, embedded items as they are -> {totalItems, items}
                GET  /_ctl/log                                                     every activity received, signature verified, oldest first
                GET  /_ctl/state                                                   followers, following, seen (replies, mentions, quotes, likes, boosts)
It answers any QuoteRequest (FEP-044f) with an Accept and an authorization, counts votes on a served Question, and
pubby keeps only what answers or names its actor (`seen`): a plain post of someone it follows shows up in `log` alone.
"""

import os, re, tempfile, uuid
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urljoin, urlsplit
import requests, uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pubby import ActivityPubHandler, Object
from pubby.crypto import export_private_key_pem, generate_rsa_keypair, sign_request
from pubby.handlers._outbox import collect_inboxes
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
pages, voters, profile = {}, {}, {}
AS2 = "application/activity+json"
app = FastAPI()


def many(x):
    return [] if x is None else x if isinstance(x, list) else [x]


def heard(raw):
    log.append(raw)
    vote = raw.get("object")
    if raw["type"] == "Create" and isinstance(vote, dict) and vote.get("name") and vote.get("inReplyTo"):
        question = pages.get(urlsplit(str(vote["inReplyTo"])).path, {})
        for option in many(question.get("oneOf") or question.get("anyOf")):
            if option["name"] == vote["name"]:
                option["replies"]["totalItems"] += 1
                who = voters.setdefault(question["id"], set())
                who.add(raw["actor"])
                question["votersCount"] = len(who)


storage = init_db_storage(f"sqlite:///{data}/pubby.db")
handler = ActivityPubHandler(
    storage=storage,
    private_key_path=keyfile,
    max_retries=1,
    actor_config={"base_url": ORIGIN, "username": ACTOR, "name": "Pubby peer", "summary": "<p>test peer</p>"},
    on_activity=lambda activity, raw: heard(raw),
    on_follow_response=lambda actor, accepted: following.update({actor: accepted}),
    on_interaction_received=lambda i: seen.append(i.to_dict() if hasattr(i, "to_dict") else repr(i)),
)
objects = {}
actor_document = handler.get_actor_document
handler.get_actor_document = lambda: actor_document() | {"featured": f"{ORIGIN}/featured"} | profile


@app.middleware("http")
async def served(request, call_next):
    if request.method == "GET" and (doc := pages.get(request.url.path)):
        return JSONResponse(doc, media_type=AS2)
    return await call_next(request)


@app.get("/objects/{oid}")
def get_object(oid: str):
    o = objects.get(oid)
    return (
        JSONResponse(
            {"@context": "https://www.w3.org/ns/activitystreams", **o.to_dict()},
            media_type=AS2,
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


@app.post("/_ctl/deliver")
def deliver(b: dict):
    out = handler.outbox
    inboxes = set(out._collect_recipient_inboxes({"to": [to for to in b["to"] if to != "followers"]}))
    if "followers" in b["to"]:
        inboxes |= set(collect_inboxes(storage.get_followers(actor_id=handler.actor_id)))
    return {inbox: out._deliver_status(inbox, b["activity"]) for inbox in inboxes}


@app.post("/_ctl/serve")
def serve(b: dict):
    pages.pop(b["path"], None)
    if b["doc"]:
        pages[b["path"]] = b["doc"]
    return {}


@app.post("/_ctl/profile")
def set_profile(b: dict):
    profile.update(b["fields"])
    return handler.get_actor_document()


def read(url, again=True):
    accept = {"Accept": f'{AS2}, application/ld+json; profile="https://www.w3.org/ns/activitystreams", text/html;q=0.5'}
    out = handler.outbox
    headers = sign_request(private_key=out.private_key, key_id=out.key_id, method="GET", url=url, headers=accept)
    r = requests.get(url, headers={**headers, **accept}, timeout=10)
    r.raise_for_status()
    if "json" in r.headers["content-type"]:
        return {"url": r.url, "document": r.json()}
    alternate = re.search(r"<([^<>]+)>;[^,]*application/activity\+json", r.headers.get("link", ""))
    for link in re.findall(r"<(?:link|a)\b[^>]*>", r.text):
        if "alternate" in link and AS2 in link and not alternate:
            alternate = re.search(r'href="([^"]+)"', link)
    if not (alternate and again):
        raise ValueError(f"{url}: {r.headers['content-type']}, and no link to its JSON-LD")
    return read(urljoin(r.url, alternate[1].replace("&amp;", "&")), again=False)


@app.post("/_ctl/fetch")
def fetch(b: dict):
    try:
        return read(b["url"])
    except Exception as e:
        return JSONResponse({"error": f"{type(e).__name__}: {e}"}, 500)


@app.post("/_ctl/collection")
def collection(b: dict):
    def load(page):
        return read(page)["document"] if isinstance(page, str) else page

    whole, items, limit = load(b["url"]), [], b.get("limit") or 500
    page = load(whole["first"]) if whole.get("first") else whole
    while page and len(items) < limit:
        items += many(page.get("orderedItems") or page.get("items"))
        page = load(page["next"]) if page.get("next") else None
    return {"totalItems": whole.get("totalItems"), "items": items[:limit]}


@app.post("/_ctl/edit")
def edit(b: dict):
    o = objects[b["id"].rsplit("/", 1)[1]]
    o.content, o.updated = b["content"], datetime.now(timezone.utc)
    return about("Update", b["id"], o.to_dict(), b["to"])


@app.post("/_ctl/remove")
def remove(b: dict):
    objects.pop(b["id"].rsplit("/", 1)[1], None)
    pages.pop(urlsplit(b["id"]).path, None)
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
