import base64
import time
from contextlib import suppress
from email.utils import formatdate

import pytest
from apsig.draft.sign import Signer
from apsig.draft.verify import Verifier
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub import rfc9421
from adapters.activitypub.signatures import (
    BadSignature,
    PublicKey,
    RsaKey,
    _parsed_key,
    check_content_digest,
    check_digest,
    check_key,
    check_request,
    content_digest,
    digest_header,
    parse_signature,
    public_key,
    sign_cavage,
    sign_rfc9421,
    verify,
)

NOW = 1_700_000_000.0
BASE = "https://bridge.example"
PATH = "/inbox?x=1"
BODY = b'{"type":"Follow"}'
KEY_ID = "https://peer.example/users/a#main-key"
KEY = RsaKey.generate()
PEM = KEY.public_pem
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
SIGNERS = [sign_cavage, sign_rfc9421]


def pem_of(key, form=SPKI):
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def accept(headers, pem=PEM, *, method="POST", base=BASE, path=PATH, body=BODY, now=NOW):
    claim = parse_signature(method, base, path, headers)
    verify(claim, public_key(pem), body, now)
    return claim


def reason(headers, pem=PEM, **request):
    with pytest.raises(BadSignature) as caught:
        accept(headers, pem, **request)
    return caught.value.reason


def cavage_headers(names, *, sign=None, algorithm="hs2019", extra="", method="post", **headers):
    """A request whose author covers just what the test says."""
    known = {"host": "bridge.example", "date": formatdate(NOW, usegmt=True), "digest": digest_header(BODY)}
    fields = {name: value for name, value in (known | headers).items() if value is not None}
    given_lines = {"(request-target)": f"{method} {PATH}", "(created)": int(NOW), "(expires)": int(NOW) + 60}
    text = "\n".join(f"{name}: {(given_lines | fields)[name]}" for name in names.split())
    signature = base64.b64encode((sign or KEY.sign)(text.encode("utf-8", "surrogateescape"))).decode()
    value = f'keyId="{KEY_ID}",algorithm="{algorithm}",{extra}headers="{names}",signature="{signature}"'
    return {**fields, "Signature": value}


def rfc9421_headers(components, *, params=f';created={int(NOW)};keyid="{KEY_ID}"', sign=KEY.sign, label="sig1"):
    """As `cavage_headers`, for RFC 9421."""
    fields = {
        "host": "bridge.example",
        "content-digest": content_digest(BODY),
        "date": formatdate(NOW, usegmt=True),
    }
    line = "(" + " ".join(f'"{name}"' for name in components.split()) + ")" + params
    base = rfc9421.signature_base(
        tuple(components.split()), line, "POST", rfc9421.split_url(BASE + PATH), fields.__getitem__
    )
    return {**fields, **rfc9421.headers(label, line, sign(base))}


# --- round trips and the other implementation


@pytest.mark.parametrize("sign", SIGNERS)
@pytest.mark.parametrize(("method", "body"), [("POST", BODY), ("GET", None)])
@pytest.mark.parametrize("origin", [BASE, "http://[2001:db8::1]:8080", "https://bridge.example:443"])
def test_signed_request_verifies(sign, method, body, origin):
    added = sign(KEY, KEY_ID, method, origin + PATH, body, NOW)
    claim = accept(added, method=method, base=origin, body=body)
    assert claim.key_id == KEY_ID
    other = RsaKey.generate().public_pem
    assert reason(added, other, method=method, base=origin, body=body) == "mismatch"


def test_signed_host_is_what_clients_send():
    hosts = {
        "https://B.example:443/x": "b.example",
        "https://b.example:80/": "b.example:80",
        "http://[::1]": "[::1]",
    }
    for url, host in hosts.items():
        assert sign_cavage(KEY, KEY_ID, "GET", url, None, NOW)["Host"] == host


def test_apsig_verifies_what_we_sign():
    url = "https://peer.example/inbox"
    added = sign_cavage(KEY, KEY_ID, "POST", url, BODY, time.time())
    assert Verifier(PEM, "POST", url, added, BODY).verify(raise_on_fail=True) == KEY_ID


def test_we_verify_what_apsig_signs():
    private = serialization.load_pem_private_key(KEY.private_pem(), None)
    for method, body in (("POST", BODY), ("GET", b"")):
        signer = Signer({}, private, method, BASE + "/inbox", KEY_ID, body)
        accept(signer.sign(), method=method, path="/inbox", body=body, now=time.time())


@pytest.mark.parametrize("url", ["ftp://a/b", "https://a@b/", "https://b\\@c/", "https://ü/", "/x", "https://a/ b"])
@pytest.mark.parametrize("sign", SIGNERS)
def test_signing_refuses_what_is_no_plain_url(sign, url):
    with pytest.raises(ValueError, match=r"URL|host"):
        sign(KEY, KEY_ID, "GET", url, None, NOW)


@given(st.data())
def test_a_changed_byte_of_what_is_signed_is_refused(data):
    sign = data.draw(st.sampled_from(SIGNERS))
    added = sign(KEY, KEY_ID, "POST", BASE + PATH, BODY, NOW)
    parts = {"base": BASE, "path": PATH, "body": BODY.decode()}
    if sign is sign_cavage:
        parts |= {name: added[name] for name in ("Date", "Digest")}
    else:
        parts |= {name: added[name] for name in ("Content-Digest", "Signature-Input")}
    name = data.draw(st.sampled_from(sorted(parts)))
    low = len("https://") if name == "base" else 0
    at = data.draw(st.integers(low, len(parts[name]) - 1))
    new = data.draw(st.sampled_from("abz09/.") if name == "base" else st.characters(codec="ascii"))
    changed = parts[name][:at] + new + parts[name][at + 1 :]
    if changed == parts[name] or (name == "base" and "/" in changed[low:]):
        return
    if name in ("base", "path", "body"):
        request = {name: changed.encode() if name == "body" else changed}
        assert reason(added, **request) in {"mismatch", "digest_mismatch", "malformed"}
    else:
        assert reason(added | {name: changed})


# --- what must be covered

FULL = "(request-target) host date digest"
CREATED = "(request-target) (created) host digest"
FULL_9421 = "@method @target-uri content-digest"


def with_params(params):
    return rfc9421_headers(FULL_9421, params=params)


def swap(headers, name, old, new):
    return headers | {name: headers[name].replace(old, new)}


def sha512_sign(text):
    private = serialization.load_pem_private_key(KEY.private_pem(), None)
    return private.sign(text, padding.PKCS1v15(), hashes.SHA512())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "missing"),
        ({"Signature": ""}, "missing"),
        ({"Signature": "x"}, "malformed"),
        ({"Signature": 'keyId="a",keyId="a",signature="YQ=="'}, "malformed"),
        (cavage_headers("host date digest"), "target_unsigned"),
        (cavage_headers("(request-target) date digest"), "host_unsigned"),
        (cavage_headers("(request-target) host digest"), "date"),
        (cavage_headers("(request-target) (expires) host digest", extra=f"expires={int(NOW) + 60},"), "date"),
        (cavage_headers("(request-target) host date"), "digest_unsigned"),
        (cavage_headers("(request-target) host date", digest=None), "digest_missing"),
        (cavage_headers(FULL, digest="SHA-256=" + "A" * 43 + "="), "digest_mismatch"),
        (cavage_headers(FULL, digest="MD5=abc"), "digest_missing"),
        (cavage_headers(FULL, algorithm="rsa-sha1"), "key_unsupported"),
        (cavage_headers(FULL, algorithm="rsa-sha256", sign=sha512_sign), "mismatch"),
        (cavage_headers(FULL, date="yesterday"), "date"),
        (cavage_headers(FULL, date=formatdate(NOW - 7200, usegmt=True)), "date"),
        (cavage_headers(FULL, date=formatdate(NOW + 7200, usegmt=True)), "date"),
        (cavage_headers(FULL, date="Tue, 31 Feb 2023 22:13:20 GMT"), "date"),
        (cavage_headers(FULL, host="other.example"), "mismatch"),
        (cavage_headers(FULL, method="put"), "mismatch"),
        (cavage_headers(FULL + " x-long", **{"x-long": "a" * 8193}), "malformed"),
        (cavage_headers(CREATED, algorithm="rsa-sha256", extra="created=1,"), "malformed"),
        (cavage_headers(CREATED), "malformed"),
        (cavage_headers(FULL) | {"Date": ""}, "date"),
        (cavage_headers(FULL, extra='keyId="b",'), "malformed"),
        (cavage_headers(FULL + " x-a", **{"x-a": "a\nb"}), "malformed"),
        (swap(cavage_headers(FULL), "Signature", KEY_ID, "k" * 2049), "malformed"),
        (swap(rfc9421_headers(FULL_9421), "Signature-Input", "sig1", "sig1=1, sig1"), "malformed"),
        (swap(rfc9421_headers(FULL_9421), "Signature-Input", '")', '" "@x")') | {"@x": "1"}, "malformed"),
        (swap(rfc9421_headers(FULL_9421), "Signature-Input", '")', '" "x-a")') | {"x-a": "é"}, "malformed"),
        (rfc9421_headers("@target-uri content-digest"), "target_unsigned"),
        (rfc9421_headers("@method @authority content-digest"), "target_unsigned"),
        (rfc9421_headers("@method @authority @path content-digest"), "target_unsigned"),
        (rfc9421_headers("@method @path @query content-digest"), "host_unsigned"),
        (rfc9421_headers("@method @request-target content-digest"), "host_unsigned"),
        (rfc9421_headers("@method @target-uri"), "digest_unsigned"),
        (with_params(';keyid="k"'), "date"),
        (with_params(f';created={int(NOW) - 7200};keyid="k"'), "date"),
        (with_params(f';created={int(NOW)};expires={int(NOW) - 7200};keyid="k"'), "date"),
        (with_params(f";created={int(NOW)}"), "malformed"),
        (with_params(f';created={int(NOW)};keyid="k";alg="rsa-pss-sha512"'), "key_unsupported"),
        (with_params(f';created={int(NOW)};keyid="k";alg="ed25519"'), "key_unsupported"),
        (with_params(f';created={int(NOW)};keyid="{"k" * 2049}"'), "malformed"),
        (rfc9421_headers(FULL_9421 + " @method"), "malformed"),
    ],
)  # fmt: skip
def test_request_without_full_coverage_is_refused(headers, expected):
    assert reason(headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        cavage_headers(FULL),
        cavage_headers(FULL, sign=sha512_sign),
        cavage_headers(FULL, algorithm="RSA-SHA256"),
        cavage_headers(FULL, algorithm="rsa-sha512", sign=sha512_sign),
        cavage_headers(FULL, date=formatdate(NOW - 3600, usegmt=True)),
        cavage_headers(FULL, host="BRIDGE.example:443"),
        cavage_headers(FULL + " x-a", **{"x-a": "caf\udce9"}),  # Latin-1, as aiohttp hands it over
        sign_rfc9421(KEY, KEY_ID, "POST", "https://BRIDGE.example:443" + PATH, BODY, NOW),
        cavage_headers(FULL) | {"host": "127.0.0.1:8080"},  # a proxy put its own
        cavage_headers(FULL, digest="md5=x, sha-256=" + digest_header(BODY)[8:]),
        cavage_headers(
            "(request-target) (created) (expires) host digest",
            extra=f"created={int(NOW)},expires={int(NOW) + 60},",
        ),
        rfc9421_headers("@method @authority @path @query content-digest"),
        rfc9421_headers("@method host @request-target content-digest date"),
        with_params(f';created={int(NOW)};keyid="k";alg="rsa-v1_5-sha256";tag="x"'),
        # A Signature-Input of someone else's beside a good draft-cavage signature.
        cavage_headers(FULL) | {"Signature-Input": "junk"},
    ],
)
def test_request_with_full_coverage_is_accepted(headers):
    accept(headers)


def test_repeated_headers_are_joined_before_they_are_signed():
    headers = cavage_headers(FULL + " x-a", **{"x-a": "1, 2"})
    pairs = [(name, value) for name, value in headers.items() if name != "x-a"]
    accept([*pairs, ("X-A", " 1 "), ("x-a", "2")])
    assert reason([*pairs, ("X-A", "2"), ("x-a", "1")]) == "mismatch"


def test_first_acceptable_label_of_four_is_taken():
    good = rfc9421_headers(FULL_9421, label="good")
    for poor in range(5):
        added = dict(good)
        for name in ("Signature-Input", "Signature"):
            value = "();created=1" if name == "Signature-Input" else ":YQ==:"
            added[name] = ", ".join([f"l{i}={value}" for i in range(poor)] + [good[name]])
        if poor < 4:
            accept(added)
        else:
            assert reason(added) == "malformed"


def test_stale_or_altered_request_is_refused_before_any_key_is_needed():
    claim = parse_signature("POST", BASE, PATH, cavage_headers(FULL))
    check_request(claim, BODY, NOW)
    for body, now in ((BODY, NOW + 3601), (BODY + b" ", NOW), (None, NOW)):
        with pytest.raises(BadSignature):
            check_request(claim, body, now)


# --- keys


def test_key_survives_export_and_load():
    again = RsaKey.load(KEY.private_pem())
    assert again.public_pem == PEM
    assert again.sign(b"x") == KEY.sign(b"x")
    assert "PRIVATE" not in repr(KEY) + str(vars(type(KEY)))


def test_ed25519_key_verifies_rfc9421_and_hs2019():
    private = ed25519.Ed25519PrivateKey.generate()
    pem = pem_of(private.public_key())
    accept(rfc9421_headers(FULL_9421, sign=private.sign), pem)
    accept(cavage_headers(FULL, sign=private.sign), pem)
    assert reason(cavage_headers(FULL, sign=private.sign, algorithm="rsa-sha256"), pem) == "key_unsupported"
    assert reason(rfc9421_headers(FULL_9421), pem) == "mismatch"


def weak_keys():
    numbers = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
    yield pem_of(rsa.generate_private_key(65537, 1024).public_key())[:-40]
    yield pem_of(rsa.RSAPublicNumbers(65537, (1 << 1022) | 1).public_key())
    yield pem_of(rsa.RSAPublicNumbers(65537, (1 << 8192) | 1).public_key())
    yield pem_of(rsa.RSAPublicNumbers((1 << 33) | 1, numbers.n).public_key())
    yield pem_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    yield from ("", "x" * 5000, "\udc80", PEM + "A" * 4096, KEY.private_pem().decode())


def test_other_keys_are_refused():
    for pem in weak_keys():
        with pytest.raises(BadSignature, match="key_unsupported"):
            public_key(pem)


def test_public_keys_are_parsed_once_and_the_cache_is_bounded():
    assert isinstance(public_key(PEM), PublicKey)
    assert public_key(PEM) is public_key(f"\n{PEM}\n")
    assert _parsed_key.cache_info().maxsize == 1024


# --- anything at all

FRAGMENTS = st.one_of(
    st.sampled_from(['keyId="a"', 'signature="YQ=="', f'headers="{FULL}"', "created=1", "é", "\n", "\ud800"]),
    st.sampled_from(['sig1=("@method" "@target-uri")', ";created=1", ';keyid="k"', "sig1=:YQ==:"]),
    st.sampled_from(',;"\\(): '),
)
VALUES = st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=12).map("".join))
NAMES = ("Signature", "Signature-Input", "Digest", "Content-Digest", "Date", "Host")


@given(
    st.sampled_from([{}, cavage_headers(FULL), rfc9421_headers(FULL_9421)]),
    st.dictionaries(st.sampled_from(NAMES), VALUES),
    st.one_of(st.just(PATH), st.text(max_size=20)),
    st.sampled_from(["GET", "POST", "", "pöst"]),
)
def test_hostile_request_raises_only_bad_signature(signed, hostile, path, method):
    with suppress(BadSignature):
        claim = parse_signature(method, BASE, path, signed | hostile)
        check_request(claim, BODY, NOW)
        check_key(claim, public_key(PEM))


@given(st.binary(max_size=64), VALUES)
def test_digest_checks_agree_with_their_writers_and_refuse_the_rest(body, value):
    check_digest("sha-256" + digest_header(body)[7:], body)
    check_content_digest(content_digest(body), body)
    for check, write in ((check_digest, digest_header), (check_content_digest, content_digest)):
        with pytest.raises(BadSignature):
            check(f"{write(body)},{write(body + b'x')}", body)
        with pytest.raises(BadSignature):
            check(value, body)
