"""The page as a Starlette application. It keeps nothing of what people send, so that nobody sees another's."""

import base64
import ipaddress
import secrets
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from san_core.demo_page.answering import TEMPLATES, answer, shown
from san_core.demo_page.examples import Example
from san_core.errors import InputError
from san_core.prediction.trained_model import TrainedModel

MAX_BYTES = 200_000_000
"""Largest file that is taken as a picture."""

LONGEST_QUESTION = 500
"""In characters."""

_HERE = Path(__file__).parent

_HEADERS = {
    # With it the browser itself refuses any request but those to this server.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Login = tuple[str, str]
"""A user's name and password."""


def make_app(model: TrainedModel, examples: Sequence[Example], note: str = "", login: Login | None = None) -> Starlette:
    """The page of a model.

    Args:
        model: the model that is asked.
        examples: questions to click on.
        note: why there are no examples; else empty.
        login: the login that the browser has to send; None for none, where only this machine can reach the page.
    """
    page, requests = _render(model, examples, note), _Requests(model, examples)

    async def guard(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
        if login is not None and not _has(request, login):
            return Response("wrong user or password", 401, {"WWW-Authenticate": 'Basic realm="model", charset="UTF-8"'})
        if login is None and not _names_this_machine(request.url.hostname or ""):
            return Response("open the page by the address that the command has printed", 421)
        response = await respond(request)
        response.headers.update(_HEADERS)
        return response

    return Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse(page)),
            Route("/page.css", lambda _: FileResponse(_HERE / "page.css")),
            Route("/page.js", lambda _: FileResponse(_HERE / "page.js")),
            Route("/example/{number:int}", requests.example),
            Route("/preview", requests.preview, methods=["POST"]),
            Route("/ask", requests.ask, methods=["POST"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)],
        exception_handlers={InputError: _tell},
    )


class _Requests:
    """What the page's script asks for."""

    def __init__(self, model: TrainedModel, examples: Sequence[Example]) -> None:
        self._model, self._examples = model, examples
        self._answering = threading.Lock()  # one question at a time: many users need no more memory than one

    def example(self, request: Request) -> Response:
        """The picture of an example."""
        return self._show(self._example(request.path_params["number"]).picture)

    async def preview(self, request: Request) -> Response:
        """A picture that was chosen, as browsers show it, or what is wrong with it."""
        return await _with_upload(request, self._show)

    async def ask(self, request: Request) -> Response:
        """The reply to a question about an example or the picture in the body; or what is wrong with them."""
        question = request.query_params.get("question", "")[:LONGEST_QUESTION]
        if number := request.query_params.get("example"):
            example = self._example(int(number) if number.isdecimal() else -1)
            right = example.answer if question == example.question else ""
            return await run_in_threadpool(self._reply, example.picture, question, right)
        return await _with_upload(request, lambda path: self._reply(path, question))

    def _example(self, number: int) -> Example:
        if not 0 <= number < len(self._examples):
            raise HTTPException(404)
        return self._examples[number]

    def _show(self, picture: Path | Image.Image) -> Response:
        return Response(shown(self._model, picture), media_type="image/jpeg")

    def _reply(self, picture: Path | Image.Image, question: str, right_answer: str = "") -> Response:
        with self._answering:
            return HTMLResponse(answer(self._model, picture, question, right_answer))


async def _with_upload(request: Request, use: Callable[[Path], Response]) -> Response:
    """Writes the body to a file, which is deleted at the end, and returns what `use` makes of it.

    Raises:
        InputError: as `_receive` and `use`; it names the file as the user does.
    """
    with TemporaryDirectory(prefix="san-demo-") as folder:
        path = Path(folder, "picture")
        try:
            await _receive(request, path)
            return await run_in_threadpool(use, path)
        except ClientDisconnect:
            return Response()
        except InputError as error:
            raise InputError(str(error).replace(str(path), request.query_params.get("name", "given"))) from error


async def _receive(request: Request, path: Path) -> None:
    """Writes the body of a request to a file.

    Raises:
        InputError: if it is too large, or cannot be written.
    """
    size = 0
    try:
        with path.open("wb") as file:
            async for part in request.stream():
                size += len(part)
                if size <= MAX_BYTES:  # a browser wants to send all before it reads the reply
                    file.write(part)
    except OSError as error:
        raise InputError(f"the picture cannot be kept while it is read: {error.strerror}") from error
    if size > MAX_BYTES:
        raise InputError(f"the file has {size // 10**6:,} MB; accepted: up to {MAX_BYTES // 10**6:,} MB")


def _tell(_: Request, error: Exception) -> Response:
    """A line that the page shows. Its status is 200, since browsers report any other one as an error."""
    line = str(error)
    return Response(line[:1].upper() + line[1:], headers={"X-Problem": "yes"}, media_type="text/plain")


def _has(request: Request, login: Login) -> bool:
    """Whether a request has the login, in HTTP's basic form."""
    wanted = b"Basic " + base64.b64encode(":".join(login).encode())
    return secrets.compare_digest(request.headers.get("Authorization", "").encode(), wanted)


def _names_this_machine(host: str) -> bool:
    """Whether a browser was told 127.0.0.1, ::1 or localhost.

    A page on the internet may give this machine a name of its own, and read what is served here ("DNS rebinding").
    """
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _render(model: TrainedModel, examples: Sequence[Example], note: str) -> str:
    metrics = model.description["metrics"]
    return TEMPLATES.get_template("page.html.jinja").render(
        data=model.description["data"],
        networks=model.networks,
        answers=len(model.answers),
        scores=metrics.get("scores", {}),
        split=metrics.get("split", ""),
        trained_on_too=metrics.get("split") == "test",
        examples=examples,
        note=note,
        placeholder=examples[0].question if examples else "what is in the picture?",
        longest_question=LONGEST_QUESTION,
    )
