"""Folders and names that a power cut cannot take back: a new name lasts once its folder is synced, not before."""

import os
from pathlib import Path


def folder(path: Path) -> None:
    """Makes a folder for its owner alone, and those above it, unless it is there."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(exist_ok=True, mode=0o700)
        sync(path.parent)


def sync(path: Path) -> None:
    """The names in this folder are on disk."""
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
