"""One real daemon, and as many servers as there are ways to misbehave; each does so once, and then is well.

Whatever may have gone wrong, the same bytes come again; what was refused does not; and nobody waits for anybody else.
"""

import contextlib
import datetime
import email.utils
import json
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .kit import eventually, fediverse
from .kit.canary import Canary, canary
from .kit.daemon import Daemon
from .kit.fediverse import Peer
from .kit.inbox import Inbox, Turn, drips, reset, says, stalls, status
from .kit.nostr import Relay, client, npub, said

HEAD = b"HTTP/1.1 202 Accepted\r\n"


@dataclass(frozen=True)
class Case:
    """How a server takes the first post, what then is sent to it, and after how many seconds at least.

    `becomes`: again (the same bytes); taken (nothing, it is delivered); dead; later (not within this test).
    """

    turn: Turn
    becomes: str = "again"
    wait: float = 4.5
    why: str = ""


def http_date(ahead: float) -> bytes:
    return email.utils.formatdate(time.time() + ahead, usegmt=True).encode()


def wanted(value: bytes, line: bytes = b"429 Too Many Requests") -> Turn:
    return status(line, b"Retry-After: " + value)


def cases(bird: Canary) -> dict[str, Case]:
    elsewhere = b"http://127.0.0.3:%d/inbox" % bird.port
    return {
        "hangs before it answers": Case(stalls(), wait=14, why="timeout"),
        "hangs within its headers": Case(stalls(b"HTTP/1.1 202 Acc"), wait=14, why="timeout"),
        "headers drip without end": Case(drips(HEAD, b"X: y\r\n", 0.2), wait=14, why="timeout"),
        "headers flood": Case(drips(HEAD, b"X: y\r\n" * 200, 0.0), why="protocol"),
        "half a head": Case(says(b"HTTP/1.1 202 Accepted\r\nContent-Le"), why="connect"),
        "cut without an answer": Case(reset, why="connect"),
        "closed without an answer": Case(says(b""), why="connect"),
        "does not speak HTTP": Case(says(b"SSH-2.0-OpenSSH_9.9\r\n"), why="protocol"),
        "half a body": Case(says(HEAD + b"Content-Length: 10\r\n\r\nshort"), "taken"),
        "a byte a second": Case(drips(HEAD + b"Content-Length: 999\r\n\r\n", b"x", 1.0), "taken"),
        "a body without end": Case(drips(HEAD + b"\r\n", b"x" * 65536, 0.0), "taken"),
        "500": Case(status(b"500 Internal Server Error"), why="HTTP 500"),
        "502 with a page": Case(status(b"502 Bad Gateway", body=b"<html>" * 50_000), why="HTTP 502"),
        "408": Case(status(b"408 Request Timeout"), why="HTTP 408"),
        "429 for seconds": Case(wanted(b"8"), wait=8, why="HTTP 429"),
        "503 until a date": Case(wanted(http_date(9), b"503 Service Unavailable"), wait=5, why="HTTP 503"),
        "429 for less than nothing": Case(wanted(b"-5"), why="HTTP 429"),
        "429 for words": Case(wanted(b"a while"), why="HTTP 429"),
        "429 until yesterday": Case(wanted(http_date(-86400)), why="HTTP 429"),
        "429 for 30,000 years": Case(wanted(b"1" + b"0" * 12), "later", why="HTTP 429"),
        "503 until the year 9999": Case(wanted(b"Fri, 31 Dec 9999 23:59:59 GMT"), "later", why="HTTP 429"),
        "301": Case(status(b"301 Moved Permanently", b"Location: " + elsewhere), "dead", why="HTTP 301"),
        "307": Case(status(b"307 Temporary Redirect", b"Location: " + elsewhere), "dead", why="HTTP 307"),
        "400": Case(status(b"400 Bad Request"), "dead", why="HTTP 400"),
        "403": Case(status(b"403 Forbidden"), "dead", why="HTTP 403"),
        "404": Case(status(b"404 Not Found"), "gone", why="HTTP 404"),
        "410": Case(status(b"410 Gone"), "gone", why="HTTP 410"),
    }


def authority(folder: Path) -> tuple[str, dict[str, ssl.SSLContext]]:
    """A file with the one authority that is trusted, and servers by what is wrong with them."""

    def certificate(
        name: str, days: tuple[int, int], signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"bridged {name}")])
        issuer, by = signer or (subject, key)
        today = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today + datetime.timedelta(days[0]))
            .not_valid_after(today + datetime.timedelta(days[1]))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(by, hashes.SHA256())
        )
        return made, key

    def pem(made: x509.Certificate) -> bytes:
        return made.public_bytes(serialization.Encoding.PEM)

    trusted, stranger = certificate("ca", (-2, 9), None), certificate("ca", (-2, 9), None)
    (folder / "ca.pem").write_bytes(pem(trusted[0]))
    servers: dict[str, ssl.SSLContext] = {}
    for what, name, days, (ca, ca_key) in (
        ("good", "localhost", (-1, 9), trusted),
        ("expired", "localhost", (-2, -1), trusted),
        ("other name", "elsewhere.test", (-1, 9), trusted),
        ("other authority", "localhost", (-1, 9), stranger),
    ):
        made, key = certificate(name, days, (ca.subject, ca_key))
        chain = folder / f"{what}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain.write_bytes(private + pem(made))
        servers[what] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        servers[what].load_cert_chain(chain)
    return str(folder / "ca.pem"), servers


async def test_every_way_to_misbehave_ends_as_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = fediverse.rsa_key("all")
    monkeypatch.setattr(fediverse, "rsa_key", lambda name: key)
    ca, servers = authority(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        peer, relay = await stack.enter_async_context(Peer()), await stack.enter_async_context(Relay())
        await relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        daemon = Daemon(tmp_path, config={"adapters": {"nostr": {"relays": [relay.url]}}}, env={"SSL_CERT_FILE": ca})
        bird = await stack.enter_async_context(canary("127.0.0.3"))
        table = cases(bird)
        inboxes = {what: await stack.enter_async_context(Inbox(case.turn)) for what, case in table.items()}
        sure = {
            what: await stack.enter_async_context(Inbox(tls=tls, name="localhost")) for what, tls in servers.items()
        }
        well = await stack.enter_async_context(Inbox())
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        nora = await daemon.actor_of(npub("nora"))
        urls = {what: inbox.url for what, inbox in [*inboxes.items(), *sure.items()]}
        urls |= {"well": well.url, "no such name": "http://nobody.invalid/inbox"}
        for number, url in enumerate(urls.values()):
            fan = peer.actor(f"fan{number}")
            fan.show(inbox=url, endpoints={"sharedInbox": url})
            # the follow is answered there as well: that must not be the turn that is tried out
            held, inbox = [], next((i for i in [*inboxes.values(), *sure.values(), well] if i.url == url), None)
            if inbox is not None:
                held, inbox.turns = inbox.turns, []
            assert await fan.send(fan.follow(nora), f"{daemon.base}/inbox") == 202
            if inbox is not None and inbox not in [sure[w] for w in sure if w != "good"]:
                await eventually(lambda i=inbox: i.got)
                inbox.turns = held
                inbox.got.clear()
        before = daemon.rss()
        async with client(daemon.relay_url) as c:
            assert await c.publish(said("nora", 1, "first")) == (True, "")
            began = time.time()
            await eventually(lambda: well.got)
            assert well.got[0][0] - began < 9, "those that hang, 10 s each, hold up one that is well"
            await eventually(lambda: sure["good"].got)
            await eventually(lambda: all(inbox.got for inbox in inboxes.values()))
            again = [what for what, case in table.items() if case.becomes == "again"]
            await eventually(lambda: all(len(inboxes[what].got) >= 2 for what in again))
            assert await c.publish(said("nora", 1, "second")) == (True, "")
            await eventually(lambda: len(well.got) == 2)
            after = ["again", "taken", "dead"]
            expecting = {what: 3 if c.becomes == "again" else 2 for what, c in table.items() if c.becomes in after}
            await eventually(lambda: all(len(inboxes[w].got) == n for w, n in expecting.items()))
        for what, case in table.items():
            posts = [json.loads(body)["object"]["content"] for body in inboxes[what].bodies]
            first = ["<p>first</p>"] * (2 if case.becomes == "again" else 1)
            assert posts == first + ["<p>second</p>"] * (case.becomes in after), what
            if case.becomes == "again":
                (one, body), (two, same) = inboxes[what].got[:2]
                assert body == same, what
                assert case.wait <= two - one, (what, two - one)
            endpoint = f"endpoint = '{inboxes[what].url}'"
            seen = {(row["step"], row["reason"]) for row in await daemon.ledger(endpoint)}
            if case.becomes in ("dead", "gone"):
                assert ("dead", case.why) in seen, (what, seen)
            elif case.becomes != "taken":
                assert [why for step, why in seen if step == "retry" and why.startswith(case.why[:8])], (what, seen)
            if case.becomes == "gone":
                assert ("unreached", case.why) in seen, what
            if case.becomes == "later":
                lane = (await daemon.rows(f"SELECT due_at FROM lanes WHERE {endpoint}"))[0]
                assert 86000 < lane["due_at"] - began < 86600, what
        for what in ("expired", "other name", "other authority"):
            assert sure[what].got == [], what
        reasons = {row["reason"] for row in await daemon.ledger("step = 'retry'")}
        assert {"tls localhost", "dns nobody.invalid"} <= reasons
        assert bird.hits == [], "a redirect of a POST was followed"
        assert daemon.rss() - before < 64 << 20
        # what is dead is told, and goes again when the operator says so
        told = await daemon.cli("dead")
        assert {group["reason"] for group in told["groups"]} >= {"HTTP 301", "HTTP 403", "HTTP 400"}
        assert all(group["meaning"] for group in told["groups"])
        refused = inboxes["403"]
        host = f"127.0.0.1:{refused.port}"
        assert (await daemon.cli("retry", "--host", host, "--dry-run"))["retried"] == 1
        assert len(refused.got) == 2
        tried = await daemon.cli("retry", "--host", host)
        assert (tried["retried"], tried["hosts"]) == (1, {host: 1})
        await eventually(lambda: len(refused.got) == 3)
        assert refused.bodies[2] == refused.bodies[0]
        await eventually(lambda: daemon.cli("retry", "--host", host, ok=(1,)))
