"""Accounts of other networks as app.bsky.actor.profile, while they last and when they are gone. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from adapters.atproto import cbor, crypto, ids, writes
from adapters.atproto.embeds_out import blob_of
from adapters.atproto.facets import MAX_BYTES
from adapters.atproto.labels import NOT_FOR_STRANGERS, self_labels
from adapters.atproto.moments import spelled
from adapters.atproto.syntax import uri_of
from adapters.atproto.threads_out import strong
from adapters.atproto.words_out import localized, whom
from bridged.api import (
    HOME,
    Account,
    Activity,
    Copy,
    Malformed,
    Outgoing,
    Pin,
    Ref,
    Span,
    Text,
    View,
    clean_name,
    graphemes,
    rewrite,
    truncate,
    web_url,
)

PROFILE, ENDED = 0, 1
"""Numbers of the parts made for an account itself."""
MAX_NAME: Final = 64
MAX_ABOUT: Final = 256
MAX_ABOUT_BYTES: Final = 2560
MAX_ORIGINAL: Final = 30_000
_MAX_TAIL: Final = 120

Record = dict[str, Any]


def profile(activity: Activity, view: View) -> Outgoing:
    """Nothing when nothing changed."""
    return _written(activity, view, _known(view).get("pinnedPost"))


def pin(activity: Activity, act: Pin, view: View) -> Outgoing:
    """One post is kept at the top here: the last that was pinned."""
    there = strong(view.there.get(act.target))
    now: Any = _known(view).get("pinnedPost")
    if act.pinned and there is not None:
        return _written(activity, view, there.record())
    if there is not None and isinstance(now, dict) and there.uri == now.get("uri"):  # pyright: ignore[reportUnknownMemberType]
        return _written(activity, view, None)
    return Outgoing()


def farewell(view: View, *, final: bool) -> Outgoing:
    """The account is gone, and its repo with it; its identity stays, unless that is `final`."""
    of, uri = view.account.ref, _uri(view)
    ended = (writes.farewell(of, uri, ENDED, final=True),) if final else ()
    return Outgoing((writes.farewell(of, uri, PROFILE), *ended))


def _written(activity: Activity, view: View, pinned: Any) -> Outgoing:
    account, old = view.account, _own(view)
    about, cut = _about(account, view)
    losses = tuple(_lost(account, view, cut=cut))
    known = _known(view)
    record: Record = {
        "$type": ids.PROFILE,
        "displayName": _name(account),
        "description": about,
        "createdAt": known.get("createdAt") or spelled(min(account.since or activity.at, view.at)),
    }
    addresses = (web_url(value.strip()) for _, value in account.fields)
    if website := next((url for url in addresses if url), web_url(account.url) or ""):
        record["website"] = uri_of(website)
    for name, address in (("avatar", account.avatar), ("banner", account.banner)):
        blob = view.blobs.get(address) if address else None
        if blob is not None:
            record[name] = blob_of(blob)
    if labels := _labels(account):
        record["labels"] = self_labels(labels)
    if pinned:
        record["pinnedPost"] = pinned
    if account.ref.network != HOME:
        record["bridgedOriginalUrl"] = account.url or account.uri or account.ref.id
        if account.bio.plain and account.bio.plain not in about:
            record["bridgedOriginalText"] = truncate(Text(account.bio.plain), max_bytes=MAX_ORIGINAL).plain
    live = old is not None and not old.gone
    # what the identity says beside the record: it is looked at whenever a profile is written
    facts = {"handle": view.actor.handle, **({"key": key} if (key := _key(account)) else {})}
    if live and known == record and old is not None and facts.items() <= old.detail.items():
        return Outgoing()
    part = writes.put(account.ref, _uri(view), record, number=PROFILE, update=live, facts=facts, key=key)
    return Outgoing((part,), losses)


def _key(account: Account) -> str:
    """A public key that the account shows as its own (`did:key:z…` in a field): it may change the identity here."""
    for _, value in account.fields:
        try:
            crypto.parse_did_key(value.strip())
            return value.strip()
        except Malformed:
            continue
    return ""


def _name(account: Account) -> str:
    name = clean_name(account.name or account.handle, MAX_NAME)
    return truncate(Text(name), max_bytes=640).plain


def _labels(account: Account) -> Iterator[str]:
    if account.ref.network != HOME:
        yield f"bridged-from-{account.ref.network}"
    if account.bot:
        yield "bot"
    if not account.discoverable or not account.indexable:
        yield NOT_FOR_STRANGERS


def _about(account: Account, view: View) -> tuple[str, bool]:
    """The bio, with what a profile has no member for as lines, and whence it is; and whether it had to be cut."""
    lines = [f"{_line(name)}: {_line(value)}" for name, value in account.fields if value.strip()]
    parts = [_plain(account.bio, view), "\n".join(lines)]
    if account.moved is not None:
        found, known = whom(account.moved, view), view.accounts.get(account.moved)
        where = f"@{found[1]}" if found and found[1] else known.url if known else account.moved.id
        parts.insert(0, f"moved to {where}")
    text = "\n\n".join(part for part in parts if part)
    tail = ""
    if account.ref.network != HOME:
        origin = account.url or account.uri
        tail = f"bridged from {origin if 0 < len(origin) <= _MAX_TAIL else account.handle}"
        tail = truncate(Text(tail), max_graphemes=_MAX_TAIL + 20, max_bytes=MAX_ABOUT_BYTES // 2).plain
    gap = "\n\n" if tail and text else ""
    room = MAX_ABOUT - graphemes(tail) - len(gap)
    octets = MAX_ABOUT_BYTES - len(tail.encode("utf-8", "replace")) - len(gap)
    shown = truncate(Text(text), max_graphemes=room, max_bytes=octets).plain
    return f"{shown}{gap}{tail}", shown != text


def _plain(bio: Text, view: View) -> str:
    """A description has no facets: its readers find bare addresses by themselves."""
    text = localized(truncate(bio, max_bytes=MAX_BYTES), view)

    def letters(span: Span, said: str) -> str | None:
        if span.kind != "link" or not isinstance(span.target, str):
            return None
        bare = said.rstrip("…/").removeprefix("https://") in span.target
        return span.target if bare else f"{said} ({span.target})"

    return rewrite(text, letters).plain


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]


def _lost(account: Account, view: View, *, cut: bool) -> Iterator[str]:
    """What a profile has no member for, and words in the bio would not replace."""
    if cut:
        yield "the text was cut"
    if account.locked:
        yield "that each follow is decided on: here nobody is asked"
    if account.group:
        yield "that it is a group"
    if account.emojis:
        yield "custom emoji, which show as their names"
    if any(address and view.blobs.get(address) is None for address in (account.avatar, account.banner)):
        yield "a picture of the profile is not to be had"


def _own(view: View) -> Copy | None:
    return next((copy for copy in view.own if copy.part == PROFILE), None)


def _known(view: View) -> Record:
    """The profile as it stands here."""
    copy = _own(view)
    return cbor.decode(copy.served) if copy is not None and copy.served and not copy.gone else {}


def _uri(view: View) -> Ref:
    return ids.record_ref(view.actor.ref.id, ids.PROFILE, "self")


def moved(view: View, target: Ref) -> View:
    return replace(view, account=replace(view.account, moved=target))
