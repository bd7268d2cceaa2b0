"""Reports go to whom they are for, in the name of whom they are from, and prove it."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from adapters.atproto import reporting
from adapters.atproto.crypto import SigningKey
from bridged.api import Delivery, Ghost, Ref, Rejected, Response, Retry
from bridged.testing.fakehost import FakeHost
from bridged.testing.world import ScriptedHttp

URL = "https://mod.test/xrpc/com.atproto.moderation.createReport"
KEY = SigningKey(b"\x07" * 32)
DID = f"did:plc:{'a' * 24}"
ITEM = Delivery("key", URL, b'{"reasonType":"x"}', Ghost(Ref("nostr", "n"), Ref("atproto", DID), "a.test"), None, 1)


def part(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def answering(status: int, **headers: str) -> FakeHost:
    host, http = FakeHost(), ScriptedHttp()
    host.http = http
    http.pages[URL] = Response(status, URL, headers, b'{"message":"no"}')
    return host


async def test_report_is_called_with_a_token_that_its_key_signed() -> None:
    host = answering(200)
    sent = await reporting.deliver(host, ITEM, KEY, "did:plc:mod")
    assert sent.note == "reported"
    http: Any = host.http
    ((_, body, headers),) = http.posted
    assert body == ITEM.body
    scheme, _, token = headers["Authorization"].partition(" ")
    head, claims, signature = token.split(".")
    assert (scheme, json.loads(part(head))) == ("Bearer", {"typ": "JWT", "alg": "ES256K"})
    said = json.loads(part(claims))
    assert (said["iss"], said["aud"]) == (DID, "did:plc:mod")
    assert said["lxm"] == "com.atproto.moderation.createReport"
    assert 0 < said["exp"] - host.now() <= 60
    assert KEY.public.verify(f"{head}.{claims}".encode(), part(signature))
    assert not KEY.public.verify(f"{head}.{claims}x".encode(), part(signature))


@pytest.mark.parametrize(("status", "after"), [(503, None), (429, 120.0)])
async def test_report_that_is_put_off_is_tried_again(status: int, after: float | None) -> None:
    host = answering(status, **({"retry-after": "120"} if after else {}))
    with pytest.raises(Retry) as raised:
        await reporting.deliver(host, ITEM, KEY, "did:plc:mod")
    assert raised.value.after == after


async def test_report_that_is_refused_is_told_with_the_reason() -> None:
    with pytest.raises(Rejected, match="status 400"):
        await reporting.deliver(answering(400), ITEM, KEY, "did:plc:mod")
