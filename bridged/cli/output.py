"""How commands answer: text or one JSON document on standard output, errors in one line on standard error."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

NO, USAGE, CANNOT_OPEN = 1, 2, 3


class Failure(Exception):
    """A command ends here: one line, and an exit code."""

    def __init__(self, message: str, code: int = NO) -> None:
        super().__init__(message)
        self.message, self.code = message, code


def show(document: Any, lines: Sequence[str], as_json: bool) -> None:
    if as_json:
        plain = asdict(document) if is_dataclass(document) and not isinstance(document, type) else document
        print(json.dumps(plain, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            print(line)
    sys.stdout.flush()


def complain(message: str) -> None:
    # what people typed may hold a key, what servers said may hold anything
    from bridged.logs import plain, redact

    print(f"bridged: {plain(redact(' '.join(message.split())))}", file=sys.stderr)
