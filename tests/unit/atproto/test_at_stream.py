"""What is the same on every stream: what is stored with which cursor, and when it is tried again."""

import pytest

from adapters.atproto import jetstream
from adapters.atproto.intake import Intake
from adapters.atproto.stream import Ended, Stream, backoff
from tests.unit.atproto.scripted_streams import Client, commit1, scripted
from tests.unit.atproto.stream_host import FakePeople, StreamHost
from tests.unit.atproto.test_at_jetstream import ALICE, HEARD, POST, STRANGER, US, listen, rkeys
from tests.unit.ends import BreaksOff


async def test_the_cursor_is_stored_with_the_rows_and_by_itself_when_nothing_is_for_us() -> None:
    async def script(client: Client) -> None:
        await client.say(commit1(ALICE, US - 9, POST))
        await host.until(lambda: len(host.received) == 1)
        await client.say(*(commit1(STRANGER, US - 8 + n, POST) for n in range(5)))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: host.cursors.get(f"jetstream {server.url}") == str(US - 4))
    assert [(len(rows), cursor and cursor[1]) for rows, cursor in host.receipts] == [(1, str(US - 9)), (0, str(US - 4))]


async def test_events_close_to_each_other_are_stored_together_but_the_first() -> None:
    async def script(client: Client) -> None:
        await client.say(commit1(ALICE, US, POST, "a"))
        await host.until(lambda: rkeys(host) == ["a"])
        await client.say(*(commit1(ALICE, US + n, POST, f"b{n}") for n in range(1, 4)))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: len(rkeys(host)) == 4)
    assert [len(envelopes) for envelopes, _ in host.receipts] == [1, 3]


def test_waits_grow_to_two_minutes() -> None:
    assert [backoff(n, 1.0) for n in (1, 2, 3, 9, 99)] == [1.0, 2.0, 4.0, 120.0, 120.0]
    assert backoff(3, 0.0) == 2.0


async def test_reading_ends_when_the_stream_breaks_off_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    following = BreaksOff(Ended("closed"))
    monkeypatch.setattr(Stream, "_follow", following.run)
    host = StreamHost(HEARD)
    async with scripted(Client.hold) as server:
        dialect = jetstream.dialect(server.url, host, narrow=False)
        await following.ends(Stream(host, dialect, Intake(host, FakePeople()).store).run())
