"""Who is taken to have said a message or a zap, before it is handed in."""

import asyncio
import hashlib
import json

import pytest

from adapters.nostr import ids, nip17, zaps
from adapters.nostr.event import Event, sign, to_json
from adapters.nostr.intake import WAITING, Intake
from bridged.api import Account, Ghost, Malformed, Ref, Response, Unreachable
from bridged.testing import FakeHost
from bridged.testing.world import ScriptedHttp

NOW = 1_700_000_000
BOT, PAYER, WALLET, OTHER = (hashlib.sha256(name).digest() for name in (b"bot", b"payer", b"wallet", b"other"))
BOT_KEY, PAYER_KEY, WALLET_KEY = (sign(secret, 1, 1, [], "").pubkey for secret in (BOT, PAYER, WALLET))
BOB, EVENT, RELAY = "b0" * 32, "11" * 32, "wss://relay.test"
PAY = "https://pay.test/.well-known/lnurlp/bob"


def receipt(secret: bytes = WALLET, recipient: str = BOB, at: int = NOW) -> Event:
    request = sign(PAYER, zaps.REQUEST, at, [("p", recipient), ("e", EVENT)], "")
    tags = [("p", recipient), ("e", EVENT), ("bolt11", "lnbc1u1q"), ("description", to_json(request).decode())]
    return sign(secret, zaps.RECEIPT, at, tags, "")


class Scene:
    def __init__(self) -> None:
        self.http = ScriptedHttp()
        self.host = FakeHost()
        self.host.http = self.http
        self.asked: list[Ref] = []
        self.detail = {"lud16": "bob@pay.test"}
        self.intake = Intake(self.host, lambda: BOT_KEY, lambda: BOT, self.account)
        self.pays(WALLET_KEY)

    def pays(self, key: str) -> None:
        self.http.serve(PAY, json.dumps({"allowsNostr": True, "nostrPubkey": key}).encode())

    async def account(self, ref: Ref) -> Account | None:
        self.asked.append(ref)
        return Account(ref, "npub", detail=self.detail)

    async def signer(self, event: Event) -> str:
        return (await self.intake.admitted(event, RELAY, float(NOW))).signer.id


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_zap_that_the_wallet_signed_is_the_payers(scene: Scene) -> None:
    event = receipt()
    envelope = await scene.intake.admitted(event, RELAY, float(NOW))
    assert (envelope.id, envelope.signer, envelope.body) == (event.id, ids.account_ref(PAYER_KEY), to_json(event))


async def test_a_zap_that_somebody_else_signed_is_refused(scene: Scene) -> None:
    with pytest.raises(Malformed, match="zap_signer"):
        await scene.signer(receipt(OTHER))


async def test_a_wallet_is_asked_once_an_hour(scene: Scene) -> None:
    for at in (NOW, NOW + 1):
        await scene.signer(receipt(at=at))
    assert len(scene.asked) == len(scene.http.asked) == 1
    scene.host.at += 3601
    await scene.signer(receipt())
    assert len(scene.http.asked) == 2


async def test_a_wallet_that_fails_is_asked_again_soon(scene: Scene) -> None:
    scene.http.pages[PAY] = Response(503, PAY, {}, b"")
    with pytest.raises(Malformed):
        await scene.signer(receipt())
    scene.pays(WALLET_KEY)
    with pytest.raises(Malformed):
        await scene.signer(receipt())
    scene.host.at += 61
    assert await scene.signer(receipt()) == PAYER_KEY


@pytest.mark.parametrize("detail", [{}, {"lud16": "bob@elsewhere.test"}])
async def test_a_zap_for_somebody_without_a_wallet_is_refused(scene: Scene, detail: dict[str, str]) -> None:
    scene.detail = detail
    with pytest.raises(Malformed, match="zap_signer"):
        await scene.signer(receipt())


async def test_nothing_is_concluded_when_the_profile_cannot_be_had(scene: Scene) -> None:
    async def nobody(_: Ref) -> Account | None:
        raise Unreachable("no relay answers")

    intake = Intake(scene.host, lambda: BOT_KEY, lambda: BOT, nobody)
    with pytest.raises(Malformed, match="zap_signer"):
        await intake.admitted(receipt(), RELAY, float(NOW))


async def test_a_ghosts_wallet_is_its_owners(scene: Scene) -> None:
    owner = Account(Ref("activitypub", "https://social.test/bob"), "bob", fields=(("Lightning", "bob@pay.test"),))
    scene.host.ghosts[ids.account_ref(BOB)] = Ghost(owner.ref, ids.account_ref(BOB), "bob"), owner
    assert await scene.signer(receipt()) == PAYER_KEY
    assert scene.asked == []


async def test_a_message_is_its_senders(scene: Scene) -> None:
    wrap = nip17.wrap(PAYER, BOT_KEY, "help", NOW, b"s" * 32)
    envelope = scene.intake.admit(wrap, RELAY, float(NOW))
    assert envelope is not None
    assert (envelope.signer, envelope.id) == (ids.account_ref(PAYER_KEY), wrap.id)


async def test_a_message_that_cannot_be_read_is_dropped(scene: Scene) -> None:
    wrap = sign(OTHER, nip17.GIFT_WRAP, NOW, [("p", BOT_KEY)], "nonsense")
    assert scene.intake.admit(wrap, RELAY, float(NOW)) is None
    assert scene.host.drops == ["payload"]
    with pytest.raises(Malformed):
        await scene.intake.admitted(wrap, RELAY, float(NOW))


async def test_everything_else_is_its_signers(scene: Scene) -> None:
    event = sign(OTHER, 1, NOW, [], "hi")
    envelope = scene.intake.admit(event, RELAY, float(NOW))
    assert envelope == await scene.intake.admitted(event, RELAY, float(NOW))
    assert envelope is not None
    assert envelope.signer == ids.account_ref(event.pubkey)


async def test_zaps_are_handed_in_once_the_wallet_has_answered(scene: Scene) -> None:
    assert scene.intake.admit(receipt(OTHER), RELAY, float(NOW)) is None
    assert scene.intake.admit(receipt(), RELAY, float(NOW)) is None
    assert scene.host.received == []
    running = asyncio.create_task(scene.intake.run())
    async with asyncio.timeout(60):
        while not (scene.host.received and scene.host.drops):  # noqa: ASYNC110
            await asyncio.sleep(0)
    running.cancel()
    assert [e.signer.id for e in scene.host.received] == [PAYER_KEY]
    assert scene.host.drops == ["zap_signer"]


async def test_zaps_wait_in_a_bounded_line_and_contradictions_do_not(scene: Scene) -> None:
    event = receipt()
    for _ in range(WAITING + 1):
        scene.intake.admit(event, RELAY, float(NOW))
    assert scene.host.drops == ["zaps_waiting"]
    scene.intake.admit(sign(WALLET, zaps.RECEIPT, NOW, [], ""), RELAY, float(NOW))
    assert scene.host.drops[1:] == ["zap_request"]
