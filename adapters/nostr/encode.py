"""Neutral words to unsigned events. Pure; the adapter signs what comes out.

A `Draft` becomes one event and one part; a `Part` goes to the core as it is. Parts made for the account
itself (`of` is the account) have the numbers that `drafts` names.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from adapters.nostr import ids, lists, messages, polls, profiles_out, replies
from adapters.nostr.drafts import (
    Draft,
    Drafts,
    Letter,
    after,
    created,
    detail_of,
    identifier,
    provenance,
    said,
    there_for,
    time_of,
)
from adapters.nostr.home import Home
from adapters.nostr.note import Form, note
from adapters.nostr.reports import report
from bridged.api import (
    Activity,
    Block,
    Copy,
    Delete,
    Edit,
    Follow,
    Media,
    Message,
    Move,
    Part,
    Pin,
    Post,
    PostBody,
    Profile,
    React,
    Report,
    Repost,
    Tally,
    Text,
    There,
    View,
    Vote,
)

__all__ = ["ACTS", "Draft", "Drafts", "Letter", "encode"]

ACTS: Final = frozenset(
    {
        *("Post", "Edit", "Delete", "React", "Repost", "Vote", "Tally"),
        *("Follow", "Block", "Pin", "Profile", "Move", "Report", "Message"),
    }
)

_SHORT: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")

ARTICLE, VIDEO, SHORT_VIDEO = 30023, 34235, 34236
_FORMS: Final[dict[str, Form]] = {str(ARTICLE): "article", str(VIDEO): "video", str(SHORT_VIDEO): "video"}

MAX_SHOWN = 48 << 10
"""Characters of JSON that a repost carries; the event has 64 KiB in all."""


def encode(activity: Activity, view: View, home: Home) -> Drafts:
    """Raises Rejected for what has no form here."""
    act = activity.act
    match act:
        case Post(body):
            return _post(activity, body, view, home)
        case Edit(body):
            return _edit(activity, body, view, home)
        case Delete():
            return _delete(activity, act, view, home)
        case React(target):
            return _reaction(activity, act, there_for(view, target), view, home)
        case Repost(target):
            return Drafts((_repost(activity, there_for(view, target), view, home),))
        case Vote():
            return Drafts((polls.vote(activity, act, view, home),))
        case Tally():
            return _tally(activity, act, view, home)
        case Follow():
            return Drafts((lists.follows(activity, view),))
        case Block():
            return Drafts((lists.blocks(activity, view),))
        case Pin():
            return Drafts((lists.pins(activity, view),))
        case Profile():
            return profiles_out.profile(activity, view, home)
        case Move(target):
            moved = replace(view, account=replace(view.account, moved=target))
            return profiles_out.profile(activity, moved, home)
        case Report():
            return Drafts((report(activity, act, view),))
        case Message():
            return Drafts(messages.letters(activity, act, view, home))
        case _:
            return Drafts()


def _post(activity: Activity, body: PostBody, view: View, home: Home) -> Drafts:
    draft, losses = _written(activity, body, view, home, form=_form(body))
    return Drafts((draft,), losses)


def _edit(activity: Activity, body: PostBody, view: View, home: Home) -> Drafts:
    """An article or video is replaced. Nobody honours edits of notes: a note is deleted and said again, or answered."""
    old = next((copy for copy in view.previous if not copy.gone and copy.ref is not None), None)
    if old is None:
        return _post(activity, body, view, home)
    form = _FORMS.get(old.detail.get("kind", ""), "note")
    draft, losses = _written(activity, body, view, home, form=form)
    if form != "note":
        draft = replace(draft, at=after(view, old, draft.at))
        return Drafts((replace(draft, detail={**draft.detail, "created_at": str(draft.at)}),), losses)
    before = said(old)
    if before is not None and before == (draft.content, draft.tags):
        return Drafts((), ("the edit changed nothing that shows here",))
    if home.edits == "note" or old.detail.get("kind") == str(polls.KIND):
        # A poll said anew would begin without the votes it has.
        return _amended(activity, body, old, view, home)
    if before is None:
        return Drafts((draft,), losses)
    deletion = _deletion(activity, (old,), view)
    return Drafts((deletion, draft), (*losses, "an edited note is a new note here; answers stay with the old one"))


def _amended(activity: Activity, body: PostBody, old: Copy, view: View, home: Home) -> Drafts:
    """What the post reads now, as an answer to it: one more part of it, so that it goes when the post goes."""
    there = There(body.ref, old.ref, view.actor.ref, body.root, detail=old.detail, parts=(old,))
    lead = "Edited:\n\n"
    spans = tuple(replace(span, start=span.start + len(lead), end=span.end + len(lead)) for span in body.text.spans)
    changed = replace(body, text=Text(lead + body.text.plain, spans), reply_to=body.ref, poll=None)
    beside = replace(view, there={**view.there, body.ref: there})
    draft, losses = _written(activity, changed, beside, home, form="note")
    number = max(copy.part for copy in view.previous) + 1
    return Drafts((replace(draft, number=number),), (*losses, "the edit is an answer here; the note reads as before"))


def _tally(activity: Activity, act: Tally, view: View, home: Home) -> Drafts:
    """Nothing counts votes but clients, so the result of a closed poll is a comment on it."""
    if not act.poll.closed:
        return Drafts()
    there = view.there.get(act.target)
    if there is None or there.ref is None:
        return Drafts((), ("the poll's result: the poll is not here",))
    text = "The poll has ended:\n" + polls.results(act.poll)
    body = PostBody(activity.ref, activity.actor, Text(text), activity.at, reply_to=act.target, root=there.root)
    draft, losses = _written(activity, body, view, home, form="note")
    return Drafts((draft,), losses)


def _delete(activity: Activity, act: Delete, view: View, home: Home) -> Drafts:
    if act.target == view.account.ref:
        return profiles_out.farewell(activity, view, final=act.final)
    subject = view.subject.act if view.subject is not None else None
    if isinstance(subject, Follow):
        return Drafts((lists.follows(activity, view),))
    if isinstance(subject, Block):
        return Drafts((lists.blocks(activity, view),))
    live = [copy for copy in view.previous if not copy.gone and copy.ref is not None]
    if not live:
        return Drafts()
    withdrawn = [
        Part(copy.origin, copy.ref, b"", b"", number=copy.part, gone=True, detail=copy.detail) for copy in live
    ]
    return Drafts((_deletion(activity, live, view), *withdrawn))


def _deletion(activity: Activity, copies: Sequence[Copy], view: View) -> Draft:
    """NIP-09, dated no earlier than what it deletes: an `a` reaches versions up to its own time only."""
    tags: list[tuple[str, ...]] = []
    kinds: dict[str, None] = {}
    for copy in copies:
        if copy.ref is not None:
            coordinates = ids.split_address(copy.ref.id)
            tags.append(("e" if coordinates is None else "a", copy.ref.id))
            if coordinates is not None and "event" in copy.detail:
                tags.append(("e", copy.detail["event"]))
            kinds[copy.detail.get("kind", "1")] = None
    tags += [("k", kind) for kind in kinds]
    at = max([time_of(activity, view), *map(created, copies)])
    if any(tag[0] == "a" for tag in tags):
        at = max(at, int(view.not_before))
    return Draft(activity.ref, 5, at, (*tags, *provenance(activity.ref, "")), detail=detail_of(5, at))


def _form(body: PostBody) -> Form:
    if not body.title or body.reply_to is not None or body.poll is not None:
        return "note"
    return "video" if _film(body) is not None else "article"


def _film(body: PostBody) -> Media | None:
    """The film that a post is about: the only one, and not one among pictures."""
    return body.media[0] if len(body.media) == 1 and body.media[0].type.startswith("video/") else None


def _written(
    activity: Activity, body: PostBody, view: View, home: Home, *, form: Form
) -> tuple[Draft, tuple[str, ...]]:
    poll = body.poll
    if poll is not None and poll.closed:
        ended = f"\n\nThis poll has ended:\n{polls.results(poll)}"
        body, poll = replace(body, text=_ending(body.text, ended)), None
    written = note(body, view, home, form=form)
    thread = replies.Thread() if form != "note" else replies.thread_of(body, view, home)
    kind = polls.KIND if poll is not None else thread.kind
    content = written.content
    if thread.orphan and (link := body.url or body.uri):
        content = f"{content}\n\n{link}".strip()
    keys = [key for key in dict.fromkeys((*thread.keys, *written.keys)) if key != view.actor.ref.id]
    keys = keys[: replies.MAX_KEYS]
    tags: list[tuple[str, ...]] = list(thread.tags)
    # NIP-22 gives `p` the parent's author, already among the thread's tags.
    there = {tag[1] for tag in tags if tag[0] == "p"}
    tags += [("p", key) for key in keys if key not in there]
    tags += written.tags
    if form == "article":
        kind, tags = ARTICLE, [*_article_tags(body), *tags]
    elif form == "video":
        kind, tags = _video_kind(body), [*_video_tags(body), *tags]
    if poll is not None:
        tags += polls.tags_of(poll, body.text.plain, home)
    tags += provenance(body.ref, body.url)
    at = time_of(activity, view)
    detail = {**detail_of(kind, at), **thread.detail}
    if keys or there:
        detail["p"] = ",".join(dict.fromkeys((*keys, *there)))
    draft = Draft(body.ref, kind, at, tuple(tags), content, detail=detail)
    losses = (*written.losses, *(("what it answers is not here",) if thread.orphan else ()))
    return draft, losses


def _article_tags(body: PostBody) -> replies.Tags:
    """NIP-23."""
    tags: replies.Tags = [("d", identifier(body.ref)), ("title", body.title)]
    if body.summary:
        tags.append(("summary", body.summary))
    pictures = (media.url for media in body.media if media.type.startswith("image/"))
    if image := body.image or next(pictures, ""):
        tags.append(("image", image))
    return [*tags, ("published_at", str(int(body.at)))]


def _video_kind(body: PostBody) -> int:
    """NIP-71, of the kinds that can be replaced: a film that is higher than wide is a short one."""
    film = _film(body)
    width, height = (film.size if film else None) or (1, 0)
    return SHORT_VIDEO if height > width else VIDEO


def _video_tags(body: PostBody) -> replies.Tags:
    return [("d", identifier(body.ref)), ("title", body.title), ("published_at", str(int(body.at)))]


def _ending(text: Text, letters: str) -> Text:
    return Text((text.plain + letters).strip() if not text.plain else text.plain + letters, text.spans)


def _reaction(activity: Activity, act: React, there: There, view: View, home: Home) -> Drafts:
    """NIP-25; a custom emoji goes with its NIP-30 tag."""
    content, tags = act.content.strip(), replies.pointers(there, view, home)
    code = content.strip(":")
    if content.startswith(":") and content.endswith(":") and len(content) > 2:
        if act.emoji and code and set(code) <= _SHORT:
            tags.append(("emoji", code, act.emoji))
        else:
            content = "+"
    # A "-" would say the opposite of what was meant.
    content = "+" if content in ("", "-") or len(content) > 64 else content
    at = time_of(activity, view)
    tags += [("p", there.author.id), ("k", replies.kind_of(there)), *provenance(activity.ref, "")]
    losses = ("a reaction that cannot be shown is a like here",) if content == "+" and act.content.strip() else ()
    return Drafts((Draft(activity.ref, 7, at, tuple(tags), content, detail=detail_of(7, at)),), losses)


def _repost(activity: Activity, there: There, view: View, home: Home) -> Draft:
    """NIP-18: what is shown goes along as JSON."""
    of_kind, at = replies.kind_of(there), time_of(activity, view)
    kind = 6 if of_kind == "1" else 16
    tags = [*replies.pointers(there, view, home), ("p", there.author.id)]
    if kind == 16:
        tags.append(("k", of_kind))
    own = next((copy.served.decode() for copy in there.parts if copy.served and not copy.gone), "")
    shown = own or there.detail.get("json", "")
    if len(json.dumps(shown)) > MAX_SHOWN:
        shown = ""  # readers fetch it by its id
    tags += provenance(activity.ref, "")
    return Draft(activity.ref, kind, at, tuple(tags), shown, detail=detail_of(kind, at))
