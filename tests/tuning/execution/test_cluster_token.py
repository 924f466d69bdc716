"""`tests/tuning/test_hosts.py` joins a real cluster that asks for a token."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from san_core.errors import InputError
from tuning.execution.cluster_token import token_if_asked


@pytest.fixture
def cluster() -> Iterator[Callable[[grpc.StatusCode], str]]:
    """cluster(status) is the address of a cluster that answers with it."""
    servers = []

    def start(status: grpc.StatusCode) -> str:
        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            context.set_code(status)
            return b""

        handler = grpc.unary_unary_rpc_method_handler(answer)
        server = grpc.server(ThreadPoolExecutor(1))
        service = grpc.method_handlers_generic_handler("ray.rpc.NodeInfoGcsService", {"GetClusterId": handler})
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the token, which is not there yet; nothing else says how Ray lets in."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    return file


def test_the_token_that_is_there_is_used_while_the_search_lasts(
    cluster: Callable[[grpc.StatusCode], str], token: Path
) -> None:
    token.write_text("secret")
    with token_if_asked(cluster(grpc.StatusCode.UNAUTHENTICATED)):
        assert os.environ["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_MODE" not in os.environ


def test_a_cluster_that_asks_for_no_token_gets_none(cluster: Callable[[grpc.StatusCode], str], token: Path) -> None:
    token.write_text("secret")
    with token_if_asked(cluster(grpc.StatusCode.OK)):
        assert "RAY_AUTH_MODE" not in os.environ


def test_what_the_user_says_of_tokens_decides(
    cluster: Callable[[grpc.StatusCode], str], token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token.write_text("secret")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with token_if_asked(cluster(grpc.StatusCode.UNAUTHENTICATED)):
        assert os.environ["RAY_AUTH_MODE"] == "disabled"


@pytest.mark.usefixtures("token")
def test_a_token_that_is_missing_is_asked_for_in_one_line(cluster: Callable[[grpc.StatusCode], str]) -> None:
    address = cluster(grpc.StatusCode.UNAUTHENTICATED)
    told = f"^the Ray cluster at '{address}' asks for a token, and this machine has none; accepted: "
    with pytest.raises(InputError, match=told), token_if_asked(address):
        pytest.fail("it must not be joined")
