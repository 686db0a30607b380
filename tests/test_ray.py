"""Many files over a cluster by Ray Data: one of this machine alone, with two workers, of which one is killed."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import drawings
import parts
import pytest
from commands import one_line, visketch

from visketch import engine
from visketch.errors import VisketchError


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "visketch[ray]"')
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=4, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    yield
    ray.shutdown()


def test_a_killed_worker_loses_nothing_and_doubles_nothing(cluster: None, tmp_path: Path) -> None:
    def prepare(number: int) -> list[tuple[int, int]]:
        return [(number, turn) for turn in range(number % 3)]

    class Worker:
        def __init__(self, home: Path = tmp_path) -> None:
            self.home = home
            (home / f"worker-{os.getpid()}").touch()

        def __call__(self, some: list[tuple[int, int]]) -> list[dict]:
            if any(number >= 150 for number, _ in some):
                try:  # whoever comes here first is killed, with half of its batch done
                    (self.home / "killed").touch(exist_ok=False)
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            return [{"number": number, "turn": turn} for number, turn in some]

    rows = list(engine.on_ray(range(300), prepare, Worker, batch=8, workers=2))
    assert [(row["number"], row["turn"]) for row in rows] == [one for n in range(300) for one in prepare(n)]
    assert (tmp_path / "killed").exists()
    assert len(list(tmp_path.glob("worker-*"))) >= 3, "another took its place"


def test_the_answers_are_those_of_one_machine(cluster: None, tmp_path: Path) -> None:
    folder = parts.write_checkpoint(tmp_path / "checkpoint", parts.small())
    parts.write_ndjson(tmp_path / "in" / "star.ndjson", drawings.draw_many(20))
    (tmp_path / "in" / "bad.svg").write_text("<svg")
    rows = {}
    for which in ("local", "ray"):
        words = ("--checkpoint", folder, "--engine", which, "--workers", 2, "--json")
        result = visketch("classify", tmp_path / "in", *words)
        assert result.exit_code == 1, "one is no drawing"
        rows[which] = json.loads(result.stdout)
    assert [row["path"] for row in rows["ray"]] == [row["path"] for row in rows["local"]]
    for here, there in zip(rows["local"], rows["ray"], strict=True):
        assert here.get("error") == there.get("error")
        for one, other in zip(here.get("predictions", []), there.get("predictions", []), strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)


def test_without_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(VisketchError, match=r'pip install "visketch\[ray\]"'):
        list(engine.on_ray([1], lambda one: [one], lambda: lambda some: some, batch=1))
    one_line(visketch("classify", tmp_path, "--engine", "spark"), 2, "--engine")
