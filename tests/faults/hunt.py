"""Looks for secrets in whatever the bridge writes: known ones in every form, and what looks like anybody's."""

import base64
import gzip
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from adapters.nostr import nip19

SHAPES = {
    "an nsec": re.compile(rb"n(?:sec|cryptsec)1[02-9ac-hj-np-z]{20,}", re.IGNORECASE),
    "a private key in PEM": re.compile(rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----"),
}


def forms(secret: bytes) -> dict[str, bytes]:
    """The ways in which the bytes of a key may be written down."""
    found = {"raw": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for shift in range(3):  # wherever it begins in something longer that was encoded
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            whole = encode(bytes(shift) + secret)
            found[f"{name}+{shift}"] = whole[4 if shift else 0 : len(whole) // 4 * 4 - 4]
    if len(secret) == 32:
        found["nsec"] = nip19._bech32_encode("nsec", secret).encode()
    found["escaped"] = repr(secret)[2:-1].encode()
    return found


def der_lines(pem: bytes) -> bytes:
    """The middle of a PEM key, as bytes: some of it in any form is too much."""
    body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-"))
    der = base64.b64decode(body)
    return der[len(der) // 2 : len(der) // 2 + 48]


class Hunt:
    """`known`: what the secret is called -> its bytes, or words as they are typed."""

    def __init__(self, known: Mapping[str, bytes]) -> None:
        self.needles = {
            f"{name} ({form})": needle
            for name, secret in known.items()
            for form, needle in (forms(secret) if len(secret) >= 32 else {"as it is": secret}).items()
        }
        self.searched: dict[str, int] = {}
        """Where was searched, and through how many bytes."""

    def hits(self, where: str, content: bytes) -> list[str]:
        self.searched[where] = self.searched.get(where, 0) + len(content)
        found = [name for name, needle in self.needles.items() if needle in content]
        found += [name for name, shape in SHAPES.items() if shape.search(content)]
        return [f"{where}: {each}" for each in found]

    def in_file(self, path: Path) -> list[str]:
        return [hit for where, content in _contents(path) for hit in self.hits(where, content)]


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file as it is, and what is packed in it."""
    data = path.read_bytes()
    yield path.name, data
    if data.startswith(b"\x1f\x8b"):
        yield f"{path.name}, unpacked", gzip.decompress(data)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                yield f"{name} in {path.name}", packed.read(name)
