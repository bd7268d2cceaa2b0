"""A Jetstream that says what is too large, though it was asked not to: it is passed over, and little else with it."""

from collections.abc import Sequence
from typing import Any

from adapters.atproto import jetstream
from tests.unit.atproto.scripted_streams import Client, commit1, commit2, scripted
from tests.unit.atproto.stream_host import StreamHost
from tests.unit.atproto.test_at_jetstream import ALICE, HEARD, NOW, POST, US, V2, WEB, listen, rkeys

LARGE = b" " * (jetstream.MAX_FRAME + 1)


async def replays(client: Client, kept: Sequence[tuple[int, Any]], *, inclusive: bool = False) -> None:
    """A server that keeps frames by their numbers and leaves none out, however large."""
    since = int(client.cursor or 0)
    await client.say(*(said for number, said in kept if number > since or (inclusive and number == since)))
    await client.hold()


async def test_frames_too_large_are_passed_over_and_no_more_than_they() -> None:
    """Two of them within the time that a v1 stream goes back, milliseconds after what was read before."""
    kept: list[tuple[int, Any]] = [(US + n, commit1(ALICE, US + n, POST, f"r{n}")) for n in (0, 9_000, 2_000_000)]
    kept[1:1], kept[-1:-1] = [(US + 1_700, LARGE)], [(US + 10_700, LARGE)]

    host = StreamHost(HEARD, at=NOW + 10)
    async with scripted(lambda client: replays(client, kept)) as server, listen(server.url, host):
        await host.until(lambda: "r2000000" in rkeys(host))
    assert list(dict.fromkeys(rkeys(host))) == ["r0", "r9000", "r2000000"]
    assert set(host.refusals) == {"frame_size"}


async def test_a_frame_too_large_for_one_server_costs_nothing_of_another_whose_clock_is_behind() -> None:
    async def first(client: Client) -> None:
        await client.say(commit1(ALICE, US, POST, "a"), LARGE)
        await client.hold()

    async def second(client: Client) -> None:
        behind = US - 3_000_000
        await replays(client, [(behind, commit1(ALICE, behind, POST, "a")), (behind + 1, commit1(WEB, US, POST, "b"))])

    host = StreamHost(HEARD)
    async with scripted(first, second) as server, listen(server.url, host):
        await host.until(lambda: "b" in rkeys(host))
    assert len(server.clients) == 2


async def test_a_number_too_large_of_v2_is_passed_over_and_the_next_one_is_read() -> None:
    kept: list[tuple[int, Any]] = [(n, commit2(ALICE, n, US + n, POST, f"r{n}")) for n in range(41, 46)]
    kept[2] = (43, LARGE)

    host = StreamHost(HEARD, at=NOW + 10)
    async with (
        scripted(lambda client: replays(client, kept, inclusive=True), path=V2) as server,
        listen(server.url, host),
    ):
        await host.until(lambda: "r45" in rkeys(host))
    assert rkeys(host) == ["r41", "r42", "r44", "r45"]
    assert [client.cursor for client in server.clients] == ["", "44"]
    assert host.refusals == ["frame_size"]
