"""`bridged check`, where it is about streams."""

import pytest

from adapters.atproto import checks
from adapters.atproto.config import IngestConfig
from tests.unit.atproto.stream_host import StreamHost

SUBSCRIBE = "/xrpc/com.atproto.sync.subscribeRepos"


class Socket:
    closed = False

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("ingest", "place"),
    [
        ({"firehose": "wss://relay.example"}, f"wss://relay.example{SUBSCRIBE}"),
        ({"jetstream": "wss://jet.example/subscribe"}, "wss://jet.example/subscribe"),
    ],
)
async def test_stream_is_opened_where_it_is_read(
    ingest: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, socket, opened = StreamHost(), Socket(), list[str]()

    async def websocket(url: str, *, max_size: int) -> Socket:
        opened.append(url)
        return socket

    monkeypatch.setattr(host.http, "websocket", websocket)
    finding = await checks._stream(host, IngestConfig.model_validate(ingest))  # pyright: ignore[reportPrivateUsage]
    assert (finding.ok, opened, socket.closed) == (True, [place], True)
