"""ONNX Runtime for browsers: the files of the npm package onnxruntime-web that a site needs.

The package is fetched once from npm's registry, without npm, and kept in the user's cache. Its version and its checksum
are fixed here, so it does not matter where the package comes from.
"""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.request
from pathlib import Path

from visketch.atomic import write_atomically
from visketch.data.files import cache_folder
from visketch.errors import VisketchError, reason

VERSION = "1.22.0"
SHA512 = "Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg=="  # in npm's notation
REGISTRY = "https://registry.npmjs.org"
FILES = {  # the names in a site, and in the package
    "ort.js": "package/dist/ort.wasm.min.mjs",
    "ort-loader.js": "package/dist/ort-wasm-simd-threaded.mjs",
    "ort.wasm": "package/dist/ort-wasm-simd-threaded.wasm",
}
SECONDS = 60  # the most seconds to wait for an answer


def web_runtime(package: Path | None = None) -> dict[str, bytes]:
    """The contents of the files in FILES.

    `package` is the path of the .tgz; by default the package is fetched. Raises VisketchError if it cannot be fetched
    or read, or if its checksum is wrong.
    """
    content = _given(package) if package else _fetched()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as files:
        found = {name: files.extractfile(path) for name, path in FILES.items()}
        return {name: file.read() for name, file in found.items() if file}


def _given(package: Path) -> bytes:
    try:
        content = package.read_bytes()
    except OSError as error:
        raise VisketchError(f"{package}: cannot be read, {reason(error)}") from None
    if not _is_right(content):
        raise VisketchError(f"{package}: this is not onnxruntime-web {VERSION}; get it by {_command()}")
    return content


def _fetched() -> bytes:
    kept = cache_folder() / f"onnxruntime-web-{VERSION}.tgz"
    if kept.is_file() and _is_right(content := kept.read_bytes()):
        return content
    address = f"{_registry()}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            content = answer.read()
    except (OSError, ValueError) as error:
        how = f"or get it elsewhere by {_command()}, and name the file: --runtime FILE.tgz"
        raise VisketchError(
            f"{address}: cannot be fetched, {getattr(error, 'reason', None) or error}; try again online, {how}"
        ) from None
    if not _is_right(content):
        raise VisketchError(f"{address}: not the expected package, its checksum differs; try again")
    write_atomically(kept, content)
    return content


def _is_right(content: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(content).digest()).decode() == SHA512


def _command() -> str:
    return f"`npm pack onnxruntime-web@{VERSION}`"


def _registry() -> str:
    """The registry that npm is configured to use, or else the public one."""
    told = os.environ.get("NPM_CONFIG_REGISTRY")
    npm = shutil.which("npm")
    if not told and npm:
        asked = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
        told = asked.stdout.strip()
    return told.rstrip("/") if told and told.startswith("http") else REGISTRY
