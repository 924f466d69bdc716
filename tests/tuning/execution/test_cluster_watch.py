"""What a search makes of news of its nodes; `tests/tuning/test_hosts.py` has real ones."""

from collections.abc import Callable

import pytest

from tuning.execution import cluster_watch
from tuning.execution.cluster_watch import Nodes
from tuning.execution.driver_files import FileServer, News
from tuning.execution.placement import Machine, Placement

MIB = 2**20


class Told:
    """The driver's files, as far as nodes tell of themselves."""

    def __init__(self) -> None:
        self.server = FileServer({}, None)

    def ask(self, method: str, *arguments: str) -> News | None:
        found: News | None = getattr(self.server, method)(*arguments)
        return found


@pytest.fixture
def refresh(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """refresh(nodes, told, *machines)"""

    def look(nodes: Nodes, told: Told, *machines: Machine) -> int:
        monkeypatch.setattr(cluster_watch, "_machines_but", lambda _: list(machines))
        monkeypatch.setattr(nodes, "_files", told)
        return nodes.refresh()

    monkeypatch.setattr(cluster_watch, "SECONDS_BETWEEN_LINES", -1)
    return look


@pytest.mark.parametrize(("most", "at_once"), [(None, [2, 3, 3]), (4, [2, 3, 3]), (2, [2, 2, 2])])
def test_nodes_that_join_are_used_up_to_what_was_asked_for(
    most: int | None, at_once: list[int], refresh: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    nodes, told, found = Nodes(Placement(2, 0, 2), most), Told(), []
    for machines in ([Machine(4, 0)], [Machine(4, 0), Machine(3, 0)], [Machine(3, 0)]):
        refresh(nodes, told, *machines)
        found.append(nodes.at_once)
    assert found == at_once
    assert capsys.readouterr().err.count("nodes have joined the cluster: from now on 3 at once") == (3 in at_once)


def test_each_thing_that_nodes_tell_is_printed_once(
    refresh: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    nodes, told = Nodes(Placement(1, 0, 1)), Told()
    told.server.note_unusable("id", "the data cannot be copied to node b: no room")
    for copied in (MIB, MIB // 2, 2 * MIB):  # the second was overtaken
        told.server.note_copied("abc", "a", copied, 2 * MIB)
        for _ in range(2):
            refresh(nodes, told, Machine(1, 0))
    assert capsys.readouterr().err.splitlines() == [
        "the data cannot be copied to node b: no room; the search goes on without this node",
        "copying the data to 1 node: 50%",
        "the data (2.0 MiB) have been copied to node a",
    ]
    assert list(nodes.unusable) == ["id"]


def test_nodes_that_the_code_cannot_be_put_on_are_left_out(
    monkeypatch: pytest.MonkeyPatch, refresh: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    nodes, told, asked = Nodes(Placement(1, 0, 1)), Told(), list[dict[str, str]]()

    def without_code(excluded: dict[str, str]) -> dict[str, str]:
        asked.append(dict(excluded))
        return {} if excluded else {"id": "the project's code cannot be put on node b: no space"}

    monkeypatch.setattr(cluster_watch, "nodes_without_code", without_code)
    refresh(nodes, told, Machine(1, 0))
    for _ in range(2):
        nodes.check_code()
    assert asked == [{}, {"id": "the project's code cannot be put on node b: no space"}]
    assert capsys.readouterr().err.count("put on node b: no space; the search goes on without this node") == 1
