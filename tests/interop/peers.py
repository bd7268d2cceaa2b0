"""The servers and people nobody here wrote, behind one interface each.

Fediverse: `Fedify(world, host, user, kind="Group", …)` and `Pubby(world, host)`, both a `Peer` with one actor (`.actor`).
`received(type, object=id, actor=id)`, `notes(text)`, `wait_note(text)` read its log of verified activities, as they were
written. `to`, `author` are ids of actors; what is said goes to them and, where it says followers, to the followers as well.

| what | how | returns |
|---|---|---|
| by the library itself (retries; Fedify adds proofs, and drops words it does not know) | | |
| post, answer, edit, delete | `post(text, **note)` `reply(text, note, author)` `edit(note, text, to)` `delete(note, to)` | id |
| like, boost, undo | `like(note, author)` `boost(note, author)` `undo(activity, author)` | activity |
| follow | `follow(actor)` `unfollow(actor)` `following()` `followers()` | |
| as it is, signed by the library, sent once, every inbox took it (acts.py) | | |
| any object | `publish(*to, followers=True, type=…, content=…, summary=…, sensitive=…, contentMap=…, attachment=[media(…)], …)` | id |
| its new state | `update(id, *to, **changes)` | Update |
| any activity | `act(type, object, *to, followers=False, **fields)`, undone by `retract(activity, *to)` | activity |
| the same, refused or not | `deliver(activity, *to, followers=False)` | {inbox: status} |
| any document | `serve(url, doc or None)` | |
| direct message | `dm(text, *to)`, those that arrived: `dms(text)` | id, notes |
| emoji reaction | `react(note, author, "🔥")`, custom: `react(note, author, ":x:", emoji("x", url))`, Misskey's: kind="Like" | activity |
| poll | `poll(text, options, *to, multiple=False, hours=24)` `vote(question, author, *options)` `counts(question)` | id, -, {name: n} |
| poll: tell counts, close | `update(question, *to)` `update(question, *to, closed=now())` | Update |
| quote | `quote(text, note, *to)`; allowed by `publish(interactionPolicy=ANYONE_MAY_QUOTE)` | id |
| ask whether one may | `request_quote(quoting, note, author)` `quote_answer(request)`, then `update(quoting, quoteAuthorization=…)` | activity |
| profile | `profile(*to, name=…, attachment=[prop(name, value)], alsoKnownAs=[…])` | document |
| move | `new.profile(alsoKnownAs=[old.actor])`, `old.move(new.actor, *to)` | Move |
| block, report | `block(actor)` and `retract(block)`; `flag(actor, *notes, comment=…)` | activity |
| group (FEP-1b12) | `announce(activity, *to)` | Announce |
| pins | `pin(note, *to)` `unpin(note, *to)` `featured(actor)` | activity, items |
| signed reading | `fetch(url)` (search by URL; pages too) `collection(url)` `lookup("acct:…")` | document |

Fedify answers a QuoteRequest for what `publish` made as its interactionPolicy says; pubby accepts every one (its own code).
Neither library has polls, direct messages, pins, reports or moves of its own: both log and deliver them.

Nostr: relays `Relay` (strict, logs what it admits), `AuthFirst` (AUTH demanded, logs frames), `Sloppy`. People:
`NostrUser(Nostr(world), name, relay.url)` on nostr-sdk, or `NostrUser(NostrTools(world), name, url)` on nostr-tools:

| what | how |
|---|---|
| write | `note` `reply` `like` `repost` `delete` `follow` `profile` `publish(kind, content, tags, relay, at)` `try_publish` |
| write anything | `nostr.send(event, *relays)` -> {"event", "ok": [url], "failed": {url: why}} |
| read | `nostr.fetch(url, kinds=[1], _e=[id])`, `one(nostr, relay, …)` waits for the only one; `tags(event, name)` |
| nostr-tools only | `count(url, **filter)` `auth(url, key)` `watch(*urls, **filter)`: `.seen()` `.events(text)` `.close()` |
| NIP-17 letters | `dm(key, to, text, *relays)` `dms(key, *relays)` |
| NIP-05, NIP-11 | `nip05(name)` `info(url)` |
"""  # noqa: E501

from .acts import (
    ANYONE_MAY_QUOTE,
    NOBODY_MAY_QUOTE,
    PUBLIC,
    emoji,
    ident,
    is_public,
    many,
    media,
    mention,
    now,
    prop,
)
from .fediverse import Fedify, Peer, Pubby
from .nostr_peers import AuthFirst, Nostr, NostrTools, NostrUser, Relay, Sloppy, Watch, one, tags

__all__ = [
    "ANYONE_MAY_QUOTE", "NOBODY_MAY_QUOTE", "PUBLIC", "AuthFirst", "Fedify", "Nostr", "NostrTools", "NostrUser", "Peer",
    "Pubby", "Relay", "Sloppy", "Watch", "emoji", "ident", "is_public", "many", "media", "mention", "now", "one",
    "prop", "tags",
]  # fmt: skip
