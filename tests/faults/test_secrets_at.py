"""No secret of the AT Protocol's gets out: keys of our accounts that sign and rotate, and the tokens of reports."""

import base64
import json
from pathlib import Path

from adapters.atproto import plc
from adapters.atproto.crypto import SigningKey
from bridged.keys import KeyRing
from bridged.model import BOT, Ref
from tests.unit.activitypub.fake import PUBLIC

from .hunt import Hunt
from .kit import eventually
from .kit.fediverse import Answer, Got
from .kit.heaven import heaven
from .test_secrets import ROOT_SECRET, run, tables

MODERATION = "/xrpc/com.atproto.moderation.createReport"
BREAK = "CREATE TRIGGER broken BEFORE INSERT ON atproto_events BEGIN SELECT RAISE(ABORT, 'broken'); END"


async def test_keys_and_tokens_are_nowhere_after_reports_and_trouble(tmp_path: Path) -> None:
    folder = tmp_path / "bridge"
    (folder / "var").mkdir(parents=True)
    (folder / "var" / "secret.key").touch(0o600)
    (folder / "var" / "secret.key").write_text(ROOT_SECRET.hex())
    tokens: list[str] = []

    def script(got: Got) -> Answer | None:
        """Reports are refused, and what came with them told to whoever reads the answer."""
        if got.path != MODERATION:
            return None
        tokens.append(got.header("Authorization").removeprefix("Bearer "))
        return Answer(500 if len(tokens) == 1 else 400, {}, f"what is {tokens[-1]}?".encode())

    config = {"log": {"level": "debug", "format": "json"}}
    async with heaven(folder, config, moderated=True) as here:
        here.sky.script = script
        daemon, carol = here.daemon, here.carol
        await here.crosses("something that carol minds")
        (copy,) = here.copies("something that carol minds")
        flag = carol.activity("Flag", [here.ghost, copy.json["object"]["id"]], to=[here.ghost], content="I mind")
        assert await carol.send(flag, f"{daemon.base}/inbox") == 202
        await eventually(lambda: len(tokens) >= 2)
        assert await carol.send(carol.create("of carol's own", to=[PUBLIC]), f"{daemon.base}/inbox") == 202
        await here.settled()

        ring = KeyRing(ROOT_SECRET)
        known = {"the root secret": ROOT_SECRET}
        for owner in (BOT, Ref("activitypub", carol.id)):
            for purpose in ("atproto-signing", "atproto-rotation"):
                known[f"the {purpose} key of {owner}"] = ring.derive(purpose, owner)
        for number, token in enumerate(tokens):
            known[f"token {number}"] = token.encode()
            signature = token.rpartition(".")[2]
            known[f"signature {number}"] = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        # they are the keys in use: else nothing would be proved
        did = await here.did_of("bridge.bridge.test")
        (first,) = here.sky.operations[did]
        rotation = SigningKey(ring.derive("atproto-rotation", BOT)).public.did_key()
        assert plc.signer([rotation], plc.read(first)) == 0
        hunt = Hunt(known)

        await daemon.rows(BREAK)
        assert await carol.send(carol.create("into the void"), f"{daemon.base}/inbox") == 202
        await eventually(lambda: "broken" in daemon.log)
        await daemon.rows("DROP TRIGGER broken")
        pages = [
            (await daemon.get(path))[2]
            for path in ("/metrics", "/", f"/xrpc/com.atproto.sync.getRepo?did={did}", "/xrpc/_health")
        ]
        saved = tmp_path / "saved"
        commands = (("backup", str(saved)), ("status",), ("check",), ("reports",), ("trace", here.ada.did))
        told = [text for _, text in await run(*((daemon.file, *words) for words in commands))]

        hits = hunt.in_file(daemon.log_file) + hunt.in_file(saved)
        hits += hunt.hits("pages", b"\n".join(pages)) + hunt.hits("commands", b"\n".join(told))
        sent = b"\n".join(got.body for got in [*here.sky.web.got, *here.peer.got])
        hits += hunt.hits("what was sent", sent)
        for path in daemon.data.iterdir():
            if path.is_file() and path.name != "secret.key":
                hits += hunt.in_file(path)
        for table in await tables(daemon):
            values = [v for row in await daemon.rows(f'SELECT * FROM "{table}"') for v in row.values()]
            whole = (bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in values)
            hits += hunt.hits("rows", b"\n".join(whole))
        assert hits == []
        assert hunt.searched["rows"] > 10_000
        assert "what is" in json.dumps(await daemon.ledger()), "what the service said is told, without the token"
        assert hunt.hits("a header", tokens[0].encode())
