"""Records against their lexicons: the published vectors, the published lexicons, and every constraint of ours."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import cbor
from adapters.atproto.lexicon import COLLECTIONS, Invalid, validate
from adapters.atproto.lexicon.check import Lexicons
from adapters.atproto.lexicon.schemas import SCHEMAS
from bridged.api import Malformed
from tests.vectors import vectors

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
CID = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"
RAW = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"
KEY = "3kznmn7xqxl22"
STRONG = {"uri": f"at://{DID}/app.bsky.feed.post/{KEY}", "cid": CID}
AT = "2026-11-26T02:00:00.000Z"


def cases(name: str) -> list[Any]:
    return json.loads((vectors() / "atproto" / "interop-tests" / "lexicon" / name).read_text())


def catalog() -> Lexicons:
    document = cases("catalog/record.json")
    return Lexicons({document["id"]: document["defs"]})


def test_valid_records_of_the_vectors_pass() -> None:
    found = cases("record-data-valid.json")
    assert len(found) == 3
    for case in found:
        catalog().validate("example.lexicon.record", case["rkey"], cbor.from_json(case["data"]))


def test_invalid_records_of_the_vectors_are_refused() -> None:
    found = cases("record-data-invalid.json")
    assert len(found) > 40
    passed: list[str] = []
    for case in found:
        # some of them lack what the lexicon requires beside what they are about
        data = {"integer": 1, **case["data"]} if case["name"] != "missing required field" else case["data"]
        try:
            catalog().validate("example.lexicon.record", case["rkey"], cbor.from_json(data))
        except Malformed:
            continue
        passed.append(case["name"])
    # "cid-link" is spelled like a string there, and like a string it is refused
    assert passed == []


def test_record_keys_are_held_to_the_lexicon() -> None:
    with pytest.raises(Invalid, match="record_key"):
        catalog().validate("example.lexicon.record", "other", {"$type": "example.lexicon.record", "integer": 1})


@pytest.mark.parametrize("case", ["minimal", "minimal record"])
def test_lexicons_of_the_vectors_can_be_made(case: str) -> None:
    """The third valid one, a permission set, describes no data."""
    found = next(found for found in cases("lexicon-valid.json") if found["name"] == case)["lexicon"]
    Lexicons({found["id"]: found["defs"]})


def official(name: str) -> dict[str, Any]:
    return json.loads((vectors() / "atproto" / "lexicons" / (name.replace(".", "/") + ".json")).read_text())["defs"]


def bare(definition: Any) -> Any:
    """Without the prose, and without order where it means nothing."""
    if isinstance(definition, dict):
        kept = {k: bare(v) for k, v in definition.items() if not (k == "description" and isinstance(v, str))}
        return {k: sorted(v) if k in ("required", "refs", "accept", "knownValues") else v for k, v in kept.items()}
    return [bare(item) for item in definition] if isinstance(definition, list) else definition


def refs(definition: Any) -> Iterator[str]:
    if isinstance(definition, dict):
        for key, value in definition.items():
            if key == "ref" and isinstance(value, str):
                yield value
            elif key == "refs" and isinstance(value, list):
                yield from value
            else:
                yield from refs(value)
    elif isinstance(definition, list):
        for item in definition:
            yield from refs(item)


def test_our_schemas_say_what_the_published_ones_say() -> None:
    """Every definition a collection leads to, word for word."""
    todo, seen = [f"{name}#main" for name in sorted(COLLECTIONS)], set[str]()
    while todo:
        full = todo.pop()
        if full in seen:
            continue
        seen.add(full)
        name, part = full.split("#")
        theirs = official(name)[part]
        assert bare(SCHEMAS[name][part]) == bare(theirs), full
        for ref in refs(theirs):
            todo.append(name + ref if ref.startswith("#") else ref if "#" in ref else f"{ref}#main")
    assert seen == {f"{name}#{part}" for name, own in SCHEMAS.items() for part in own}


def post(**more: Any) -> dict[str, Any]:
    return {"$type": "app.bsky.feed.post", "text": "hello", "createdAt": AT, **more}


def blob(mime: str = "image/jpeg", size: int = 1000) -> dict[str, Any]:
    return {"$type": "blob", "ref": {"$link": RAW}, "mimeType": mime, "size": size}


def images(count: int = 1, **more: Any) -> dict[str, Any]:
    return {"$type": "app.bsky.embed.images", "images": [{"image": blob(**more), "alt": ""}] * count}


GOOD: Mapping[str, dict[str, Any]] = {
    "plain": post(),
    "full": post(
        reply={"root": STRONG, "parent": STRONG},
        facets=[
            {
                "index": {"byteStart": 0, "byteEnd": 5},
                "features": [
                    {"$type": "app.bsky.richtext.facet#mention", "did": DID},
                    {"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com/"},
                    {"$type": "app.bsky.richtext.facet#tag", "tag": "cats"},
                ],
            }
        ],
        embed={
            "$type": "app.bsky.embed.recordWithMedia",
            "record": {"record": STRONG},
            "media": images(4),
        },
        langs=["en", "pt-BR"],
        labels={"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "sexual"}]},
        tags=["a"] * 8,
        bridgedOriginalText="<p>hello</p>",
    ),
    "graphemes": post(text="👩‍👩‍👧‍👧" * 100),
    "unknown embed": post(embed={"$type": "com.example.embed", "anything": [1, None]}),
    "like": {"$type": "app.bsky.feed.like", "subject": STRONG, "createdAt": AT},
    "repost": {"$type": "app.bsky.feed.repost", "subject": STRONG, "createdAt": AT},
    "follow": {"$type": "app.bsky.graph.follow", "subject": DID, "createdAt": AT},
    "block": {"$type": "app.bsky.graph.block", "subject": DID, "createdAt": AT},
    "threadgate": {
        "$type": "app.bsky.feed.threadgate",
        "post": STRONG["uri"],
        "allow": [{"$type": "app.bsky.feed.threadgate#mentionRule"}],
        "createdAt": AT,
    },
    "postgate": {
        "$type": "app.bsky.feed.postgate",
        "post": STRONG["uri"],
        "embeddingRules": [{"$type": "app.bsky.feed.postgate#disableRule"}],
        "createdAt": AT,
    },
    "generator": {"$type": "app.bsky.feed.generator", "did": DID, "displayName": "All", "createdAt": AT},
    "document": {"$type": "site.standard.document", "site": "https://x.test", "title": "T", "publishedAt": AT},
}


@pytest.mark.parametrize("name", GOOD)
def test_what_we_write_passes(name: str) -> None:
    record = cbor.from_json(GOOD[name])
    assert cbor.decode(validate(record["$type"], KEY, record)) == record


def test_a_profile_lives_at_self() -> None:
    record = cbor.from_json({"$type": "app.bsky.actor.profile", "displayName": "A", "avatar": blob("image/png")})
    validate("app.bsky.actor.profile", "self", record)
    with pytest.raises(Invalid, match="record_key"):
        validate("app.bsky.actor.profile", KEY, record)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (post(text="a" * 301), "text: graphemes"),
        (post(text="é̂̂̂̂̂̂̂̂̂̂̂̂" * 200), "text: length"),
        (post(text=None), "text: string"),
        ({"$type": "app.bsky.feed.post", "text": "x"}, "createdAt: missing"),
        (post(createdAt="2026-11-26 02:00"), "createdAt: datetime"),
        (post(langs=["en"] * 4), "langs: length"),
        (post(langs=["no language"]), "langs.0: language"),
        (post(tags=["x" * 65]), "tags.0: graphemes"),
        (post(reply={"root": STRONG}), "reply.parent: missing"),
        (post(reply={"root": {**STRONG, "uri": "https://x"}, "parent": STRONG}), "reply.root.uri: at-uri"),
        (post(embed={"images": []}), "embed: union"),
        (post(embed=images(5)), "embed.images: length"),
        (post(embed=images(size=2_000_001)), "embed.images.0.image: blob_size"),
        (post(embed=images(mime="text/html")), "embed.images.0.image: blob_type"),
        (post(facets=[{"index": {"byteStart": -1, "byteEnd": 1}, "features": []}]), "facets.0.index.byteStart: range"),
        (post(facets=[{"index": {"byteStart": 0, "byteEnd": True}, "features": []}]), "byteEnd: integer"),
        (post(**{"$type": "app.bsky.feed.like"}), r"\$type: collection"),
    ],
)
def test_what_breaks_a_lexicon_is_refused_with_its_place(record: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        validate("app.bsky.feed.post", KEY, cbor.from_json(record))


def test_other_collections_are_not_written() -> None:
    with pytest.raises(Invalid, match="collection"):
        validate("com.example.thing", KEY, {"$type": "com.example.thing"})


@pytest.mark.parametrize(
    ("extra", "reason"),
    [(1.5, "float"), (2**64, "int"), ({1: 2}, "key"), ("\ud800", "text"), (object(), "type")],
)
def test_what_the_data_model_forbids_is_refused_where_no_lexicon_looks(extra: Any, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        validate("app.bsky.feed.post", KEY, post(extra=extra))


def test_a_record_above_a_megabyte_is_refused() -> None:
    with pytest.raises(Malformed, match="size"):
        validate("app.bsky.feed.post", KEY, post(extra="x" * (1 << 20)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["text", "createdAt", "langs", "tags", "reply", "embed", "more"]), JSON))
def test_what_validates_encodes_and_reads_back(fields: dict[str, Any]) -> None:
    try:
        record = cbor.from_json(post(**fields))
        data = validate("app.bsky.feed.post", KEY, record)
    except Malformed:
        return
    assert cbor.decode(data) == record
