"""`python -m san_core.demo MODEL`: a page on which a trained model answers questions about pictures."""

import argparse
from importlib.util import find_spec

import san_core
from san_core.command_line import CommandLine, number, path, print_message, run_command
from san_core.demo_page.serving import address_of, listen, open_browser, serve
from san_core.errors import InputError


def _login(text: str) -> tuple[str, str]:
    """An argument type for argparse: the name of a user and a password."""
    user, _, password = text.partition(":")
    if not user or not password:
        raise argparse.ArgumentTypeError("must be USER:PASSWORD, neither of them empty")
    return user, password


def _parse() -> argparse.Namespace:
    parser = CommandLine(
        "san_core.demo",
        "Opens a page on which a trained model answers questions about pictures and shows where it looked. The page "
        "needs no internet access. Only this machine can reach it, unless --host says otherwise.",
    )
    add = parser.add_argument
    add("model", type=path, metavar="MODEL", help="model folder written by tuning.retrain")
    add(
        "--data",
        type=path,
        metavar="FOLDER",
        help="prepared data that the questions to click on come from (default: where they were at the training)",
    )
    add("--host", default="127.0.0.1", help="address to serve on; one that others reach, such as 0.0.0.0, needs --auth")
    add("--auth", type=_login, metavar="USER:PASSWORD", help="let only those in who have this name and password")
    add("--port", type=number(int, at_least=1, below=65536), help="port to serve on (default: first free from 7860 on)")
    add("--no-browser", action="store_true", help="print the address, but do not open a browser")
    return parser.parse_args()


def main() -> None:
    """Serves the page until it is interrupted."""
    arguments = _parse()
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise InputError("the page needs packages that are missing; to install them: pip install 'san-tuner[demo]'")
    with listen(arguments.host, arguments.port, login=arguments.auth is not None) as listener:
        from san_core.demo_page.app import make_app  # from the extra
        from san_core.demo_page.examples import find_examples

        model = san_core.load(arguments.model)
        examples, note = find_examples(model.description, arguments.data)
        if note:
            print_message(note)
        app, address = make_app(model, examples, note, arguments.auth), address_of(listener)
        print(f"the page: {address} (Ctrl-C ends it)", flush=True)
        if not arguments.no_browser:
            open_browser(address)
        serve(app, listener)


if __name__ == "__main__":
    run_command(main)
