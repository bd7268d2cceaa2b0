"""HTTP signatures against others' vectors and against requests real servers were seen to send."""

import base64
import json
import re

import pytest

from adapters.activitypub import rfc9421
from adapters.activitypub.signatures import (
    BadSignature,
    RsaKey,
    check_content_digest,
    check_digest,
    parse_signature,
    public_key,
    sign_rfc9421,
    verify,
)
from tests.vectors import vectors


def accept(headers, pem, *, method="POST", base, path, body, now):
    claim = parse_signature(method, base, path, headers)
    verify(claim, public_key(pem), body, now)
    return claim


def reason(headers, pem, **request):
    with pytest.raises(BadSignature) as caught:
        accept(headers, pem, **request)
    return caught.value.reason


def vector(name):
    return json.loads((vectors() / "http-signatures" / name).read_text())


def split(url):
    at = url.index("/", 8)
    return url[:at], url[at:]


def vector_request(case):
    base, path = split(case["url"])
    body = None if case.get("body") is None else case["body"].encode()
    return {"method": case["method"], "base": base, "path": path, "body": body}


@pytest.mark.parametrize("form", ["public_key_pem_spki", "public_key_pem_pkcs1"])
def test_own_profile_valid_requests_verify(form):
    profile = vector("own-fediverse-profile.json")
    assert len(profile["valid"]) == 6
    for case in profile["valid"]:
        claim = accept(case["headers"], profile[form], now=profile["now"], **vector_request(case))
        assert (claim.scheme, claim.key_id) == (case["scheme"], profile["keyid"])
        assert case["signature_base"].encode() in claim.bases


def test_own_profile_invalid_requests_are_refused():
    profile = vector("own-fediverse-profile.json")
    reasons = {
        case["why"]: reason(case["headers"], profile["public_key_pem_spki"], now=profile["now"], **vector_request(case))
        for case in profile["invalid"]
    }
    assert reasons == {
        "body changed after signing: digest mismatch": "digest_mismatch",
        "date changed": "mismatch",
        "digest missing though signed": "digest_missing",
        "valid signature but digest not covered on POST: refuse": "digest_unsigned",
        "rfc9421: replayed to another host": "mismatch",
        "rfc9421: too few components": "target_unsigned",
    }


def test_rfc9421_signer_gives_the_bytes_of_the_own_profile():
    profile = vector("own-fediverse-profile.json")
    key = RsaKey.load(profile["private_key_pem"].encode())
    cases = [case for case in profile["valid"] if case["scheme"] == "rfc9421"]
    assert len(cases) == 2
    for case in cases:
        body = vector_request(case)["body"]
        assert sign_rfc9421(key, profile["keyid"], case["method"], case["url"], body, profile["now"]) == case["headers"]


def test_fedify_and_mastodon_requests_verify():
    cases = vector("fedify-http.json")["cases"]
    times = {"Tue, 05 Mar 2024 07:49:44 GMT": 1709624984.0, None: 1703066400.0}
    assert len(cases) == 2
    for case in cases:
        now = times[case["headers"].get("Date")]
        accept(case["headers"], case["public_key_pem"], now=now, **vector_request(case))


# Why each case of RFC 9421 Appendix B is not a request we take.
APPENDIX_B = {
    "sig-b21": "target_unsigned",  # covers nothing; RSA-PSS, which no fediverse server uses
    "sig-b22": "malformed",  # @query-param, a component with parameters; RSA-PSS
    "sig-b23": None,  # covers enough, but is RSA-PSS: `mismatch` below
    "sig-b24": None,  # signs a response, with ECDSA
    "sig-b25": "target_unsigned",  # shared secret
    "sig-b26": "target_unsigned",  # leaves the query and the digest out; its Ed25519 signature holds
}


def test_rfc9421_appendix_b_bases_are_rebuilt_and_policy_refuses():
    data = vector("rfc9421/appendix-b.json")
    head, _, body = data["messages"]["test-request"].partition("\n\n")
    headers = [tuple(line.split(": ", 1)) for line in head.splitlines()[1:]]
    target = rfc9421.split_url("https://example.com/foo?param=Value&Pet=dog")
    fields = rfc9421.fold(headers)
    assert {case["label"] for case in data["cases"]} == set(APPENDIX_B)
    for case in data["cases"]:
        if case["label"] == "sig-b24":
            continue
        signed = [*headers, ("Signature-Input", case["signature_input"]), ("Signature", case["signature"])]
        expected = APPENDIX_B[case["label"]]
        request = {"base": "https://example.com", "path": target.path_and_query, "body": body.encode()}
        if expected is not None:
            assert reason(signed, "", now=1618884473, **request) == expected
        else:
            pss = data["keys"]["test-key-rsa-pss"]["public_pem"]
            assert reason(signed, pss, now=1618884475, **request) == "mismatch"
        if case["label"] == "sig-b22":
            continue
        member = rfc9421.dictionary(case["signature_input"])[case["label"]]
        parts = rfc9421.read_input(member, rfc9421.dictionary(case["signature"])[case["label"]])
        base = rfc9421.signature_base(parts.components, parts.params_line, "POST", target, fields.__getitem__)
        assert base.decode() == case["signature_base"]
        if case["alg"] == "ed25519":
            key = public_key(data["keys"]["test-key-ed25519"]["public_pem"])
            assert key.verifies("ed25519", parts.signature, base)
            assert not key.verifies("ed25519", parts.signature, base + b" ")


def test_cavage_appendix_c_signatures_hold_and_only_full_coverage_is_taken():
    data = vector("cavage/appendix-c.json")
    key = public_key(data["public_key_pem"])
    taken = []
    for case in [*data["cases"], *data["variants_thu_date"]]:
        names = " ".join(line.split(": ")[0] for line in case["signature_base"].splitlines())
        sent = data["request"]["headers"] | ({"Date": "Thu, 05 Jan 2014 21:31:40 GMT"} if "Thu" in case["name"] else {})
        assert key.verifies("rsa-sha256", base64.b64decode(case["signature"]), case["signature_base"].encode())
        headers = sent | {
            "Signature": f'keyId="T",algorithm="rsa-sha256",headers="{names}",signature="{case["signature"]}"'
        }
        request = {
            "base": "https://example.com",
            "path": data["request"]["target"],
            "body": data["request"]["body"].encode(),
            "now": 1388957500.0,
        }
        if "digest" in names:
            taken.append(accept(headers, data["public_key_pem"], **request).bases[0].decode() == case["signature_base"])
        else:  # C.1 signs the date alone, C.2 leaves the digest out
            assert reason(headers, data["public_key_pem"], **request) == (
                "digest_unsigned" if "host" in names else "target_unsigned"
            )
    assert taken == [True, True]


def captured():
    folder = vectors() / "activitypub" / "captures"
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def key_documents(node):
    if isinstance(node, dict):
        if isinstance(node.get("publicKeyPem"), str):
            yield node["id"], node["publicKeyPem"]
        for value in node.values():
            yield from key_documents(value)
    elif isinstance(node, list):
        for value in node:
            yield from key_documents(value)


def body_as_sent(parsed, digest_value, check):
    """The capture holds parsed JSON; its bytes are those whose digest the sender gave."""
    compact = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)
    go = compact.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    snac = re.sub(r"(?m)^( *)(.*)\[\](,?)$", r"\1\2[\n\1]\3", json.dumps(parsed, indent=4))
    for text in (compact, go, json.dumps(parsed), snac):
        try:
            check(digest_value, text.encode())
        except BadSignature:
            continue
        return text.encode()
    return None


def test_captured_requests_verify_with_the_captured_keys():
    captures = captured()
    keys = dict(pair for capture in captures.values() for pair in key_documents(capture.get("response")))
    assert len(keys) >= 6
    verified, unknown_key = {}, set()
    for name, capture in captures.items():
        headers = [tuple(pair) for pair in capture["headers"]]
        fields = rfc9421.fold(headers)
        if "signature" not in fields:
            continue
        method, path, _ = capture["request"].split(" ")
        claim = parse_signature(method, f"https://{capture['host']}", path, headers)
        if claim.key_id not in keys:
            unknown_key.add(claim.key_id)
            continue
        body = b""
        if method == "POST":
            old = "digest" in fields
            check = check_digest if old else check_content_digest
            body = body_as_sent(capture["body"], fields["digest" if old else "content-digest"], check)
            assert body is not None, name
        verify(claim, public_key(keys[claim.key_id]), body, claim.times[0] + 1)
        server = (name.split("__")[0].split("-")[0], claim.scheme, method)
        verified[server] = verified.get(server, 0) + 1
    # hanna's actor document was not captured.
    assert unknown_key == {"https://gts2.test/users/hanna/main-key"}
    assert {server for server, _, method in verified if method == "POST"} == {
        "fedify", "gotosocial", "hollo", "pubby", "snac", "takahe"
    }  # fmt: skip
    assert verified["hollo", "rfc9421", "POST"] == 3
    assert sum(verified.values()) >= 75
