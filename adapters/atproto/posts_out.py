"""Posts of other networks as app.bsky.feed.post: one record, or a thread of them, each a part of the copy. Pure.

`Part.detail` of a post has `cid`, and for all that answer something `root` and `root_cid`, as `decode` keeps them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from adapters.atproto import cbor, ids, tid, writes
from adapters.atproto.articles import ARTICLE, article
from adapters.atproto.embeds_out import Files, addresses, card, files, with_quote
from adapters.atproto.facets import MAX_BYTES, MAX_GRAPHEMES, facets_of, is_tag
from adapters.atproto.flat import joined
from adapters.atproto.gates import GATES, gates
from adapters.atproto.home import Home
from adapters.atproto.labels import labels_for, self_labels
from adapters.atproto.moments import spelled
from adapters.atproto.syntax import is_language
from adapters.atproto.threads_out import Strong, strong, thread_of
from adapters.atproto.words_out import line, localized
from bridged.api import (
    HOME,
    Activity,
    Card,
    Copy,
    Outgoing,
    Part,
    Poll,
    PostBody,
    Ref,
    Text,
    View,
    graphemes,
    split,
    trim,
    truncate,
    web_url,
)

MAX_PARTS: Final = 25
"""Posts of one thread; a longer text ends in a link to the rest."""
MAX_TAGS: Final = 8
MAX_ORIGINAL: Final = 30_000
"""Bytes of the text as it was."""
_MAX_TAIL: Final = 120
_PLAIN_WARNINGS: Final = frozenset({"adult content", "sexually suggestive", "nudity", "graphic media"})
_ADDED: Final = ("bridgedEdited", "reply")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Said:
    """The texts of the posts, what the first embeds beside a quote, and what was lost."""

    texts: tuple[Text, ...]
    embed: Record | None
    losses: tuple[str, ...] = ()


def post(activity: Activity, body: PostBody, view: View, home: Home, *, edited: bool = False) -> Outgoing:
    """`edited`: it takes the place of `View.previous`, post by post; posts too many are deleted, further ones added."""
    said = _said(body, view, home)
    losses = (*said.losses, *_lost(body, view))
    uris = _posts(body, view, len(said.texts), edited=edited)
    parts = [*_parts(activity, body, view, said, uris, edited=edited)]
    old = view.previous if edited else ()
    parts += gates(body, uris, view, [copy for copy in old if copy.part != ARTICLE])
    if home.articles or any(copy.part == ARTICLE for copy in old):  # what stands is kept up, also once that is off
        parts += _article(activity, body, view, uris[0], parts, edited=edited)
    if edited and not parts:
        return Outgoing((), ("the edit changed nothing that shows here",))
    return Outgoing(tuple(parts), losses)


def _article(
    activity: Activity, body: PostBody, view: View, post: Ref, parts: list[Part], *, edited: bool
) -> Iterator[Part]:
    """The whole of what has a title, beside the `post` that tells of it, as it is or is about to be."""
    before = {copy.part: copy for copy in view.previous}
    told: Part | Copy = next((part for part in parts if part.number == 0 and not part.gone), None) or before[0]
    when = min(activity.at, view.at) if edited else None
    yield from article(body, Strong(post.id, told.detail["cid"]), view, before.get(ARTICLE), when)


def place(actor: Ref, collection: str, source: Ref, at: float, part: int = 0) -> Ref:
    """Where the record stands that says what `source` said at `at`: always the same."""
    return ids.record_ref(actor.id, collection, tid.record_key(source, at, part))


def _parts(
    activity: Activity, body: PostBody, view: View, said: _Said, uris: list[Ref], *, edited: bool
) -> Iterator[Part]:
    before = {copy.part: copy for copy in view.previous if copy.part < GATES} if edited else {}
    records = list(_records(body, view, said))
    live = {number for number, copy in before.items() if not copy.gone}
    if live == set(range(len(records))) and all(_alike(before[n], record) for n, record in enumerate(records)):
        return
    thread = thread_of(body, view)
    for number, record in enumerate(records):
        if reply := thread.record():
            record["reply"] = reply
        if edited:
            record["bridgedEdited"] = spelled(min(activity.at, view.at))
        uri = uris[number]
        facts = {"root": thread.root.uri, "root_cid": thread.root.cid} if thread.root else {}
        part = writes.put(body.ref, uri, record, number=number, update=number in live, facts=facts)
        yield part
        thread = thread.after(Strong(uri.id, part.detail["cid"]))
    yield from (writes.withdrawn(before[number]) for number in sorted(live) if number >= len(records))


def _posts(body: PostBody, view: View, count: int, *, edited: bool) -> list[Ref]:
    """Where the posts stand: an edit leaves them where they were."""
    before = {copy.part: copy.ref for copy in view.previous if copy.ref is not None} if edited else {}
    return [before.get(number) or place(view.actor.ref, ids.POST, body.ref, body.at, number) for number in range(count)]


def _records(body: PostBody, view: View, said: _Said) -> Iterator[Record]:
    """The posts, but for what ties them to others."""
    common, moment = _common(body), min(body.at, view.at)
    for number, text in enumerate(said.texts):
        # a moment apart, so that who sorts by time keeps their order
        record: Record = {"$type": ids.POST, "text": text.plain, **common, "createdAt": spelled(moment + number / 1000)}
        if facets := facets_of(text):
            record["facets"] = facets
        yield record | _first(body, view, said) if number == 0 else record


def _alike(old: Copy, record: Record) -> bool:
    """Whether an edit leaves a post as it is."""
    known: Record = cbor.decode(old.served) if old.served else {}
    return {name: value for name, value in known.items() if name not in _ADDED} == record


def _common(body: PostBody) -> Record:
    """What every post of a thread has."""
    record: Record = {}
    if body.lang and is_language(body.lang):
        record["langs"] = [body.lang]
    if body.sensitive or body.warning:
        record["labels"] = self_labels(labels_for(body.warning))
    origin = body.url or body.uri
    if body.ref.network != HOME and (origin := web_url(origin) or body.uri or body.ref.id):
        record["bridgedOriginalUrl"] = origin
    return record


def _first(body: PostBody, view: View, said: _Said) -> Record:
    """What only the first post of a thread has."""
    record: Record = {}
    tags = [tag for tag in _beside(body) if is_tag(tag)][:MAX_TAGS]
    if tags:
        record["tags"] = tags
    quoted = strong(view.there.get(body.quote)) if body.quote else None
    if embed := with_quote(said.embed, quoted.record() if quoted else None):
        record["embed"] = embed
    if body.ref.network != HOME and [text.plain for text in said.texts] != [body.text.plain]:
        record["bridgedOriginalText"] = truncate(Text(body.text.plain), max_bytes=MAX_ORIGINAL).plain
    return record


def _beside(body: PostBody) -> list[str]:
    shown = {tag.lower() for tag in body.text.tags()}
    return [tag for tag in body.hashtags() if tag.lower() not in shown]


def _said(body: PostBody, view: View, home: Home) -> _Said:
    shown = files(body.media, view)
    main, tail = _words(body, view), _tail(body, view, shown)
    url = web_url(body.url)
    whole = joined((main, tail), "\n\n")
    if body.title and url and not (shown.embed and _fits(whole)):
        return _titled(body, view, main, url)
    embed = shown.embed or _card(body, view, shown)
    if _fits(whole):
        return _Said((whole,), embed)
    if home.long_posts == "thread":
        pieces = split(whole, max_graphemes=MAX_GRAPHEMES, max_bytes=MAX_BYTES)
        if len(pieces) <= MAX_PARTS:
            return _Said(pieces, embed)
        begun = split(main, max_graphemes=MAX_GRAPHEMES, max_bytes=MAX_BYTES)[: MAX_PARTS - 1]
        rest = joined((line(url) if url else Text(), tail), "\n")
        ends = split(rest, max_graphemes=MAX_GRAPHEMES, max_bytes=MAX_BYTES)[:1]
        return _Said((*begun, *ends), embed, losses=("the text was cut",))
    return _cut(body, view, main, tail, embed)


def _cut(body: PostBody, view: View, main: Text, tail: Text, embed: Record | None) -> _Said:
    """The beginning, and the way to the rest: a card, or a link where the post shows something else."""
    url = web_url(body.url)
    if url and embed is None:
        account = view.account
        name = f"{account.name} ({account.handle})" if account.name else account.handle
        embed = card(Card(url, name, main.plain), view)
    elif url:
        tail = joined((tail, line(url)), "\n")
    tail = next(iter(split(tail, max_graphemes=_MAX_TAIL, max_bytes=MAX_BYTES // 3)), Text())
    return _Said((_cut_to_fit(main, tail),), embed, losses=("the text was cut",))


def _cut_to_fit(main: Text, tail: Text) -> Text:
    """As much of `main` as leaves room for `tail`."""
    gap = "\n\n" if tail.plain else ""
    room = MAX_GRAPHEMES - graphemes(tail.plain) - len(gap)
    octets = MAX_BYTES - len(tail.plain.encode("utf-8", "replace")) - len(gap)
    return joined((_shortened(main, room, octets), tail), gap)


def _shortened(text: Text, room: int, octets: int) -> Text:
    """Cut between words where there are any."""
    if graphemes(text.plain) <= room and len(text.plain.encode("utf-8", "replace")) <= octets:
        return text
    first = next(iter(split(text, max_graphemes=max(1, room - 1), max_bytes=max(64, octets - 3))), Text())
    return joined((first, Text("…")), "")


def _titled(body: PostBody, view: View, main: Text, url: str) -> _Said:
    """What has a title and an address of its own is read there: its beginning, and a card."""
    summary = body.summary.strip()
    pictures = (item.url for item in body.media if item.type.startswith("image/") and view.blobs.get(item.url))
    shown = Card(url, body.title, summary or body.text.plain, body.image or next(pictures, ""))
    text = _cut_to_fit(main, _links(body, view))
    losses = ("the text was cut",) if not _fits(joined((main, _links(body, view)), "\n\n")) else ()
    return _Said((text,), card(shown, view), losses)


def _words(body: PostBody, view: View) -> Text:
    """All that is to be read: warning, title, abstract, text, and the answers of a poll."""
    text = trim(localized(body.text, view))
    title = body.title if not text.plain.startswith(body.title) else ""
    warning = f"CW: {body.warning}" if body.warning else ""
    heads = (warning, title, body.summary.strip())
    return joined((*map(Text, heads), text, _poll(body.poll)), "\n\n")


def _poll(poll: Poll | None) -> Text:
    """A poll is answered where it is: here are its answers, with what they came to once it is over."""
    if poll is None:
        return Text()
    names = [(" ".join(option.name.split()), option.votes) for option in poll.options]
    return Text("\n".join(f"○ {name}: {votes}" if poll.closed else f"○ {name}" for name, votes in names))


def _tail(body: PostBody, view: View, shown: Files) -> Text:
    """Links at the end: files that are not shown, and `_links`."""
    sound = _sound(shown)
    rest = [url for url in addresses(shown.rest) if url not in body.text.plain and url != sound]
    return joined((*map(line, rest), _links(body, view)), "\n")


def _links(body: PostBody, view: View) -> Text:
    """Links to what is quoted, answered or voted in and is not here."""
    links: list[str] = []
    if body.quote is not None and strong(view.there.get(body.quote)) is None:
        links.append(body.quote.id)
    if body.poll is not None or thread_of(body, view).orphan:
        links.append(body.url)
    found = (web_url(url) for url in dict.fromkeys(links))
    return joined((line(url) for url in found if url and url not in body.text.plain), "\n")


def _card(body: PostBody, view: View, shown: Files) -> Record | None:
    """A card, where nothing else is shown: of a sound or the like, else of the first page that is linked."""
    if sound := _sound(shown):
        item = next(item for item in shown.rest if web_url(item.url) == sound)
        return card(Card(sound, item.alt or sound.rpartition("/")[2], "", item.preview), view)
    for target in body.text.targets("link"):
        known = view.cards.get(target) if isinstance(target, str) else None
        if known is not None:
            return card(known, view)
    return None


def _sound(shown: Files) -> str:
    """The address of the only file, where it cannot be shown but as a card."""
    if shown.embed is not None or len(shown.rest) != 1 or shown.rest[0].type.startswith("image/"):
        return ""
    return web_url(shown.rest[0].url) or ""


def _fits(text: Text) -> bool:
    return graphemes(text.plain) <= MAX_GRAPHEMES and len(text.plain.encode("utf-8", "replace")) <= MAX_BYTES


def _lost(body: PostBody, view: View) -> Iterator[str]:
    """What a post here has no place for."""
    kinds = {span.kind for span in body.text.spans}
    if kinds & {"bold", "italic", "strike"}:
        yield "bold, italic and struck letters"
    if "emoji" in kinds:
        yield "custom emoji, which show as their names"
    if thread_of(body, view).orphan:
        yield "what it answers is not here"
    if body.quote is not None and strong(view.there.get(body.quote)) is None:
        yield "what it quotes is not here"
    if len(addresses(body.media)) < len(body.media):
        yield "a file has no address on the web"
    elif not body.title and (left := files(body.media, view).rest):
        yield (
            "files that cannot be shown here are links"
            if len(left) > 1
            else "a file that cannot be shown here is a link"
        )
    if any(item.focus not in (None, (0, 0)) for item in body.media):
        yield "which part of a picture must stay visible"
    if body.warning and body.warning.lower() not in _PLAIN_WARNINGS:
        yield "the text is not hidden behind its warning"
    if body.audience == "unlisted":
        yield "that it is not for public timelines"
    if body.poll is not None and not body.poll.closed:
        yield "a poll is answered at its home alone"
    if body.lang and not is_language(body.lang):
        yield "the language, whose name is not well-formed"
    if any(not is_tag(tag) for tag in body.hashtags()) or len(_beside(body)) > MAX_TAGS:
        yield "hashtags that are too long, or too many"
