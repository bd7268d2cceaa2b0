"""HTTP signatures of the fediverse: draft-cavage-12 and RFC 9421, keys, digests, and what must be covered.

Pure but for `RsaKey.generate`. To check a request: `parse_signature` (structure and coverage), then
`check_request` (time and body: needs no key, so it can refuse before any key is fetched), then
`check_key`; `verify` is the last two together. Each raises only `BadSignature`.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from adapters.activitypub import cavage, rfc9421

Reason = Literal[
    "missing", "malformed", "date", "digest_missing", "digest_unsigned", "digest_mismatch", "target_unsigned",
    "host_unsigned", "key_unsupported", "mismatch"
]  # fmt: skip
Algorithm = Literal["rsa-sha256", "rsa-sha512", "ed25519"]

SKEW = 3600.0
"""Seconds by which a signed time may differ from ours."""
MAX_FIELD = 8192
MAX_PEM = 4096
MAX_LABELS = 4
MAX_DIGESTS = 4

_REQUEST_TARGET = re.compile(r"/[\x21-\x7e]{0,8191}")
_METHOD = re.compile(r"[A-Za-z]{1,32}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DIGEST = re.compile(r"([A-Za-z0-9+/=]*)")
_CONTENT_DIGEST = re.compile(r":([A-Za-z0-9+/=]*):(?:;.*)?")
_HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
# hs2019 tells nothing: the key decides, and RSA comes with either hash (never PSS, whatever the draft says).
_BY_KEY: tuple[Algorithm, ...] = ("rsa-sha256", "rsa-sha512", "ed25519")
_CAVAGE_ALGORITHMS: Mapping[str | None, tuple[Algorithm, ...]] = {
    None: _BY_KEY,
    "hs2019": _BY_KEY,
    "rsa-sha256": ("rsa-sha256",),
    "rsa-sha512": ("rsa-sha512",),
}
_RFC9421_ALGORITHMS: Mapping[str | None, tuple[Algorithm, ...]] = {
    None: ("rsa-sha256", "ed25519"),
    "rsa-v1_5-sha256": ("rsa-sha256",),
    "ed25519": ("ed25519",),
}


class BadSignature(Exception):
    """A request whose signature is not accepted; `reason` names why, for answers and metrics."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class RsaKey:
    """Our own RSA signing key."""

    __slots__ = ("_key", "public_pem")

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public_pem: str = key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()

    @classmethod
    def generate(cls) -> Self:
        """A new 2048-bit key; takes about 0.15 s of CPU, so call it in a thread."""
        return cls(generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def load(cls, pem: bytes) -> Self:
        """A key we made and kept ourselves: its arithmetic is not checked again. Raises ValueError."""
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("not an RSA key")
        return cls(key)

    def private_pem(self) -> bytes:
        """The key as unencrypted PKCS#8 PEM, for sealing."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256."""
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())


class PublicKey:
    """A peer's public key: RSA or Ed25519."""

    __slots__ = ("_key",)

    def __init__(self, key: RSAPublicKey | Ed25519PublicKey) -> None:
        self._key = key

    def fits(self, algorithm: Algorithm) -> bool:
        """Whether the algorithm is one of this kind of key."""
        return (algorithm == "ed25519") == isinstance(self._key, Ed25519PublicKey)

    def verifies(self, algorithm: Algorithm, signature: bytes, data: bytes) -> bool:
        """Whether the signature over `data` is this key's."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                digest = hashes.SHA512() if algorithm == "rsa-sha512" else hashes.SHA256()
                self._key.verify(signature, data, padding.PKCS1v15(), digest)
        except InvalidSignature:
            return False
        return True


def public_key(pem: str) -> PublicKey:
    """The key of a `publicKeyPem`: RSA as SPKI or PKCS#1 of 1024 to 8192 bits, or Ed25519 as SPKI.

    Parsed keys are cached (1024, least recently used out). Raises BadSignature("key_unsupported").
    """
    if len(pem) > MAX_PEM:
        raise BadSignature("key_unsupported")
    return _parsed_key(pem.strip())


@lru_cache(maxsize=1024)
def _parsed_key(pem: str) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode("ascii"))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSignature("key_unsupported") from None
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        # A long exponent makes each verification as slow as a private operation.
        if 1024 <= key.key_size <= 8192 and numbers.n & numbers.e & 1 and 3 <= numbers.e < 2**32:
            return PublicKey(key)
    elif isinstance(key, Ed25519PublicKey):
        return PublicKey(key)
    raise BadSignature("key_unsupported")


def digest_header(body: bytes) -> str:
    """The value of `Digest` (RFC 3230)."""
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


def content_digest(body: bytes) -> str:
    """The value of `Content-Digest` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def check_digest(value: str, body: bytes) -> None:
    """Every SHA-256 and SHA-512 of a `Digest` value must be the body's, and there must be one.

    Raises BadSignature digest_missing (none we know), digest_mismatch or malformed.
    """
    _check_digests(value, body, _DIGEST)


def check_content_digest(value: str, body: bytes) -> None:
    """As `check_digest`, for `Content-Digest`."""
    _check_digests(value, body, _CONTENT_DIGEST)


def _check_digests(value: str, body: bytes, form: re.Pattern[str]) -> None:
    entries = value.split(",", MAX_DIGESTS)
    if len(value) > MAX_FIELD or len(entries) > MAX_DIGESTS:
        raise BadSignature("malformed")
    known = 0
    for entry in entries:
        name, _, given = entry.strip().partition("=")
        digest = _HASHES.get(name.strip().lower())
        if digest is None:
            continue
        known += 1
        match = form.fullmatch(given.strip())
        if match is None:
            raise BadSignature("malformed")
        # Compared as text, so a second spelling of the same bytes is refused too.
        if not hmac.compare_digest(base64.b64encode(digest(body).digest()).decode(), match[1]):
            raise BadSignature("digest_mismatch")
    if not known:
        raise BadSignature("digest_missing")


# One post goes to many inboxes within a second, and most of them are written to again and again.
_split = lru_cache(maxsize=1024)(rfc9421.split_url)


def sign_cavage(key: RsaKey, key_id: str, method: str, url: str, body: bytes | None, now: float) -> dict[str, str]:
    """Headers to add for a draft-cavage request: Host, Date, Digest if there is a body, Signature.

    `url` is exactly what goes on the wire (percent-encoded). Raises ValueError for one that cannot.
    """
    target = _split(url)
    added = {"Host": target.authority, "Date": cavage.date_of(int(now))}
    if body is not None:
        added["Digest"] = digest_header(body)
    fields = {name.lower(): value for name, value in added.items()}
    names = (cavage.REQUEST_TARGET, *fields)
    text = cavage.signing_string(names, method, target.path_and_query, fields.__getitem__)
    return added | {"Signature": cavage.header(key_id, names, key.sign(text))}


def sign_rfc9421(key: RsaKey, key_id: str, method: str, url: str, body: bytes | None, now: float) -> dict[str, str]:
    """Headers to add for an RFC 9421 request, as Mastodon reads it (no `alg`): Content-Digest if there is a
    body, Signature-Input, Signature. `url` as for `sign_cavage`. Raises ValueError.
    """
    added = {} if body is None else {"Content-Digest": content_digest(body)}
    components = ("@method", "@target-uri", *(name.lower() for name in added))
    covered = " ".join(f'"{name}"' for name in components)
    line = f'({covered});created={int(now)};keyid="{key_id}"'
    base = rfc9421.signature_base(components, line, method, _split(url), lambda _: added["Content-Digest"])
    return added | rfc9421.headers("sig1", line, key.sign(base))


@dataclass(frozen=True, slots=True)
class Claim:
    """A well-formed signature that covers what it must; not yet checked against time, body or key.

    `bases` are the strings it may be over, `digests` the covered digest headers as (name, value), `times`
    the covered moments of signing and `expires` its end, all in seconds.
    """

    scheme: Literal["cavage", "rfc9421"]
    key_id: str
    algorithms: tuple[Algorithm, ...]
    bases: tuple[bytes, ...]
    signature: bytes
    digests: tuple[tuple[str, str], ...]
    times: tuple[float, ...]
    expires: float | None


class _Request:
    def __init__(self, method: str, target: rfc9421.Target, headers: rfc9421.Headers) -> None:
        self.method = method.upper()
        self.target = target
        self.headers = rfc9421.fold(headers)

    def field(self, name: str) -> str:
        value = self._host() if name == "host" else self.headers.get(name)
        if value is None or len(value) > MAX_FIELD or _CONTROL.search(value):
            raise ValueError("header absent, too long or with control characters")
        return value

    def _host(self) -> str:
        """Host as it was sent where it is ours, else our own: a proxy may have changed it, and a request
        signed for another host must not verify.
        """
        sent = self.headers.get("host", "")
        own = self.target.authority
        with_port = f"{own}:{rfc9421.DEFAULT_PORTS[self.target.scheme]}"
        return sent if sent.lower() in (own, with_port) else own

    def digests(self, covered: Container[str], required: str) -> tuple[tuple[str, str], ...]:
        if self.method not in ("GET", "HEAD") and required not in covered:
            raise BadSignature("digest_unsigned" if required in self.headers else "digest_missing")
        names = [name for name in ("digest", "content-digest") if name in covered]
        if any(name not in self.headers for name in names):
            raise BadSignature("digest_missing")
        return tuple((name, self.field(name)) for name in names)

    def date(self, covered: Container[str]) -> tuple[float, ...]:
        if "date" not in covered:
            return ()
        try:
            return (cavage.http_date(self.headers.get("date", "")),)
        except ValueError:
            raise BadSignature("date") from None


@lru_cache(maxsize=16)
def _public(target_url: str) -> rfc9421.Target:
    return rfc9421.split_url(target_url)


def parse_signature(method: str, target_url: str, path_and_query: str, headers: rfc9421.Headers) -> Claim:
    """The signature of a request: RFC 9421 where there is a usable one, else draft-cavage.

    `target_url` is our public base URL, or one under it: scheme and host are taken from it, never from the
    peer. `path_and_query` is the request target as received. Raises BadSignature; ValueError only for a
    `target_url` that is no http(s) URL.
    """
    public = _public(target_url)
    request = _Request(method, rfc9421.Target(public.scheme, public.authority, path_and_query), headers)
    if not request.headers.get("signature"):
        raise BadSignature("missing")
    if not (_METHOD.fullmatch(method) and _REQUEST_TARGET.fullmatch(path_and_query)):
        raise BadSignature("malformed")
    refused = BadSignature("malformed")
    if request.headers.get("signature-input"):
        try:
            return _parse_rfc9421(request)
        except BadSignature as bad:
            refused = bad
    try:
        return _claim_cavage(request, cavage.parse(request.field("signature")))
    except ValueError:
        raise refused from None


def _claim_cavage(request: _Request, parts: cavage.Cavage) -> Claim:
    if cavage.REQUEST_TARGET not in parts.names:
        raise BadSignature("target_unsigned")
    if "host" not in parts.names:
        raise BadSignature("host_unsigned")
    created = parts.created_at
    times = request.date(parts.names) + (() if created is None else (float(created),))
    if not times:
        raise BadSignature("date")
    digests = request.digests(parts.names, "digest")
    if parts.algorithm not in _CAVAGE_ALGORITHMS:
        raise BadSignature("key_unsupported")
    # Older Mastodon left the query out of (request-target).
    whole = request.target.path_and_query
    paths = dict.fromkeys((whole, whole.partition("?")[0]))
    bases = tuple(
        cavage.signing_string(parts.names, request.method, path, request.field, parts.created, parts.expires)
        for path in paths
    )
    algorithms = _CAVAGE_ALGORITHMS[parts.algorithm]
    return Claim("cavage", parts.key_id, algorithms, bases, parts.signature, digests, times, parts.expires_at)


def _parse_rfc9421(request: _Request) -> Claim:
    try:
        inputs = rfc9421.dictionary(request.field("signature-input"))
        signatures = rfc9421.dictionary(request.field("signature"))
    except ValueError:
        raise BadSignature("malformed") from None
    refused: BadSignature | None = None
    for label, member in islice(inputs.items(), MAX_LABELS):
        try:
            return _claim_rfc9421(request, rfc9421.read_input(member, signatures.get(label)))
        except ValueError:
            refused = refused or BadSignature("malformed")
        except BadSignature as bad:
            refused = refused or bad
    raise refused or BadSignature("malformed")


def _claim_rfc9421(request: _Request, parts: rfc9421.Input) -> Claim:
    covered = frozenset(parts.components)
    whole = "@target-uri" in covered
    by_path = "@path" in covered and ("@query" in covered or "?" not in request.target.path_and_query)
    if "@method" not in covered or not (whole or by_path or "@request-target" in covered):
        raise BadSignature("target_unsigned")
    if not whole and not covered & {"@authority", "host"}:
        raise BadSignature("host_unsigned")
    times = request.date(covered)
    if parts.created is None:
        raise BadSignature("date")
    digests = request.digests(covered, "content-digest")
    if parts.algorithm not in _RFC9421_ALGORITHMS:
        raise BadSignature("key_unsupported")
    covers, line = parts.components, parts.params_line
    base = rfc9421.signature_base(covers, line, request.method, request.target, request.field)
    algorithms, times = _RFC9421_ALGORITHMS[parts.algorithm], (*times, float(parts.created))
    return Claim("rfc9421", parts.key_id, algorithms, (base,), parts.signature, digests, times, parts.expires)


def check_request(claim: Claim, body: bytes | None, now: float) -> None:
    """The signed times are within ±SKEW of `now` (seconds), and the signed digests are the body's.

    Raises BadSignature date, digest_mismatch, digest_missing or malformed.
    """
    expired = claim.expires is not None and now > claim.expires + SKEW
    if expired or any(abs(now - at) > SKEW for at in claim.times):
        raise BadSignature("date")
    for name, value in claim.digests:
        (check_digest if name == "digest" else check_content_digest)(value, body or b"")


def check_key(claim: Claim, key: PublicKey) -> None:
    """The signature is this key's. Raises BadSignature key_unsupported or mismatch."""
    algorithms: list[Algorithm] = [algorithm for algorithm in claim.algorithms if key.fits(algorithm)]
    if not algorithms:
        raise BadSignature("key_unsupported")
    for algorithm in algorithms:
        if any(key.verifies(algorithm, claim.signature, base) for base in claim.bases):
            return
    raise BadSignature("mismatch")


def verify(claim: Claim, key: PublicKey, body: bytes | None, now: float) -> None:
    """`check_request`, then `check_key`. Raises BadSignature."""
    check_request(claim, body, now)
    check_key(claim, key)
