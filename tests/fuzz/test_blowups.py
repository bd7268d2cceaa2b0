"""Inputs made to keep a parser busy: a mebibyte of any of these is done with in about a second, and in linear time."""

import gc
import json
import time
import tracemalloc

import pytest

from tests.fuzz.targets import ALICE, KEY, TARGETS

SIZE = 1 << 20
SECONDS = 30.0
"""Of processor time: a slow machine that is busy takes 14 s for the worst of them, and what is not linear takes minutes
anywhere."""
MEMORY = 192 << 20


def _note(content: str = "", **more: object) -> str:
    post = {
        "id": "https://remote.example/notes/1",
        "type": "Note",
        "attributedTo": ALICE.id,
        "to": "https://www.w3.org/ns/activitystreams#Public",
        "content": content,
        **more,
    }
    return json.dumps({"id": "https://remote.example/1", "type": "Create", "actor": ALICE.id, "object": post})


def _event(content: str = "", tags: list[list[str]] | None = None, kind: int = 1) -> str:
    event = {
        "id": "0" * 64,
        "pubkey": KEY,
        "created_at": 1_700_000_000,
        "kind": kind,
        "tags": tags or [],
        "sig": "0" * 128,
    }
    return json.dumps({**event, "content": content})


def _signed(**headers: str) -> str:
    return "POST /inbox\n" + "\n".join(f"{name}: {value}" for name, value in headers.items()) + "\n\n"


def _filled(unit: str, size: int = SIZE) -> str:
    return unit * (size // len(unit.encode()) + 1)


MARKUP = {
    "unclosed": "<b a=1>",
    "blocks": "<blockquote>",
    "items": "<ul><li>",
    "paragraphs": "<p>x",
    "links": '<a href="https://x.y/z">q</a>',
    "mentions": '<a class=mention href="https://gts.test/@gary">@gary</a> ',
    "half a tag": "<a ",
    "half an attribute": '<a x="',
    "angles": "<",
    "comments": "<!--",
    "entities": "&#x41;&lt;&amp",
    "spaces": " \n",
    "emoji": ":b:",
    "joined": "👨\u200d👩\u200d👧",
    "marks": "a\u0301\u0302\u0303",
    "hashtags": "#a#b #c ",
    "addresses": "https://a.b/(((((",
    "bare addresses": "a.b.c.d/",
    "bold around quotes": "<b><blockquote>a</blockquote>",
    "crossed": "<b><i></b></i>",
    "scripts": "<script>",
    "ruby": "<ruby><rt><rp>",
    "ellipses": '<a href="https://x.y/">x.y/…</a>',
}
MARKDOWN = {
    "brackets": "[",
    "pictures": "![",
    "link nesting": "[a](",
    "stars": "*a **b ",
    "underscores": "_a__",
    "back-quotes": "`a``",
    "fences": "```\n",
    "fence and text": "```\na\n",
    "quotes": "> ",
    "deep quotes": ">",
    "lists": "- ",
    "nested lists": "  - a\n",
    "references": "[a]: <b> 'c'\n",
    "tables": "|a|b|\n|-|-|\n",
    "table columns": "|-",
    "html": "<a><!-- <?",
    "autolinks": "<https://a.b/",
    "escapes": "\\*\\",
    "entities": "&#x41;&a",
    "pointers": f"nostr:note1{'q' * 58} ",
    "places": "#[0] ",
    "lines": "\n",
    "returns": "\r\n",
    "headings": "# a\n===\n",
}


INPUTS: dict[str, tuple[str, str]] = {
    **{f"html {name}": ("html", _filled(unit)) for name, unit in MARKUP.items()},
    **{f"note {name}": ("as2", _note(_filled(unit, SIZE // 3))) for name, unit in MARKUP.items()},
    **{f"markdown {name}": ("markdown", _filled(unit, 60_000)) for name, unit in MARKDOWN.items()},
    **{f"article {name}": ("event", _event(_filled(unit, 28_000), kind=30023)) for name, unit in MARKDOWN.items()},
    **{f"kind 1 {name}": ("event", _event(_filled(unit, 28_000))) for name, unit in MARKDOWN.items()},
    "json deep": ("as2", _filled("[")),
    "json deep objects": ("as2", _filled('{"a":')),
    "json digits": ("as2", '{"id":' + _filled("9") + "}"),
    "json exponent": ("as2", '{"id":1e' + _filled("9") + "}"),
    "json numbers": ("as2", '{"id":[' + _filled("1,") + "1]}"),
    "json escapes": ("as2", '{"id":"' + _filled("\\ud83d\\ude00") + '"}'),
    "json keys": ("as2", "{" + ",".join(f'"{n}":1' for n in range(80_000)) + "}"),
    "json strings": ("as2", '["' + _filled("a") + '"]'),
    "json lists": ("as2", _filled("[],")),
    "many tags": ("as2", _note("#x " * 1000, tag=[{"type": "Hashtag", "name": f"#t{n}"} for n in range(12_000)])),
    "many emoji": (
        "as2",
        _note(":e1: " * 1000, tag=[{"type": "Emoji", "name": f":e{n}:", "icon": "https://a.b/"} for n in range(9_000)]),
    ),
    "many mentions": (
        "as2",
        _note(
            '<a href="https://x.y" class=mention>@a</a>' * 2000,
            tag=[
                {"type": "Mention", "name": f"@u{n}@h.example", "href": f"https://h.example/{n}"} for n in range(9_000)
            ],
        ),
    ),
    "many recipients": ("as2", _note(to=[f"https://h.example/{n}" for n in range(40_000)])),
    "many files": ("as2", _note(attachment=[{"type": "Image", "url": f"https://a.b/{n}"} for n in range(12_000)])),
    "many options": ("as2", _note(type="Question", oneOf=[{"name": str(n)} for n in range(20_000)])),
    "languages": ("as2", _note(contentMap={f"x{n}": "a" for n in range(20_000)})),
    "long id": ("as2", _note(url="https://a.b/" + _filled("x", SIZE // 2))),
    "profile fields": (
        "as2",
        json.dumps(
            {
                "id": ALICE.id,
                "type": "Person",
                "preferredUsername": "alice",
                "inbox": ALICE.id + "/inbox",
                "summary": "<a rel=me href=https://a.b>" * 4000,
                "attachment": [{"type": "PropertyValue", "name": "a", "value": "<a rel=me href=x>" * 20}] * 1500,
            }
        ),
    ),
    "event tags": ("event", _event("#x", [["t", f"x{n}"] for n in range(1990)])),
    "event long tags": ("event", _event("x", [["p", *["a"] * 2000]] * 5)),
    "event imeta": (
        "event",
        _event("https://a.b/c.jpg", [["imeta", f"url https://a.b/{n}.jpg", "m x"] for n in range(1000)]),
    ),
    "event emoji": ("event", _event(":a1:" * 5000, [["emoji", f"a{n}", "https://a.b/"] for n in range(1000)])),
    "event words": ("event", _event(" ".join(f"w{n}" for n in range(7000)))),
    "event deep": ("event", '{"tags":' + _filled("[", 60_000)),
    "profile json": ("event", _event('{"name":' + _filled("[", 30_000), kind=0)),
    "filter values": ("filter", '{"#t":[' + ",".join(f'"{n}"' for n in range(120_000)) + "]}"),
    "filter members": ("filter", "{" + ",".join(f'"#{chr(97 + n % 26)}":[]' for n in range(150_000)) + "}"),
    "filter deep": ("filter", _filled("[")),
    "filter digits": ("filter", '{"since":' + _filled("9") + "}"),
    "filter search": ("filter", '{"search":"' + _filled("a ") + '"}'),
    "frame elements": ("frame", '["REQ","s"' + _filled(",{}") + "]"),
    "frame deep": ("frame", '["REQ","s",' + _filled("[")),
    "frame hex": ("frame", '["NEG-MSG","s","' + _filled("61") + '"]'),
    "cavage pairs": ("signature", _signed(Signature=_filled('a="b",'))),
    "cavage quotes": ("signature", _signed(Signature='keyId="' + _filled("a"))),
    "cavage names": ("signature", _signed(Signature='headers="' + _filled("a ") + '"')),
    "inputs": ("signature", _signed(**{"Signature-Input": _filled('a=("b");c=1,'), "Signature": _filled("a=:eA==:,")})),
    "input components": ("signature", _signed(**{"Signature-Input": "a=(" + _filled('"b" '), "Signature": "a=:eA==:"})),
    "input string": ("signature", _signed(**{"Signature-Input": 'a="' + _filled("\\\\"), "Signature": "a=:eA==:"})),
    "digests": ("signature", _signed(Signature="x", Digest=_filled("SHA-256=eA==,"))),
    "digest spaces": ("signature", _signed(Signature="x", Digest="SHA-256=" + _filled(" "))),
    "headers": ("signature", _signed(**{f"x{n}": "y" for n in range(50_000)}, Signature="x")),
    "dates": ("signature", _signed(Date="Mon, " + _filled("0"), Signature="x")),
    "bech32": ("bech32", "note1" + _filled("q")),
    "bech32 ones": ("bech32", _filled("1")),
    "bech32 address": ("bech32", "https://njump.me/" + _filled("note1q")),
    "name at": ("names", _filled("a@")),
    "name dots": ("names", _filled("a.")),
    "name lines": ("names", _filled("a-\n")),
    "name emoji": ("names", _filled("👨\u200d")),
    "name marks": ("names", "a" + _filled("\u0301")),
    "invoice": ("names", "lnbc1" + _filled("q")),
    "nip-05 names": ("names", '{"names":{' + ",".join(f'"n{n}":"{KEY}"' for n in range(12_000)) + "}}"),
    "nip-11 nips": ("names", '{"supported_nips":[' + _filled("1,") + "1]}"),
    "nip-44": ("sealed", _filled("A")),
    "negentropy": ("sealed", "a" + _filled("\x00\x01\x02")),
    "negentropy varint": ("sealed", "a" + _filled("\x7f")),
}


@pytest.mark.parametrize("name", INPUTS)
def test_no_input_keeps_a_parser_busy(name: str):
    target, data = INPUTS[name]
    encoded = data.encode()[:SIZE]
    gc.collect()
    started = time.process_time()
    TARGETS[target](encoded)
    took = time.process_time() - started
    assert took < SECONDS, f"{name}: {took:.1f} s of processor time"


@pytest.mark.parametrize(
    "name", ["html unclosed", "html links", "json numbers", "json deep", "many mentions", "headers", "filter values"]
)
def test_no_input_takes_much_memory(name: str):
    target, data = INPUTS[name]
    encoded = data.encode()[:SIZE]
    tracemalloc.start()
    try:
        TARGETS[target](encoded)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MEMORY, f"{name}: {most >> 20} MiB"
