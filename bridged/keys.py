"""Keys from one root secret that lives outside the database: derived by HKDF, or sealed with AES-256-GCM."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridged import lasting
from bridged.model import Ref
from bridged.seams import seam

SIZE = 32


class SecretError(Exception):
    """The root secret is missing, unreadable or not the one this database was made with."""


def _hkdf(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), SIZE, None, info).derive(secret)


def _info(*parts: str) -> bytes:
    # lengths first, so that no two lists of parts read the same
    return b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in ("bridged/1", *parts))


class KeyRing:
    """Holds the root secret; never shows it."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SIZE:
            raise SecretError("the secret is shorter than 32 bytes; make one with `openssl rand -hex 32`")
        self._secret = secret

    def __repr__(self) -> str:
        return "KeyRing(…)"

    def derive(self, purpose: str, ref: Ref, generation: int = 0) -> bytes:
        return _hkdf(self._secret, _info(purpose, ref.network, ref.id, str(generation)))

    def seal(self, name: str, value: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(_hkdf(self._secret, _info("seal"))).encrypt(nonce, value, _info(name))

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """Raises SecretError when it was sealed by another secret."""
        try:
            return AESGCM(_hkdf(self._secret, _info("seal"))).decrypt(sealed[:12], sealed[12:], _info(name))
        except (InvalidTag, ValueError) as e:
            raise SecretError("this database was made with another secret; put the old one back") from e


def load(file: Path | None, variable: str | None, env: Mapping[str, str], *, make: bool) -> KeyRing:
    """The key ring of the `secret` setting; with `make` a missing file is made first, mode 0600."""
    if variable is not None:
        text = env.get(variable, "")
        if not text:
            raise SecretError(f"secret.env names {variable}, which is not set")
        return KeyRing(_bytes(text))
    assert file is not None
    if not file.exists():
        if not make:
            raise SecretError(f"no secret at {file}; `bridged init` makes one")
        _make(file)
    if file.stat().st_mode & 0o077:
        raise SecretError(f"{file} can be read by others; run `chmod 600 {file}`")
    return KeyRing(_bytes(file.read_text()))


def _make(file: Path) -> None:
    """A new secret, whole and for good, or none: what is half written has another name. Of two who make one at
    the same time the first is believed by both.
    """
    lasting.folder(file.parent)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(os.urandom(SIZE).hex() + "\n")
        out.flush()
        os.fsync(out.fileno())
    seam("secret.written")
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    lasting.sync(file.parent)
    seam("secret.placed")


def _bytes(text: str) -> bytes:
    text = text.strip()
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode()
