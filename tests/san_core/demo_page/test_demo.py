import base64
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from PIL import Image

import san_core
from san_core import demo
from san_core.data.raw_dataset import RawDataset
from san_core.demo_page import serving
from tests.san_core.demo_page.pages import PATIENCE, Page, served

RunHere = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def page(tiny_model: Path) -> Iterator[Page]:
    with served(tiny_model) as page:
        yield page
    assert page.ended == (130, "interrupted\n")  # whatever was asked, nothing was printed


@pytest.fixture
def picture(tiny_dataset: RawDataset) -> Path:
    return tiny_dataset.images["test/40"]


def _shown_answers(reply: bytes) -> list[tuple[str, str]]:
    return re.findall(r"</span><span>(.+?)</span><span>(.+?) %</span></li>", reply.decode())


def test_the_page_has_a_policy_that_forbids_every_other_server(page: Page) -> None:
    with urlopen(page.address, timeout=PATIENCE) as response:
        policy, text = response.headers["Content-Security-Policy"], response.read().decode()
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert re.findall(r"(?:https?:)?//", text) == []


def test_an_upload_is_answered_as_predict_answers_it(page: Page, tiny_model: Path, picture: Path) -> None:
    reply = san_core.load(tiny_model).ask(picture, "what colour is it?")
    is_problem, kind, content = page.post("ask", picture.read_bytes(), question="what colour is it?", name="a.png")
    assert (is_problem, kind) == (False, "text/html")
    assert _shown_answers(content) == [(a.text, f"{100 * a.probability:.1f}") for a in reply.answers]
    assert content.count(b'class="heat"') == len(reply.attention) == 2


def test_a_picture_that_no_browser_shows_is_shown_as_jpeg(page: Page, picture: Path, tmp_path: Path) -> None:
    Image.open(picture).save(tmp_path / "a.tiff")
    is_problem, kind, content = page.post("preview", (tmp_path / "a.tiff").read_bytes(), name="a.tiff")
    assert (is_problem, kind, content[:3]) == (False, "image/jpeg", b"\xff\xd8\xff")


def _huge() -> bytes:
    """The start of a PNG file of 10^10 pixels."""
    from struct import pack
    from zlib import crc32

    header = b"IHDR" + pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + pack(">I", 13) + header + pack(">I", crc32(header)) + pack(">I", 0) + b"IDAT"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"no picture", "Image me.png cannot be read: it is in no format known here"),
        (b"x", "Image me.png cannot be read: it is in no format known here"),
        (b"", "Image me.png cannot be read: it is empty"),
        (_huge(), "Image me.png cannot be read: it has 100,000 x 100,000 pixels; accepted: up to 500,000,000 in all"),
    ],
)
@pytest.mark.parametrize("path", ["ask", "preview"])
def test_a_picture_that_cannot_be_read_is_a_line_on_the_page(page: Page, path: str, body: bytes, told: str) -> None:
    assert page.post(path, body, question="is it red?", name="me.png") == (True, "text/plain", told.encode())


def test_a_cut_off_picture_is_a_line_on_the_page(page: Page, picture: Path) -> None:
    half = picture.read_bytes()[: picture.stat().st_size // 2]
    is_problem, _, content = page.post("ask", half, question="is it red?", name="me.png")
    assert is_problem
    assert content.startswith(b"Image me.png cannot be read: ")


def test_an_empty_question_is_a_line_on_the_page(page: Page, picture: Path) -> None:
    assert page.post("ask", picture.read_bytes(), question=" ")[::2] == (
        True,
        b"The question is empty; accepted: any words",
    )


@pytest.mark.parametrize("number", ["12", "-1", "x"])
def test_an_example_that_does_not_exist_is_not_found(page: Page, number: str) -> None:
    with pytest.raises(HTTPError, match="404"):
        page.post("ask", question="is it red?", example=number)


def test_a_click_on_an_example_tells_the_right_answer_until_the_question_is_changed(page: Page) -> None:
    with urlopen(page.address, timeout=PATIENCE) as response:
        question = re.search(r'data-example="3" data-question="(.+?)"', response.read().decode())
    assert question is not None
    assert b"Right answer: <strong>" in page.post("ask", question=question[1], example=3)[2]
    assert b"Right answer" not in page.post("ask", question=f"{question[1]} now", example=3)[2]


def test_people_who_ask_at_the_same_time_get_their_own_answers(
    page: Page, tiny_model: Path, tiny_dataset: RawDataset
) -> None:
    model = san_core.load(tiny_model)
    asked = [(tiny_dataset.images[f"test/{40 + n % 4}"], f"what colour is it {'now ' * n}?") for n in range(16)]

    def ask(picture: Path, question: str) -> tuple[bytes, list[tuple[str, str]]]:
        content = page.post("ask", picture.read_bytes(), question=question)[2]
        return content.splitlines()[0], _shown_answers(content)

    with ThreadPoolExecutor(8) as people:
        replies = list(people.map(ask, *zip(*asked, strict=True)))
    for (picture, question), (title, answers) in zip(asked, replies, strict=True):
        expected = [(a.text, f"{100 * a.probability:.1f}") for a in model.ask(picture, question).answers]
        assert (title, answers) == (f"<h2>{question}</h2>".encode(), expected)


def test_others_need_the_login(tiny_model: Path) -> None:
    with served(tiny_model, "--host", "0.0.0.0", "--auth", "ann:pass:wörd") as page:
        address = f"http://127.0.0.1:{page.address.rstrip('/').rpartition(':')[2]}"
        for path in ("/", "/page.js", "/example/0"):
            for login in (None, "ann:pass", ":", "bob:pass:wörd"):
                with pytest.raises(HTTPError, match="401"):
                    _get(address + path, login)
            assert _get(address + path, "ann:pass:wörd") == 200
    assert page.ended == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:80", 200), ("[::1]", 200), ("127.0.0.1", 200), ("a.org", 421)]
)
def test_only_the_names_of_this_machine_are_answered(page: Page, host: str, status: int) -> None:
    request = Request(page.address, headers={"Host": host})
    if status == 200:
        assert urlopen(request, timeout=PATIENCE).status == status
    else:
        with pytest.raises(HTTPError, match=str(status)):
            urlopen(request, timeout=PATIENCE)


def test_ctrl_c_ends_it_quietly_while_a_picture_is_on_its_way(tiny_model: Path) -> None:
    with served(tiny_model, "--port", str(_free_port())) as page:
        host, port = page.address.removeprefix("http://").rstrip("/").split(":")
        upload = socket.create_connection((host, int(port)))
        upload.send(b"POST /ask?question=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        page.post("ask", question="is it red?", example=0)  # when it is answered, the upload is being read
    upload.close()
    assert page.ended == (130, "interrupted\n")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _get(address: str, login: str | None) -> int:
    basic = {} if login is None else {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    with urlopen(Request(address, headers=basic), timeout=PATIENCE) as response:
        return int(response.status)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_a_login_only_this_machine_is_served(run_here: RunHere, host: str) -> None:
    ended = run_here(demo.main, "model", "--host", host)
    line = f"error: --host {host} lets others reach the page; then --auth USER:PASSWORD is needed\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", line)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--auth", "ann"], "argument --auth: must be USER:PASSWORD, neither of them empty"),
        (["--auth", ":secret"], "argument --auth: must be USER:PASSWORD, neither of them empty"),
        (["--port", "0"], "argument --port: must be a whole number >= 1 and < 65536, but got '0'"),
        (["--host", ""], "error: --host '' is not known; accepted: a name or address of this machine"),
        (["--host", "192.0.2.1", "--auth", "a:b", "--port", "9000"], "error: cannot serve on port 9000 of 192.0.2.1: "),
        ([], "error: model is not a model folder: it does not exist; "),
    ],
)
def test_what_cannot_be_used_is_one_line(
    run_here: RunHere, options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run_here(demo.main, "model", *options)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert told in ended.stderr
    assert "secret" not in ended.stderr


def test_a_port_in_use_is_one_line(run_here: RunHere) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_here(demo.main, "model", "--port", port)
    line = f"error: cannot serve on port {port} of 127.0.0.1: Address already in use; choose another with --port\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", line)


def test_missing_packages_are_one_line(run_here: RunHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    ended = run_here(demo.main, "model")
    line = "error: the page needs packages that are missing; to install them: pip install 'san-tuner[demo]'\n"
    assert (ended.returncode, ended.stderr) == (2, line)


def test_the_next_free_port_is_taken() -> None:
    with serving.listen("127.0.0.1", None, login=False) as first, serving.listen("127.0.0.1", None, login=False) as one:
        ports = [listener.getsockname()[1] for listener in (first, one)]
    assert serving.FIRST_PORT <= ports[0] < ports[1] < serving.FIRST_PORT + serving.PORTS


@pytest.mark.parametrize(("screen", "opened"), [("", []), (":0", ["http://127.0.0.1:1/"])])
def test_a_browser_is_opened_where_there_is_a_screen(
    screen: str, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(serving.webbrowser, "open", found.append)
    monkeypatch.setattr(serving.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    serving.open_browser("http://127.0.0.1:1/")
    assert found == opened
