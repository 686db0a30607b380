"""The folder for what can be made or fetched again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`VISKETCH_CACHE`, or visketch's folder in the user's cache, by the custom of the system. It may not exist."""
    given, home = os.environ.get("VISKETCH_CACHE"), Path.home()
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return home / "Library/Caches/visketch"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local")) / "visketch"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "visketch"
