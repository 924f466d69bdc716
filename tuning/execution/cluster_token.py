"""The token of a Ray cluster: whether a cluster asks for one, and the one that this machine has."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ray._raylet import Config  # type: ignore[attr-defined]

from san_core.environment_variables import environment_variables
from san_core.errors import InputError

_MODE = "RAY_AUTH_MODE"
_SECONDS = 10
_ASKED = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What every driver asks a cluster first."""


@contextlib.contextmanager
def token_if_asked(address: str) -> Iterator[None]:
    """Has Ray send the token that this machine has for as long as the context lasts, if the cluster asks for one.

    For a cluster of this machine (`auto`) Ray does so itself, but not for HOST:PORT. A cluster that asks for no token
    gets none. Where RAY_AUTH_MODE is set, that decides.

    Raises:
        InputError: if the cluster asks for a token and there is none.
    """
    if address == "auto" or _MODE in os.environ or not _asks_for_token(address):
        yield
        return
    if not _has_token():
        raise InputError(
            f"the Ray cluster at {address!r} asks for a token, and this machine has none; accepted: its token (on its "
            "head node: ray get-auth-token) in ~/.ray/auth_token, or in a file that RAY_AUTH_TOKEN_PATH names"
        )
    try:
        with environment_variables({_MODE: "token"}):
            Config.initialize("")  # Ray reads the variable once
            yield
    finally:
        Config.initialize("")


def _asks_for_token(address: str) -> bool:
    """Whether a cluster refuses an answer to whoever has no token. `ray.init` would ask again for 20 seconds."""
    import grpc  # type: ignore[import-untyped]  # it takes a while, and only who joins a cluster needs it

    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(_ASKED)(b"", timeout=_SECONDS)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def _has_token() -> bool:
    """Whether there is a token in one of the places where Ray looks for it."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser().is_file()
