"""Reports (NIP-56), both ways. Pure."""

from typing import Final

from adapters.nostr import ids
from adapters.nostr.drafts import Draft, detail_of, provenance, time_of
from adapters.nostr.event import Event
from adapters.nostr.note import key_of
from adapters.nostr.replies import Tags
from bridged.api import HOME, Activity, Malformed, Ref, Rejected, Report, View

KIND: Final = 1984
REASONS: Final = frozenset({"nudity", "malware", "profanity", "illegal", "spam", "impersonation", "other"})
MAX_TEXT: Final = 5000
MAX_POSTS: Final = 50


def report_of(event: Event) -> Report:
    """Raises Malformed: target, where no account is named."""
    target, reason = "", ""
    posts: dict[Ref, None] = {}
    for tag in event.tags:
        if len(tag) < 2 or tag[0] not in ("p", "e", "a"):
            continue
        if tag[0] == "p":
            target = target or (tag[1] if ids.is_hex(tag[1]) else "")
        elif ids.is_hex(tag[1]) if tag[0] == "e" else ids.split_address(tag[1]) is not None:
            posts[Ref(ids.NETWORK, tag[1])] = None
        said = tag[2].lower() if len(tag) > 2 else ""
        reason = reason or (said if said in REASONS else "")
    if not target:
        raise Malformed("target")
    return Report(
        ids.account_ref(target), tuple(posts)[:MAX_POSTS], reason or "other", event.content[:MAX_TEXT].strip()
    )


def report(activity: Activity, act: Report, view: View) -> Draft:
    """Said by the bot, it does not repeat what a person wrote. Raises Rejected."""
    key = key_of(act.target, view)
    if key is None:
        raise Rejected("nothing stands here for the account that is reported")
    reason = act.reason if act.reason in REASONS else "other"
    tags: Tags = []
    for post in act.posts[:MAX_POSTS]:
        there = view.there.get(post)
        if there is not None and there.ref is not None:
            tags.append(("e" if ids.split_address(there.ref.id) is None else "a", there.ref.id, reason))
    tags.append(("p", key, reason))
    own = activity.actor.network == HOME
    tags += [] if own else provenance(activity.ref)
    at = time_of(activity, view)
    text = "" if own else act.text[:MAX_TEXT]
    return Draft(activity.ref, KIND, at, tuple(tags), text, detail=detail_of(KIND, at))
