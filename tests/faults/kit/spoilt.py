"""Requests of a member to the inbox, each spoilt in one way, and the reason for which it must be refused.

`CASES`: name -> (what spoils a `Request`, the reasons, any of which will do).
"""

import base64
import json
import re
import time
from collections.abc import Callable
from email.utils import formatdate

from multidict import CIMultiDict

from adapters.activitypub.signatures import digest_header, sign_cavage

from .scene import Scene

HOUR = 3600
Headers = CIMultiDict[str]


class Request:
    """A post by alice, rightly signed; what a case spoils is sent."""

    def __init__(self, here: Scene) -> None:
        self.here, self.url = here, here.inbox
        self.body = json.dumps(here.alice.create("forged")).encode()
        self.headers: Headers = CIMultiDict(here.alice.signed(here.inbox, self.body))

    def sign(self, scheme: str = "cavage", **how: object) -> None:
        made = self.here.alice.signed(self.url, self.body, scheme=scheme, **how)  # type: ignore[arg-type]
        self.headers = CIMultiDict(made)

    def swap(self, header: str, old: str, new: str) -> None:
        assert old in self.headers[header], self.headers[header]
        self.headers[header] = self.headers[header].replace(old, new)

    def cavage(self, names: str, algorithm: str = "rsa-sha256", **more: str) -> None:
        """Signed by alice over just these names, whatever they leave out; `more` are further parameters."""
        values = {name.lower(): value for name, value in self.headers.items()}
        values |= {"(request-target)": "post /inbox", "(created)": more.get("created", ""), "host": values["host"]}
        values["(expires)"] = more.get("expires", "")
        text = "\n".join(f"{name}: {values[name]}" for name in names.split()).encode()
        raw = base64.b64encode(self.here.alice.key.sign(text)).decode()
        bare = "".join(f",{name}={value}" for name, value in more.items())
        self.headers["Signature"] = (
            f'keyId="{self.here.alice.key_id}",algorithm="{algorithm}"{bare},headers="{names}",signature="{raw}"'
        )


Spoil = Callable[[Request], None]
CASES: dict[str, tuple[Spoil, str]] = {}
ALL = "(request-target) host date digest"
UNSURE = "unknown_key signature_mismatch"
"""Which of the two depends on whether the key was looked at within the last minute."""


def case(reasons: str) -> Callable[[Spoil], Spoil]:
    def keep(spoil: Spoil) -> Spoil:
        CASES[spoil.__name__] = (spoil, reasons)
        return spoil

    return keep


@case("signature_missing")
def unsigned(r: Request) -> None:
    del r.headers["Signature"]


@case("signature_missing")
def empty_signature(r: Request) -> None:
    r.headers["Signature"] = " "


@case(UNSURE)
def neighbours_signature(r: Request) -> None:
    nina = r.here.peer.actors["nina"]
    r.sign(key=nina.key, key_id=nina.key_id)


@case(UNSURE)
def neighbours_key_under_her_id(r: Request) -> None:
    r.sign(key=r.here.peer.actors["nina"].key)


@case("key_of_another")
def strangers_signature(r: Request) -> None:
    r.sign(key=r.here.mallory.key, key_id=r.here.mallory.key_id)


@case(UNSURE)
def key_id_with_another_fragment(r: Request) -> None:
    r.sign(key_id=f"{r.here.alice.id}#other-key")


@case(UNSURE)
def key_id_with_two_fragments(r: Request) -> None:
    r.sign(key_id=f"{r.here.alice.key_id}#main-key", key=r.here.mallory.key)


@case(UNSURE)
def key_id_by_way_of_dots(r: Request) -> None:
    r.sign(key_id=f"{r.here.alice.id}/../nina#main-key", key=r.here.peer.actors["nina"].key)


@case("key_of_another")
def key_id_with_her_host_as_user(r: Request) -> None:
    r.sign(key_id=f"http://{r.here.peer.host}@{r.here.other.host}/users/mallory#main-key", key=r.here.mallory.key)


@case("key_of_another")
def key_id_with_backslash(r: Request) -> None:
    r.sign(key_id=f"http://{r.here.peer.host}\\@{r.here.other.host}/users/mallory#main-key", key=r.here.mallory.key)


@case("key_of_another")
def key_id_with_her_host_as_label(r: Request) -> None:
    r.sign(key_id=f"http://{r.here.peer.host}.evil.example/users/alice#main-key", key=r.here.mallory.key)


@case("key_of_another")
def key_id_that_is_no_address(r: Request) -> None:
    r.sign(key_id="acct:alice@127.0.0.1")


@case("key_of_another")
def key_id_of_her_host_in_https(r: Request) -> None:
    r.sign(key_id=f"https://{r.here.peer.address}/users/alice#main-key", key=r.here.mallory.key)


@case("key_of_another signature_malformed")
def key_id_without_end(r: Request) -> None:
    r.swap("Signature", "#main-key", "#" + "k" * 6000)


@case("signature_digest_missing")
def digest_missing(r: Request) -> None:
    del r.headers["Digest"]
    r.cavage("(request-target) host date")


@case("signature_digest_unsigned")
def digest_unsigned(r: Request) -> None:
    r.cavage("(request-target) host date")


@case("signature_digest_mismatch")
def digest_wrong(r: Request) -> None:
    r.body = r.body.replace(b"forged", b"fudged")


@case("signature_digest_mismatch")
def digest_of_two_algorithms_one_wrong(r: Request) -> None:
    r.headers["Digest"] = f"{r.headers['Digest']},SHA-512={'A' * 86}=="
    r.cavage(ALL)


@case("signature_digest_missing")
def digest_of_an_algorithm_that_proves_nothing(r: Request) -> None:
    r.headers["Digest"] = "MD5=1B2M2Y8AsgTpgAmY7PhCfg==,UNIXsum=30637"
    r.cavage(ALL)


@case("signature_digest_mismatch signature_mismatch signature_malformed")
def digest_twice(r: Request) -> None:
    r.headers.add("Digest", digest_header(b"another body"))


@case("signature_digest_mismatch")
def digest_twice_and_signed(r: Request) -> None:
    r.headers["Digest"] = f"{digest_header(b'another body')}, {r.headers['Digest']}"
    r.cavage(ALL)


@case("signature_target_unsigned")
def target_unsigned(r: Request) -> None:
    r.cavage("host date digest")


@case("signature_host_unsigned")
def host_unsigned(r: Request) -> None:
    r.cavage("(request-target) date digest")


@case(UNSURE)
def signed_for_another_host(r: Request) -> None:
    r.headers["Host"] = "victim.example"
    r.cavage(ALL)


@case(UNSURE)
def signed_for_another_path(r: Request) -> None:
    r.headers = CIMultiDict(r.here.alice.signed(f"{r.here.daemon.base}/elsewhere", r.body))


@case(UNSURE)
def replayed_at_another_inbox(r: Request) -> None:
    r.url = f"{r.here.nora}/inbox"


@case(UNSURE)
def signed_as_a_get(r: Request) -> None:
    r.sign(method="GET")


@case("signature_date")
def two_hours_old(r: Request) -> None:
    r.sign(now=time.time() - 2 * HOUR)


@case("signature_date")
def two_hours_ahead(r: Request) -> None:
    r.sign(now=time.time() + 2 * HOUR)


@case("signature_date")
def date_garbage(r: Request) -> None:
    r.headers["Date"] = "yesterday"
    r.cavage(ALL)


@case("signature_date")
def date_unsigned(r: Request) -> None:
    r.cavage("(request-target) host digest")


@case("signature_date")
def date_absent(r: Request) -> None:
    del r.headers["Date"]


@case("signature_date")
def date_twice(r: Request) -> None:
    r.headers["Date"] = formatdate(time.time() - 2 * HOUR, usegmt=True)
    r.cavage(ALL)
    r.headers.add("Date", formatdate(time.time(), usegmt=True))


@case("signature_date")
def created_long_ago(r: Request) -> None:
    r.cavage("(request-target) (created) host digest", "hs2019", created=str(int(time.time()) - 2 * HOUR))


@case("signature_date")
def expired(r: Request) -> None:
    now = int(time.time())
    r.cavage(f"{ALL} (expires)", "hs2019", expires=str(now - 2 * HOUR))


@case("signature_malformed")
def created_with_an_old_algorithm(r: Request) -> None:
    r.cavage("(request-target) (created) host digest", created=str(int(time.time())))


@case("signature_malformed")
def created_that_is_no_number(r: Request) -> None:
    r.cavage("(request-target) (created) host digest", "hs2019", created='"1e9"')


@case("signature_key_unsupported")
def algorithm_rsa_sha1(r: Request) -> None:
    r.cavage(ALL, "rsa-sha1")


@case("signature_key_unsupported")
def algorithm_hmac(r: Request) -> None:
    r.cavage(ALL, "hmac-sha256")


@case("signature_key_unsupported")
def algorithm_none(r: Request) -> None:
    r.cavage(ALL, "none")


@case("signature_key_unsupported signature_mismatch")
def algorithm_ed25519_with_an_rsa_key(r: Request) -> None:
    r.cavage(ALL, "ed25519")


@case(UNSURE)
def algorithm_sha512_over_a_sha256_signature(r: Request) -> None:
    r.cavage(ALL, "rsa-sha512")


@case("signature_malformed")
def signature_twice(r: Request) -> None:
    nina = r.here.peer.actors["nina"]
    r.headers.add("Signature", sign_cavage(nina.key, nina.key_id, "POST", r.url, r.body, time.time())["Signature"])


@case("signature_malformed")
def header_named_twice(r: Request) -> None:
    r.cavage(f"{ALL} digest")


@case("signature_malformed")
def a_thousand_names(r: Request) -> None:
    r.swap("Signature", ALL, " ".join([ALL, *(f"x-{n}" for n in range(1000))]))


@case("signature_malformed")
def names_a_header_that_is_not_there(r: Request) -> None:
    r.swap("Signature", ALL, f"{ALL} x-absent")


@case("signature_malformed")
def signature_garbage(r: Request) -> None:
    r.headers["Signature"] = 'keyId="' + '"' * 3000


@case(f"{UNSURE} signature_malformed")
def signature_of_no_bytes(r: Request) -> None:
    start, _, _ = r.headers["Signature"].partition("signature=")
    r.headers["Signature"] = start + 'signature=""'


@case("signature_date")
def rfc9421_created_ahead(r: Request) -> None:
    r.sign("rfc9421", now=time.time() + 2 * HOUR)


@case("signature_date signature_malformed")
def rfc9421_without_created(r: Request) -> None:
    r.sign("rfc9421")
    r.headers["Signature-Input"] = re.sub(r";created=\d+", "", r.headers["Signature-Input"])


@case("signature_date signature_malformed")
def rfc9421_created_with_a_fraction(r: Request) -> None:
    r.sign("rfc9421")
    r.swap("Signature-Input", ";keyid", ".5;keyid")


@case("signature_digest_mismatch")
def rfc9421_body_exchanged(r: Request) -> None:
    r.sign("rfc9421")
    r.body = r.body.replace(b"forged", b"fudged")


@case("signature_digest_unsigned")
def rfc9421_digest_not_covered(r: Request) -> None:
    r.sign("rfc9421")
    r.swap("Signature-Input", ' "content-digest"', "")


@case("signature_target_unsigned")
def rfc9421_method_not_covered(r: Request) -> None:
    r.sign("rfc9421")
    r.swap("Signature-Input", '"@method" ', "")


@case("signature_key_unsupported")
def rfc9421_unknown_algorithm(r: Request) -> None:
    r.sign("rfc9421")
    r.headers["Signature-Input"] += ';alg="hmac-sha256"'


@case(UNSURE)
def rfc9421_forged_label_before_a_good_one(r: Request) -> None:
    r.sign("rfc9421")
    good, sig = r.headers["Signature-Input"], r.headers["Signature"]
    r.sign("rfc9421", key=r.here.mallory.key)
    r.headers["Signature-Input"] = f"{r.headers['Signature-Input']}, {good.replace('sig1', 'sig2')}"
    r.headers["Signature"] = f"{r.headers['Signature']}, {sig.replace('sig1', 'sig2')}"


@case("signature_malformed signature_date")
def rfc9421_beside_cavage_in_one_header(r: Request) -> None:
    good = r.headers["Signature"]
    r.sign("rfc9421", key=r.here.mallory.key, key_id=r.here.mallory.key_id)
    r.headers["Signature"] = f"{r.headers['Signature']}, {good}"


@case("signature_malformed")
def rfc9421_twenty_labels(r: Request) -> None:
    r.sign("rfc9421")
    for header in ("Signature-Input", "Signature"):
        one = r.headers[header]
        r.headers[header] = ", ".join(one.replace("sig1", f"s{n}") for n in range(20))
