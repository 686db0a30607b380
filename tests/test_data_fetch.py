"""Fetching from a small server that counts its bytes, can break off half way, and may or may not support Range."""

import json
import threading
import urllib.parse
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from visketch.data import fetch as module
from visketch.data.fetch import classes, fetch
from visketch.data.read import read
from visketch.errors import UsageError, VisketchError


def lines(count, word="cat"):
    return b"".join(
        json.dumps({"word": word, "drawing": [[list(range(number % 250 + 1)), [0] * (number % 250 + 1)]]}).encode()
        + b"\n"
        for number in range(count)
    )


class Bucket(ThreadingHTTPServer):
    """The server. `files` maps paths to bytes. `dies_after` says, for each request, after how many bytes the connection
    breaks.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.dies_after, self.ranges, self.sent, self.knows_range = {}, [], [], 0, True
        self.root = f"http://127.0.0.1:{self.server_port}/data"

    def put(self, label, content):
        self.files[f"/data/full/simplified/{label}.ndjson"] = content


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(urllib.parse.unquote(self.path))
        if content is None:
            return self.send_error(404)
        span = self.headers.get("Range")
        self.server.ranges.append(span)
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.server.knows_range else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.server.dies_after.pop(0) if self.server.dies_after else len(content)
        for place in range(start, min(end, len(content)), 4096):
            # They are counted first, since the client continues as soon as it has the last bytes.
            self.server.sent += min(place + 4096, end) - place
            self.wfile.write(content[place : min(place + 4096, end)])
        return None

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(ConnectionError):  # the client has enough
            super().handle()


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_classes_are_the_345():
    assert len(classes()) == len(set(classes())) == 345
    assert {"cat", "The Eiffel Tower", "zigzag"} <= set(classes())


def test_files_arrive_whole_in_the_buckets_layout(bucket, tmp_path):
    words = ["cat", "The Eiffel Tower", "t-shirt"]
    for word in words:
        bucket.put(word, lines(300, word))
    calls = []
    paths = fetch(words, bucket.root, tmp_path, progress=lambda *call: calls.append(call))
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [f"full/simplified/{w}.ndjson" for w in words]
    assert [path.read_bytes() for path in paths] == [lines(300, word) for word in words]
    size = len(lines(300))
    assert ("cat", size, size) in calls
    again = fetch(words, str(tmp_path), tmp_path / "copy")  # the fetched folder can be a root itself
    assert again[1].read_bytes() == paths[1].read_bytes()
    assert [sketch.label for sketch in read(again[1])] == ["The Eiffel Tower"] * 300


def test_limit_takes_a_prefix_and_leaves_the_rest_at_the_root(bucket, tmp_path):
    content = lines(20_000)
    bucket.put("cat", content)
    (path,) = fetch(["cat"], bucket.root, tmp_path, limit=10)
    assert path.read_bytes() == lines(10)
    assert bucket.sent < len(content) / 2
    asked = len(bucket.ranges)
    fetch(["cat"], bucket.root, tmp_path, limit=7)  # there are enough drawings already
    assert path.read_bytes() == lines(10)
    assert len(bucket.ranges) == asked
    fetch(["cat"], bucket.root, tmp_path, limit=500)
    assert path.read_bytes() == lines(500)
    assert bucket.ranges[-1] == f"bytes={len(lines(10))}-"
    fetch(["cat"], bucket.root, tmp_path)
    assert path.read_bytes() == content


def test_a_left_over_part_does_not_shorten_a_file_with_enough_drawings(bucket, tmp_path):
    bucket.put("cat", lines(200))
    (path,) = fetch(["cat"], bucket.root, tmp_path, limit=100)
    path.with_name("cat.ndjson.part").write_bytes(lines(150))
    fetch(["cat"], bucket.root, tmp_path, limit=50)
    assert path.read_bytes() == lines(100)
    fetch(["cat"], bucket.root, tmp_path, limit=120)
    assert path.read_bytes() == lines(120)


def test_a_connection_that_breaks_is_continued_by_range(bucket, tmp_path):
    content = lines(2000)
    bucket.put("cat", content)
    bucket.dies_after = [50_001, 50_001]
    (path,) = fetch(["cat"], bucket.root, tmp_path)
    assert path.read_bytes() == content
    assert bucket.ranges == [None, "bytes=50001-", "bytes=100002-"]


def test_a_later_run_continues_what_an_earlier_one_left(bucket, tmp_path):
    content = lines(2000)
    bucket.put("cat", content)
    bucket.dies_after = [30_001, 0, 0]
    with pytest.raises(VisketchError, match=r"cat\.ndjson: the connection ended after 30001 of \d+ bytes; check"):
        fetch(["cat"], bucket.root, tmp_path)
    folder = tmp_path / "full" / "simplified"
    assert [file.name for file in folder.iterdir()] == ["cat.ndjson.part"]
    (path,) = fetch(["cat"], bucket.root, tmp_path)
    assert path.read_bytes() == content
    assert bucket.ranges[-1] == "bytes=30001-"
    assert list(folder.iterdir()) == [path]


def test_a_root_that_ignores_range_is_read_anew(bucket, tmp_path):
    content = lines(2000)
    bucket.put("cat", content)
    bucket.knows_range = False
    bucket.dies_after = [30_001]
    (path,) = fetch(["cat"], bucket.root, tmp_path)
    assert path.read_bytes() == content


def test_a_whole_file_is_not_fetched_again(bucket, tmp_path):
    bucket.put("cat", lines(500))
    fetch(["cat"], bucket.root, tmp_path)
    sent = bucket.sent
    (path,) = fetch(["cat"], bucket.root, tmp_path)
    assert bucket.sent == sent
    assert path.read_bytes() == lines(500)


def test_a_part_longer_than_the_root_is_thrown_away(bucket, tmp_path):
    bucket.put("cat", lines(5))
    part = tmp_path / "full/simplified/cat.ndjson.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100_000)
    (path,) = fetch(["cat"], bucket.root, tmp_path)
    assert path.read_bytes() == lines(5)


def test_the_environment_names_the_root(bucket, tmp_path, monkeypatch):
    bucket.put("cat", lines(5))
    monkeypatch.setenv("VISKETCH_QUICKDRAW", bucket.root)
    assert fetch(["cat"], folder=tmp_path)[0].read_bytes() == lines(5)


def test_mistakes_are_told_in_one_line(bucket, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="'cat'"):
        fetch(["catt"], bucket.root, tmp_path)
    with pytest.raises(UsageError, match="at least 1"):
        fetch(["cat"], bucket.root, tmp_path, limit=0)
    with pytest.raises(VisketchError, match=r"cat\.ndjson: Not Found; check"):
        fetch(["cat"], bucket.root, tmp_path)
    with pytest.raises(VisketchError, match="no such file or directory; check the root"):
        fetch(["cat"], str(tmp_path / "nowhere"), tmp_path)
    with pytest.raises(VisketchError, match=r"ndjson: connection refused; check the network and the root$"):
        fetch(["cat"], "http://127.0.0.1:9/data", tmp_path)
    monkeypatch.delenv("VISKETCH_QUICKDRAW", raising=False)
    monkeypatch.setattr("visketch.data.fetch.ROOT", "http://127.0.0.1:9/data")
    with pytest.raises(VisketchError, match=r"ndjson: connection refused; check the network$"):
        fetch(["cat"], folder=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(VisketchError, match="choose another"):
        fetch(["cat"], bucket.root, tmp_path / "file")
