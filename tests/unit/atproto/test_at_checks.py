"""What `bridged check` finds: each finding when all is well, and when it is not, with the way to mend it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.atproto.adapter import Atproto
from adapters.atproto.config import AtprotoConfig
from adapters.atproto.feeds import BOT
from adapters.atproto.pds import firehose
from adapters.atproto.pds.store import Repos
from bridged.api import Account, EgressFailed, EgressRefused, Finding, Ghost, Tx
from bridged.testing.fakehost import FakeHost
from bridged.testing.world import ScriptedHttp
from tests.unit.atproto.pds_kit import did, key

PUBLIC = {
    "plc": "https://plc.test",
    "appview": "https://view.test",
    "crawlers": ["https://relay.test"],
    "ingest": {"jetstream": "wss://jet.test/subscribe"},
}
PROFILE = "https://view.test/xrpc/app.bsky.actor.getProfile?actor="
RELAY = "https://relay.test/xrpc/com.atproto.sync.getHostStatus?hostname=bridge.test"


class Socket:
    closed = False

    async def close(self) -> None:
        self.closed = True


class Outside(ScriptedHttp):
    """As `ScriptedHttp`; `socket` is what a stream is, None for one that does not connect."""

    socket: Socket | None = None

    async def websocket(self, url: str, *, max_size: int) -> Any:
        return self.socket or await super().websocket(url, max_size=max_size)


class Scene:
    def __init__(self) -> None:
        self.host, self.http = FakeHost(), Outside()
        self.host.http = self.http
        assert Atproto.migrations is not None
        self.host.migrate(Atproto.migrations)
        self.bot = ""

    async def start(self, **config: Any) -> "Scene":
        """The bot has its account."""

        async def nobody(_: str) -> bool:
            return False

        made: Ghost = await Atproto(AtprotoConfig(plc="embedded", **config), self.host).mint(
            Account(BOT, "bridge"), nobody
        )
        self.bot = made.ref.id
        return self

    def answers(self, url: str, answer: "tuple[int, bytes] | EgressFailed") -> None:
        if isinstance(answer, EgressFailed):
            self.http.pages[url] = answer
        else:
            self.http.serve(url, answer[1], status=answer[0])

    async def check(self, **config: Any) -> dict[str, Finding]:
        adapter = Atproto(AtprotoConfig.model_validate({**PUBLIC, **config}), self.host)
        await adapter.start()
        return {finding.what: finding for finding in await adapter.check()}


@pytest.fixture
async def scene() -> Scene:
    return await Scene().start()


async def test_all_is_well(scene: Scene) -> None:
    scene.http.serve("https://bridge.bridge.test/.well-known/atproto-did", scene.bot.encode())
    scene.http.serve("https://plc.test/_health", b"{}")
    scene.http.serve(f"https://plc.test/{scene.bot}", b"{}")
    scene.http.serve(
        PROFILE + scene.bot.replace(":", "%3A"), json.dumps({"did": scene.bot, "status": {"x": 1}}).encode()
    )
    scene.http.serve(RELAY, b'{"hostname": "bridge.test", "status": "idle"}')
    scene.http.socket = Socket()
    found = await scene.check()
    assert [finding.said for finding in found.values() if not finding.ok] == []
    assert {finding.mend for finding in found.values()} == {""}
    assert scene.http.socket.closed
    assert set(found) == {
        "AT Protocol handle", "PLC directory", "AppView", "stream wss://jet.test/subscribe", "relay https://relay.test",
        "AT Protocol pace", "AT Protocol accounts",
    }  # fmt: skip


async def test_bot_without_an_account_is_no_fault_of_dns() -> None:
    found = (await Scene().check())["AT Protocol handle"]
    assert (found.ok, found.mend) == (False, "start the bridge once")


@pytest.mark.parametrize("answer", [(404, b""), (200, b"did:plc:somebodyelse"), EgressFailed("no such host")])
async def test_handle_that_does_not_lead_to_the_bot_says_what_dns_and_proxy_must_do(scene: Scene, answer: Any) -> None:
    url = "https://bridge.bridge.test/.well-known/atproto-did"
    scene.answers(url, answer)
    found = (await scene.check())["AT Protocol handle"]
    assert not found.ok
    assert url in found.said
    assert "*.bridge.test" in found.mend
    assert "Host" in found.mend


@pytest.mark.parametrize(("answer", "ok"), [
    ((200, b'{"id": "did:web:bridge.bridge.test"}'), True),
    ((200, b'{"id": "did:web:bridge.bridge.test.evil"}'), False),
    ((404, b""), False),
    (EgressFailed("no such host"), False),
])  # fmt: skip
async def test_did_web_is_to_be_found_at_its_name(answer: Any, ok: bool) -> None:
    scene = await Scene().start(did_method="web")
    url = "https://bridge.bridge.test/.well-known/did.json"
    scene.answers(url, answer)
    found = (await scene.check())["AT Protocol did:web"]
    assert found.ok == ok
    assert (url in found.said, "/.well-known/did.json" in found.mend) == (not ok, not ok)


async def test_handle_in_a_closed_network_is_asked_of_ourselves(scene: Scene) -> None:
    url = "https://bridge.test/xrpc/com.atproto.identity.resolveHandle?handle=bridge.bridge.test"
    scene.http.serve(url, json.dumps({"did": scene.bot}).encode())
    found = await scene.check(plc="embedded")
    assert found["AT Protocol handle"].ok
    assert "PLC directory" not in found


async def test_directory_that_does_not_answer_is_an_address_to_check(scene: Scene) -> None:
    for answer in (EgressFailed("timeout"), EgressRefused("forbidden")):
        scene.http.pages["https://plc.test/_health"] = answer
        found = (await scene.check())["PLC directory"]
        assert (found.ok, found.mend) == (False, "check the address in adapters.atproto.plc")
    scene.http.serve("https://plc.test/_health", status=502)
    assert "502" in (await scene.check())["PLC directory"].said


async def test_directory_that_the_accounts_were_not_made_with_is_told_of(scene: Scene) -> None:
    scene.http.serve("https://plc.test/_health", b"{}")
    found = (await scene.check())["PLC directory"]
    assert (found.ok, scene.bot in found.said) == (False, True)
    assert "made with" in found.mend


async def test_public_directory_is_not_for_a_bridge_that_nobody_reaches(scene: Scene) -> None:
    scene.host.site = replace(scene.host.site, base_url="http://localhost:8080")
    scene.http.serve("https://plc.test/_health", b"{}")
    found = (await scene.check())["PLC directory"]
    assert not found.ok
    assert "embedded" in found.mend
    assert "https://plc.test/_health" not in scene.http.asked


@pytest.mark.parametrize("status", [400, 404])
async def test_who_has_not_heard_of_us_yet_is_given_time(scene: Scene, status: int) -> None:
    scene.http.serve(PROFILE + scene.bot.replace(":", "%3A"), status=status)
    scene.http.serve(RELAY, status=status)
    found = await scene.check()
    for what in ("AppView", "relay https://relay.test"):
        assert (found[what].ok, found[what].said) == (False, "it has not heard of us yet")
        assert "base_url" in found[what].mend


async def test_relay_that_throttles_us_is_to_be_asked_for_more(scene: Scene) -> None:
    scene.http.serve(RELAY, b'{"status": "throttled"}')
    found = (await scene.check())["relay https://relay.test"]
    assert (found.ok, found.said) == (False, "has us as throttled")
    assert "docs/atproto.md" in found.mend


@pytest.mark.parametrize(("answer", "ok"), [(b"no JSON", True), (b'{"status": "active"}', True), (b"{}", True)])
async def test_relay_that_answers_knows_us(scene: Scene, answer: bytes, ok: bool) -> None:
    scene.http.serve(RELAY, answer)
    assert (await scene.check())["relay https://relay.test"].ok is ok


async def test_relay_that_fails_is_an_address_to_check_or_a_matter_of_time(scene: Scene) -> None:
    scene.http.pages[RELAY] = EgressFailed("no such host")
    found = (await scene.check())["relay https://relay.test"]
    assert (found.ok, found.mend) == (False, "check the address in adapters.atproto.crawlers")
    scene.http.serve(RELAY, status=503)
    assert (await scene.check())["relay https://relay.test"].mend == "try again later"


async def test_stream_that_does_not_connect_is_an_address_to_check(scene: Scene) -> None:
    found = (await scene.check())["stream wss://jet.test/subscribe"]
    assert (found.ok, found.mend) == (False, "check the address in adapters.atproto.ingest")


async def test_bridge_that_listens_to_nobody_says_so(scene: Scene) -> None:
    assert "nobody" in (await scene.check(ingest={}))["AT Protocol stream"].said


async def test_pace_tells_what_waits_and_accounts_how_many_there_are(scene: Scene) -> None:
    repos = Repos()

    def unit(tx: Tx) -> None:
        for number in range(2):
            repos.create(tx, did(number), f"{number}.test", key(did(number)), scene.host.now())
        repo = tx.execute(firehose.sa.text("SELECT min(id) FROM atproto_repos")).scalar_one()
        for _ in range(1001):
            firehose.emit(tx, repo, "account", {"did": did(0), "active": True}, scene.host.now())

    found = await scene.check(pace={"second": 1, "accounts": 2})
    assert found["AT Protocol accounts"].ok
    await scene.host.write(unit)
    found = await scene.check(pace={"second": 1, "accounts": 1})
    assert not found["AT Protocol pace"].ok
    assert "0 of 1 this second" in found["AT Protocol pace"].said
    assert (found["AT Protocol accounts"].ok, found["AT Protocol accounts"].said) == (
        False, "2 of 1 that relays take"
    )  # fmt: skip
    for what in ("AT Protocol pace", "AT Protocol accounts"):
        assert "docs/atproto.md" in found[what].mend
