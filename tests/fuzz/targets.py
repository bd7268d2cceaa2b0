"""What is fed with bytes from strangers: one function for each way in.

Each takes any bytes and returns how it ended: "taken", or the reason of a typed refusal. Any other exception, and any
property below that does not hold, is a fault. The same functions are run by `run.py` (guided by coverage, for as long
as one likes) and by the tests (the corpus, and a few random changes of it).
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import nh3

from adapters.activitypub import cavage, ids, rfc9421, signatures
from adapters.activitypub import decode as as2
from adapters.activitypub.html import from_html, to_html
from adapters.activitypub.readable import page
from adapters.activitypub.reading import read_object
from adapters.activitypub.signatures import BadSignature
from adapters.nostr import decode as nostr
from adapters.nostr import event as events
from adapters.nostr import ids as nostr_ids
from adapters.nostr import nip05, nip11, nip19, nip44, text, wire, zaps
from adapters.nostr.filters import BadFilter, matches, parse_filter, to_object
from adapters.nostr.markdown import from_markdown
from adapters.nostr.markdown_out import to_markdown
from adapters.nostr.negentropy import BadMessage, Negentropy
from adapters.nostr.relay import frames
from adapters.nostr.relay.search import words_in, words_of
from bridged.api import Envelope, Malformed, Ref, Text, clean_name, slice, truncate
from bridged.store import acts
from bridged.store.sql import pack

NOW = 1_790_000_000.0
ALICE = Ref("activitypub", "https://remote.example/users/alice")
GARY = Ref("activitypub", "https://gts.test/users/gary")
KEY = "ab" * 32
ALLOWED = {"p", "br", "span", "a", "del", "pre", "blockquote", "code", "strong", "em", "ul", "li"}
ATTRIBUTES = {"a": {"href", "rel", "class", "target"}, "span": {"class", "translate"}}

Target = Callable[[bytes], str]


def letters(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def refs_of(value: object) -> Iterable[Ref]:
    """Every ref anywhere in a neutral word."""
    if isinstance(value, Ref):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from refs_of(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from refs_of(each)


def check_text(said: Text) -> None:
    for span in said.spans:
        assert 0 <= span.start < span.end <= len(said.plain), span
        assert span.kind != "link" or str(span.target).lower().startswith(("http://", "https://")), span


def check_storable(activities: Sequence[Any]) -> None:
    """What an adapter made of it can be kept by either database, and reads the same when it comes back."""
    for activity in activities:
        packed = pack(activity.act)
        assert b"\\u0000" not in pack(activity.ref) + pack(activity.actor), "a NUL in an id"
        assert acts._kinds[type(activity.act).__name__].decode(packed) == activity.act  # pyright: ignore
        assert abs(activity.at) < 1e13, "a moment that is none"
        for ref in (activity.ref, activity.actor, *refs_of(activity.act)):
            assert "\0" not in ref.id, f"a NUL in {ref!r}"
            ref.id.encode()
        body = getattr(activity.act, "body", None)
        if body is not None:
            check_text(body.text)
            said_everywhere(body.text)


def said_everywhere(said: Text) -> None:
    """Whatever was read, every network's writer can say; what comes out as HTML is clean."""
    html = to_html(said, lambda ref: (ref.id, "@gary@gts.test") if ref == GARY else None, lambda _: "https://b.test/t")
    assert nh3.clean(html, tags=ALLOWED, attributes=ATTRIBUTES, link_rel=None, url_schemes={"http", "https"}) == html
    check_text(from_html(html, mentions={GARY.id: GARY}))
    uri = nip19.encode_uri(nip19.Nprofile(KEY))
    text.to_note(said, lambda _: uri)
    to_markdown(said, lambda _: uri)
    half = len(said.plain) // 2
    first, rest = slice(said, 0, half), slice(said, half, len(said.plain))
    assert first.plain + rest.plain == said.plain
    for cut in (first, rest, truncate(said, max_graphemes=20), truncate(said, max_bytes=50)):
        check_text(cut)


def event(data: bytes) -> str:
    """A Nostr event: shape, bytes out and in again, and what it is in neutral words (as if it had been verified)."""
    outcome = "taken"
    try:
        read = events.parse_event(data)
    except events.BadEvent as bad:
        outcome = bad.reason
    else:
        written = events.to_json(read)
        assert events.parse_event(written) == read
        assert events.parse_event(json.loads(written)) == read
        events.event_id(read.pubkey, read.created_at, read.kind, read.tags, read.content)
        events.address(read)
        words_of(read)
        with contextlib.suppress(events.BadEvent):
            events.verify(read)
        try:
            check_storable(nostr.decode(read, channel="wss://relay.example", received_at=NOW))
        except Malformed as bad:
            outcome = bad.reason
    frames.claimed_id(data)
    return outcome


def as2_document(data: bytes) -> str:
    """An ActivityStreams document, as the inbox hands it on; and as a page, should it be ours."""
    try:
        document = read_object(data)
        page(document, "bridge", "bridge.example")
        found = as2.decode(Envelope("activitypub", "x", data, "inbox", ALICE, NOW))
    except Malformed as bad:
        return bad.reason
    check_storable(found)
    return "taken" if found else "nothing"


def html(data: bytes) -> str:
    source = letters(data)
    read = from_html(
        source, mentions={GARY.id: GARY, "@gary@gts.test": GARY}, tags=["x"], emojis={":b:": "https://e.test/"}
    )
    check_text(read)
    said_everywhere(read)
    return "taken" if read.plain else "nothing"


def markdown(data: bytes) -> str:
    source = letters(data)
    tags = [["p", KEY], ["t", "x"], ["emoji", "b", "https://e.test/"]]
    for read in (from_markdown(source, tags)[0], text.from_note(source, tags, quoted=[KEY])):
        check_text(read)
        said_everywhere(read)
    return "taken"


def signature(data: bytes) -> str:
    """A signed request: its line, its headers, an empty line and its body."""
    head, _, body = data.partition(b"\n\n")
    line, *rest = head.decode("utf-8", "surrogateescape").split("\n")
    method, _, path = line.partition(" ")
    headers = [(name, value) for each in rest for name, _, value in [each.partition(":")]]
    for _, value in headers:
        for read in (rfc9421.dictionary, cavage.parse, cavage.http_date, rfc9421.split_url):
            with contextlib.suppress(ValueError):
                read(value)
        for check in (signatures.check_digest, signatures.check_content_digest):
            with contextlib.suppress(BadSignature):
                check(value, body)
    try:
        claim = signatures.parse_signature(method, "https://bridge.example", path, headers)
        assert claim.bases
        assert claim.times, "no time is signed"
        signatures.check_request(claim, body, NOW)
    except BadSignature as bad:
        return bad.reason
    return "taken"


def nostr_filter(data: bytes) -> str:
    try:
        (read,) = frames.parse_filters([data])
    except BadFilter as bad:
        return bad.reason
    assert parse_filter(json.loads(json.dumps(to_object(read)))) == read
    matches(read, SAMPLE)
    if read.search:
        words_in(read.search)
    return "taken"


def frame(data: bytes) -> str:
    """What clients say to our relay, and what relays say to us."""
    source, outcome = letters(data), "taken"
    try:
        wire.parse_frame(source)
        wire.parse_frame(data)
    except wire.BadFrame as bad:
        outcome = bad.reason
    try:
        asked = frames.parse(source)
        if isinstance(asked, frames.Ask) and asked.filters:
            frames.parse_filters(asked.filters)
    except (frames.BadFrame, BadFilter) as bad:
        outcome = bad.reason
    return outcome


def bech32(data: bytes) -> str:
    """NIP-19 and NIP-21 identifiers, and what people paste instead of them."""
    for prefix in ("npub", "note", "nprofile", "nevent", "naddr", "lnurl"):
        # with a checksum that is right, which no chance would find
        _identifier(nip19._bech32_encode(prefix, data[:500]))  # pyright: ignore[reportPrivateUsage]
    source = letters(data)
    nostr_ids.parse(source, "https://bridge.example")
    ids.parse(source)
    return _identifier(source)


def _identifier(source: str) -> str:
    for decode in (nip19.decode_lnurl, nip19.decode_uri):
        with contextlib.suppress(nip19.BadIdentifier):
            decode(source)
    try:
        read = nip19.decode(source)
    except nip19.BadIdentifier as bad:
        return str(bad)
    ref = nostr_ids.to_ref(read)
    if ref is not None and isinstance(read, nip19.Npub | nip19.Nprofile):
        assert nostr_ids.parse(nostr_ids.names(ref, account=True)) == ref
    elif ref is not None:
        assert nostr_ids.parse(nostr_ids.names(ref)) == ref
    try:
        written = nip19.encode(read)
    except nip19.BadIdentifier:
        return "cannot be written"
    assert nip19.decode(written) == read
    return "taken"


def names(data: bytes) -> str:
    """Handles, WebFinger resources, and the documents that say who is called what, or what a relay or wallet takes."""
    source = letters(data)
    ids.split_name(source)
    found = ids.split_acct(source)
    nip05.split(source)
    assert len(clean_name(source, 20)) <= 20 * 64
    clean = clean_name(source, 20)
    assert clean_name(clean, 20) == clean
    nip05.source_name(source)
    zaps.amount(source)
    zaps.wallet_of({"lud16": source, "lud06": source})
    key = zaps.signer_of(data)
    assert not key or nostr_ids.is_hex(key)
    nip05.named(data, "alice")
    limits = nip11.parse(data)
    return "taken" if found or limits else "nothing"


def sealed(data: bytes) -> str:
    """NIP-44 payloads (anybody may send one), and messages of negentropy."""
    with contextlib.suppress(nip44.BadPayload):
        nip44.decrypt(data.decode("latin-1"), bytes(32))
    with contextlib.suppress(nip44.BadPayload):
        nip44._unpadded(data)  # pyright: ignore[reportPrivateUsage]
    side = Negentropy([(n, f"{n:064x}") for n in range(20)])
    try:
        answer = side.answer(data)
        side.reconcile(data)
    except BadMessage:
        return "refused"
    return "taken" if answer else "nothing"


SAMPLE = events.Event("0" * 64, KEY, int(NOW), 1, (("p", KEY), ("t", "x"), ("e", "00" * 32)), "hello world", "0" * 128)

TARGETS: dict[str, Target] = {
    "event": event,
    "as2": as2_document,
    "html": html,
    "markdown": markdown,
    "signature": signature,
    "filter": nostr_filter,
    "frame": frame,
    "bech32": bech32,
    "names": names,
    "sealed": sealed,
}
