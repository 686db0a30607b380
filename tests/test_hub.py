"""Checkpoints on the Hugging Face Hub, against a small server that stands in for it: nothing leaves this machine."""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import tiny_model
from command_line import one_line, visketch
from huggingface_hub import constants

from visketch import hub
from visketch.config import find
from visketch.errors import VisketchError

TOKEN = "hf_of_a_test"
PARTS = {"config.toml", "README.md", *(f"{part}.safetensors" for part in ("encoder", "classifier", "vqvae"))}


class Hub(ThreadingHTTPServer):
    """The part of the Hub's interface that is needed here: models, their revisions and files, and Git LFS uploads."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}  # model → revision → path → content
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.stored: dict[str, bytes] = {}  # by SHA-256
        self.asked: list[str] = []
        self.failing = 0  # the status with which every request is answered

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, model: str, files: dict[str, bytes], *revisions: str) -> str:
        text = repr(sorted((name, hashlib.sha1(content).hexdigest()) for name, content in files.items()))
        commit = hashlib.sha1(text.encode()).hexdigest()
        for revision in (commit, *(revisions or ("main",))):
            self.commits.setdefault(model, {})[revision] = files
        return commit

    def commit_of(self, model: str, revision: str) -> str | None:
        files = self.commits[model].get(revision)
        return next((name for name, those in self.commits[model].items() if those is files and len(name) == 40), None)


class Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: bytes | dict | list = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def refuses(self, model: str) -> bool:
        if model not in self.server.commits or (model in self.server.private and not self.known):
            self.answer(404 if self.known else 401, {}, X_Error_Code="RepoNotFound")
            return True
        return False

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append(f"{self.command} {path}")
        if self.server.failing:
            return self.answer(self.server.failing)
        asks = re.fullmatch(r"(api/models/)?([^/]+/[^/]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.*))?)?", path)
        if not asks or (path.startswith("api/") and not asks[1]):
            return self.answer(404)
        _, model, kind, revision, name = asks.groups()
        revision = revision or "main"
        if self.refuses(model):
            return None
        commit = self.server.commit_of(model, revision)
        if commit is None:
            return self.answer(404, {}, X_Error_Code="RevisionNotFound")
        files = self.server.commits[model][revision]
        if kind in ("revision", None):
            return self.answer(200, {"id": model, "sha": commit, "siblings": [{"rfilename": name} for name in files]})
        if kind == "tree":
            shown = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            return self.answer(200, shown)
        if model in self.server.gated:
            return self.answer(403, {}, X_Error_Code="GatedRepo")
        etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        return self.answer(200, files[name], ETag=etag, X_Repo_Commit=commit, Accept_Ranges="bytes")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        content = self.body()
        self.server.stored[hashlib.sha256(content).hexdigest()] = content
        self.answer(200)

    def do_POST(self) -> None:
        url, given = urlsplit(self.path), self.body()
        path = url.path.strip("/")
        self.server.asked.append(f"POST {path}")
        if self.server.failing:
            return self.answer(self.server.failing)
        if not self.known:
            return self.answer(401, {"error": "Invalid username or password."})
        if path == "api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "api/repos/create":
            wanted = json.loads(given)
            model = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.server.private.add(model)
            if model in self.server.commits:
                there = {"error": "You already created this model repo", "url": f"{self.server.address}/{model}"}
                return self.answer(409, there)
            self.server.add(model, {})
            return self.answer(200, {"url": f"{self.server.address}/{model}", "name": model, "id": "1"})
        words = path.split("/")
        if path.endswith("/preupload/main"):
            files = [file["path"] for file in json.loads(given)["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in files}
            shown = [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]
            return self.answer(200, {"files": shown})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**wanted, "actions": {"upload": {"href": f"{self.server.address}/upload/{wanted['oid']}"}}}
                for wanted in json.loads(given)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        assert path.endswith("/commit/main")
        model = "/".join(words[2:4])
        files = dict(self.server.commits[model]["main"])
        for line in map(json.loads, given.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
        commit = self.server.add(model, files)
        address = f"{self.server.address}/{model}/commit/{commit}"
        return self.answer(200, {"success": True, "commitOid": commit, "commitUrl": address, "hookOutput": ""})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub as this process sees it, with an empty cache and no user logged in."""
    with Hub() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        point_to(made.address, tmp_path / "cache", monkeypatch)
        yield made
        made.shutdown()


def point_to(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ENDPOINT": address, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}
    settings |= {"HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}"}
    settings |= {"HF_TOKEN_PATH": str(cache / "token"), "HF_STORED_TOKENS_PATH": str(cache / "tokens")}
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub.fetch.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as training leaves it."""
    home = tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny_model.small("name=mine"))
    (home / "README.md").write_text("# Mine\n")
    (home / "training").mkdir()
    (home / "training" / "vqvae.safetensors").write_text("what training resumes from")
    (home / "notes.py").write_text("print('never run')")
    return home


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, bytes]:
    """All files of the checkpoint by path, as somebody may have uploaded them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestFetch:
    def test_only_what_a_checkpoint_is_made_of(self, server: Hub, files: dict[str, bytes]) -> None:
        server.add("me/mine", files)
        home = find("me/mine")
        found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
        assert found >= PARTS
        assert all("/" not in name and Path(name).suffix in (".safetensors", ".toml", ".md") for name in found)
        assert all((home / name).read_bytes() == files[name] for name in found)
        assert not any("notes.py" in line or "training" in line for line in server.asked if "resolve" in line)

    def test_from_the_cache_afterwards(self, server: Hub, files: dict[str, bytes], monkeypatch) -> None:
        server.add("me/mine", files)
        home = find("me/mine")
        server.asked.clear()
        hub.fetch.cache_clear()
        assert find("me/mine") == home
        assert not any("resolve" in line for line in server.asked), "no file is fetched again"
        server.failing = 500
        hub.fetch.cache_clear()
        assert find("me/mine") == home, "a Hub that is down is no hindrance"
        server.failing = 0
        server.asked.clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        hub.fetch.cache_clear()
        assert find("me/mine") == home
        assert not server.asked

    def test_a_revision(self, server: Hub, files: dict[str, bytes]) -> None:
        old = server.add("me/mine", files, "v1")
        new = server.add("me/mine", files | {"README.md": b"# Newer\n"}, "main", "a/branch")
        assert (find("me/mine") / "README.md").read_bytes() == b"# Newer\n"
        for revision, commit in (("v1", old), (old, old), ("a%2Fbranch", None), ("main", new)):
            if commit:
                assert find(f"me/mine@{revision}").name == commit
        with pytest.raises(VisketchError, match="no revision v2; name a branch, a tag or a commit"):
            find("me/mine@v2")

    def test_a_folder_that_is_there_wins(self, server: Hub, folder: Path, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "me").mkdir()
        (tmp_path / "me" / "mine").symlink_to(folder)
        (tmp_path / "me" / "empty").mkdir()
        monkeypatch.chdir(tmp_path)
        assert find("me/mine") == Path("me/mine")
        with pytest.raises(VisketchError, match="no checkpoint there"):
            find("me/empty")
        assert not server.asked

    def test_the_defaults_never_ask(self, server: Hub) -> None:
        assert find().name == find("small").name == "small"
        for other in ("smal", "/no/where", "../no/where/at/all", "no/where/at/all"):
            with pytest.raises(VisketchError, match="no checkpoint there"):
                find(other)
        assert not server.asked

    def test_completion_never_asks(self, server: Hub, files: dict[str, bytes]) -> None:
        from test_cli import complete

        server.add("me/mine", files)
        assert complete("visketch generate --checkpoint me/mine --class h") == []
        assert not server.asked
        find("me/mine")
        hub.fetch.cache_clear()
        assert complete("visketch generate --checkpoint me/mine --class h") == ["house"]

    def test_private_and_gated(self, server: Hub, files: dict[str, bytes], monkeypatch) -> None:
        server.add("me/mine", files)
        server.add("me/gated", files)
        server.private.add("me/mine")
        server.gated.add("me/gated")
        with pytest.raises(VisketchError, match=r"no such model on the Hub; .* private log in with `hf auth login`"):
            find("me/mine")
        with pytest.raises(VisketchError, match="the model is gated"):
            find("me/gated")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        assert (find("me/mine") / "config.toml").exists()

    @pytest.mark.parametrize(
        ("name", "saying"),
        [
            ("me/none", "me/none: no such folder, and no such model on the Hub; check the name"),
            ("me/other", "not a visketch checkpoint (it has no config.toml)"),
            ("me/..x..", "neither a folder nor the name of a model"),
        ],
    )
    def test_refusals_are_one_line(self, server: Hub, name: str, saying: str) -> None:
        server.add("me/other", {"README.md": b"# Another kind of model\n", "model.safetensors": b"not ours"})
        one_line(visketch("info", "--checkpoint", name), 2 if "neither" in saying else 1, saying)

    def test_the_hub_is_down(self, server: Hub, monkeypatch) -> None:
        server.failing = 418
        with pytest.raises(VisketchError, match="the Hub answers 418; try again later"):
            find("me/mine")

    def test_no_network(self, tmp_path: Path, monkeypatch) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound but not listening, so every connection is refused
            point_to(f"http://127.0.0.1:{nobody.getsockname()[1]}", tmp_path, monkeypatch)
            with pytest.raises(VisketchError, match="the Hub cannot be reached; check the name and the network"):
                find("me/mine")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        hub.fetch.cache_clear()
        with pytest.raises(VisketchError, match="not in the Hub's cache; unset HF_HUB_OFFLINE"):
            find("me/mine")


class TestPush:
    def test_and_fetch_back(self, server: Hub, folder: Path, files: dict[str, bytes], monkeypatch) -> None:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for _ in range(2):  # the second time, the model exists already
            said = json.loads(visketch("push", folder, "me/mine", "--private", "--json").stdout)
        assert said["model"] == "me/mine"
        assert said["commit"].startswith(f"{server.address}/me/mine/commit/")
        assert server.private == {"me/mine"}
        pushed = server.commits["me/mine"]["main"]
        assert pushed == {name: files[name] for name in files if "/" not in name and not name.endswith(".py")}
        home = find("me/mine")
        assert {name: (home / name).read_bytes() for name in pushed} == pushed

    def test_refusals(self, server: Hub, folder: Path, tmp_path: Path, monkeypatch) -> None:
        one_line(visketch("push", tmp_path, "me/mine"), 1, "not a checkpoint")
        one_line(visketch("push", folder, "mine"), 2, "owner/name")
        one_line(visketch("push", folder, "me/mine@v1"), 2, "owner/name")
        one_line(visketch("push", folder, "me/mine"), 1, "the Hub refuses (401): log in with `hf auth login`")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        one_line(visketch("push", folder, "me/mine"), 1, "HF_HUB_OFFLINE")
        assert not server.commits

    def test_without_a_card(self, server: Hub, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        home = tiny_model.write_checkpoint(tmp_path / "bare", tiny_model.small())
        result = visketch("push", home, "me/bare")
        assert result.exit_code == 0
        assert result.stderr.startswith("warning: ")
        assert "README.md" in result.stderr


def test_by_the_environment_alone(server: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    """A separate process knows about the Hub only what huggingface_hub's own environment variables say, as on a user's
    machine.
    """
    server.add("me/mine", files)
    words = [sys.executable, "-m", "visketch.cli.main", "info", "--json", "--checkpoint", "me/mine"]
    env = os.environ | {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(words, env=env | {"HF_HUB_OFFLINE": "0"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    there = json.loads(done.stdout)["checkpoint"]
    assert (there["name"], there["classes"]) == ("mine", 3)
    assert str(tmp_path / "home") in there["folder"]


@pytest.mark.parametrize(
    ("text", "true"),
    [("a/b", True), ("a-b/c.d_e@v1.0", True), ("a/b@refs/pr/1", True), ("a", False), ("a/b/c", False), ("/a/b", False)],
)
def test_names(text: str, true: bool) -> None:
    assert hub.is_name(text) == true
