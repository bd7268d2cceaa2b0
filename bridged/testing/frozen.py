"""No clock and no randomness: what claims to be pure is run in here."""

import contextlib
import os
import random
import secrets
import time
import uuid
from collections.abc import Generator
from typing import Any, NoReturn
from unittest.mock import patch

_FORBIDDEN: tuple[tuple[Any, str], ...] = (
    (time, "time"),
    (time, "time_ns"),
    (time, "monotonic"),
    (os, "urandom"),
    (os, "getrandom"),
    (random, "random"),
    (random, "randint"),
    (random, "choice"),
    (random, "getrandbits"),
    (secrets, "token_bytes"),
    (secrets, "token_hex"),
    (secrets, "randbits"),
    (uuid, "uuid4"),
)


class Impure(BaseException):
    """Something pure looked at the clock, or drew a random number. No `Exception`, so that nothing hides it."""


@contextlib.contextmanager
def frozen() -> Generator[None]:
    """Inside, the clock and every source of randomness raise Impure. Nothing may be awaited in here."""

    def refuse(name: str) -> Any:
        def call(*_: object, **__: object) -> NoReturn:
            raise Impure(name)

        return call

    with contextlib.ExitStack() as stack:
        for module, name in _FORBIDDEN:
            if hasattr(module, name):
                stack.enter_context(patch.object(module, name, refuse(f"{module.__name__}.{name}")))
        yield
