"""What relays say of their limits: believed within reason, kept, and acted upon before anything is sent."""

import asyncio
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import nip11, plan
from adapters.nostr.event import Event, sign, to_json
from adapters.nostr.nip11 import DEFAULT, Documents, Limits, refuse
from adapters.nostr.wire import req
from bridged.api import EgressFailed, Heard, Rejected, Response, Retry
from tests.unit.nostr.fake_host import FakeHost

NOW = 1_700_000_100
SECRET = hashlib.sha256(b"alice").digest()
URL = "wss://relay.test/inbox"
PAGE = "https://relay.test/inbox"


def event(content: str = "hello", at: int = NOW, tags: tuple[tuple[str, ...], ...] = ()) -> Event:
    return sign(SECRET, 1, at, tags, content)


def check(limits: Limits, said: Event, *, ours: bool = True) -> None:
    refuse(limits, said, len(to_json(said)), NOW, ours=ours)


def test_parse_reads_the_limits() -> None:
    limitation = {
        "max_message_length": 16384,
        "max_subscriptions": 10,
        "max_filters": 5,
        "max_limit": 400,
        "default_limit": 100,
        "max_event_tags": 50,
        "max_content_length": 1000,
        "min_pow_difficulty": 12,
        "payment_required": True,
        "created_at_lower_limit": 3600,
        "created_at_upper_limit": 0,
    }
    document = json.dumps({"limitation": limitation, "supported_nips": [1, 77, "x", None]}).encode()
    found = nip11.parse(document)
    assert found == Limits(16384, 10, 5, 100, 50, 1000, 12, True, 3600, 0, frozenset({1, 77}))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"limitation":[]}',
        b'{"limitation":{"max_message_length":-1,"max_subscriptions":0,"max_limit":"9","max_filters":1.5}}',
        b'{"limitation":{"max_message_length":true,"min_pow_difficulty":null},"supported_nips":{}}',
    ],
)
def test_parse_takes_nonsense_as_not_given(body: bytes) -> None:
    assert nip11.parse(body) == DEFAULT


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.just(b"[" * 10000) | st.just(b"[]"))
def test_parse_of_anything_else_is_none(body: bytes) -> None:
    assert nip11.parse(body) is None or isinstance(nip11.parse(body), Limits)


@pytest.mark.parametrize(
    ("limits", "said", "why"),
    [
        (Limits(message=1024), event("x" * 1000), "invalid: the relay takes messages of 1024 bytes"),
        (Limits(tags=1), event(tags=(("t", "a"), ("t", "b"))), "invalid: the relay takes 1 tags"),
        (Limits(content=4), event(), "invalid: the relay takes 4 characters"),
        (Limits(pow=20), event(), "pow: relay asks for 20 bits, set adapters.nostr.pow"),
        (Limits(lower=3600), event(at=NOW - 3601), "too-old"),
    ],
)
def test_refuse_says_what_a_relay_will_not_take(limits: Limits, said: Event, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        check(limits, said)


def test_refuse_lets_through_what_fits() -> None:
    check(DEFAULT, event())
    check(Limits(lower=3600, upper=0, tags=0, content=5), event(at=NOW - 3600))
    check(Limits(lower=NOW - 10**6, upper=NOW + 10), event(at=NOW - 10**7))  # moments, not spans


def test_refuse_waits_for_a_relay_that_is_behind() -> None:
    with pytest.raises(Retry) as caught:
        check(Limits(upper=60), event(at=NOW + 100))
    assert caught.value.after == 40


def test_refuse_tries_a_paid_relay_that_the_operator_chose() -> None:
    check(Limits(payment=True), event())
    with pytest.raises(Rejected, match="restricted"):
        check(Limits(payment=True), event(), ours=False)


async def test_documents_are_kept_for_a_day_and_failures_for_an_hour() -> None:
    host = FakeHost()
    documents = Documents(host)
    host.http.pages[PAGE] = EgressFailed("connect")
    assert await documents.limits(URL) == DEFAULT
    host.http.pages[PAGE] = Response(200, PAGE, {}, b'{"limitation":{"max_subscriptions":7}}')
    assert await documents.limits(URL) == DEFAULT
    host.clock += nip11.FAILED_KEPT + 1
    assert (await documents.limits(URL)).subscriptions == 7
    host.http.pages[PAGE] = Response(502, PAGE, {}, b"{}")
    host.clock += nip11.KEPT - 1
    assert (await documents.limits(URL)).subscriptions == 7
    assert len(host.http.asked) == 2
    host.clock += 2
    assert (await documents.limits(URL)).subscriptions == 7, "what was known stays when nothing new is said"
    assert len(host.http.asked) == 3


async def test_documents_are_asked_for_once_by_many() -> None:
    host = FakeHost()
    asked = 0

    async def get(url: str, **_: object) -> Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return Response(200, url, {}, b'{"limitation":{"max_subscriptions":7}}')

    host.http.get = get  # type: ignore[method-assign, assignment]
    documents = Documents(host)
    found = await asyncio.gather(*(documents.limits(URL) for _ in range(20)))
    assert {limits.subscriptions for limits in found} == {7}
    assert asked == 1


HEARD = Heard(
    full=frozenset(hashlib.sha256(b"f%d" % n).hexdigest() for n in range(700)),
    known=frozenset(hashlib.sha256(b"k%d" % n).hexdigest() for n in range(700)),
    ghosts=frozenset(hashlib.sha256(b"g%d" % n).hexdigest() for n in range(700)),
)


@pytest.mark.parametrize(
    "limits",
    [DEFAULT, Limits(message=1024, subscriptions=10_000), Limits(message=16384, subscriptions=30), Limits(filters=1)],
)
def test_questions_fit_into_a_relay_s_frames_and_leave_nobody_out(limits: Limits) -> None:
    portions = plan.subscriptions_for(HEARD, "", limits)
    for portion in portions:
        stamped = plan.since(portion, NOW)
        assert len(req("q" * 20, stamped).encode()) <= limits.message
        assert len(portion) <= limits.filters
    filters = [filter_ for portion in portions for filter_ in portion]
    assert frozenset().union(*(f.authors for f in filters if f.authors)) == HEARD.full | HEARD.known
    assert frozenset().union(*(names for f in filters for tag, names in f.tags if tag == "p")) == HEARD.ghosts
    for portion in plan.recent_of(HEARD.full, NOW, limits):
        assert len(req("q" * 20, portion).encode()) <= limits.message
        assert len(portion) <= limits.filters


def test_questions_are_merged_for_a_relay_that_takes_few_subscriptions() -> None:
    small, large = Limits(message=1 << 20, subscriptions=3), Limits(message=1 << 20)
    assert len(plan.subscriptions_for(HEARD, "", large)) == 3
    assert len(plan.subscriptions_for(HEARD, "", small)) == 1
