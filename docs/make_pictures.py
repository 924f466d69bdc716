"""Makes the pictures of the pages: `.venv/bin/python docs/make_pictures.py [FOLDER]`.

Runs the tutorial's commands in FOLDER (default: a temporary one, so that the data are prepared anew). Takes a picture
of the Ray dashboard during the search and of the report after it, lets the model draw an attention map, and takes a
picture of the page on which it can be asked. Needs chromium and chromedriver.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import easy_vqa
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PICTURES = Path(__file__).parent / "pictures"
ROOT = Path(__file__).parents[1]
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")
WIDTH = 1200
TIMEOUT = 300
"""Seconds to wait for a page, or for the first trial."""

SEARCH = ("tuning.search", "--trials", "10", "--epochs", "4", "--run", "tutorial")
RETRAIN = ("tuning.retrain", "tutorial", "--seeds", "2")
PREDICT = ("san_core.predict", "runs/tutorial/retrained/best", "picture.png", "what color is the shape?")

DEMO = ("san_core.demo", "runs/tutorial/retrained/best", "--no-browser")


def main() -> None:
    """Writes report.png, dashboard.png, looked.png and demo.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="to run the commands in")
    folder = parser.parse_args().folder
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, _browser() as browser:
        place = (folder or Path(temporary)).resolve()
        _search(place, lambda address: _picture_of_dashboard(browser, address, place / "home"))
        _picture_of_report(browser, place / "runs" / "tutorial" / "report.html")
        _finish(_command(place, *RETRAIN))
        shutil.copy(easy_vqa.get_test_image_paths()[0], place / "picture.png")
        _finish(_command(place, *PREDICT, "--attention", "looked.png"))
        _save(Image.open(place / "looked.png"), "looked.png")
        _picture_of_demo(browser, place)


def _command(
    place: Path, *arguments: str, stdout: int | None = None, stderr: int | None = None
) -> subprocess.Popen[str]:
    """Starts a command of the project in a folder, with a home of its own."""
    (place / "home").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HOME": str(place / "home"), "PYTHONPATH": str(ROOT), "SAN_DASHBOARD_DELAY": "1"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, cwd=place, env=environment, stdout=stdout, stderr=stderr, text=True)


def _finish(command: subprocess.Popen[str]) -> None:
    if command.wait():
        raise subprocess.CalledProcessError(command.returncode, command.args)


def _search(place: Path, on_dashboard: Callable[[str], None]) -> None:
    """Runs the search; calls `on_dashboard` with the dashboard's address as soon as it is known."""
    with _command(place, *SEARCH, stderr=subprocess.PIPE) as search:
        try:
            for line in search.stderr or ():
                sys.stderr.write(line)
                if line.startswith("Ray dashboard: "):
                    on_dashboard(line.split()[2])
        except BaseException:
            search.send_signal(signal.SIGINT)
            raise
    _finish(search)


def _picture_of_dashboard(browser: webdriver.Chrome, address: str, home: Path) -> None:
    """Logs in and takes a picture of the actor list as soon as trials are in it."""
    token = (home / ".ray" / "auth_token").read_text().strip()
    _wait_for_trials(address, token)
    browser.set_window_size(WIDTH, 700)
    browser.get(f"{address}/#/actors")
    wait = WebDriverWait(browser, TIMEOUT)
    field = wait.until(lambda it: it.find_element(By.CSS_SELECTOR, "[role=dialog] input"))
    field.send_keys(token, Keys.ENTER)
    wait.until(lambda it: "trial " in it.find_element(By.TAG_NAME, "body").text)
    browser.find_element(By.XPATH, "//label[.='repr']/following::input").send_keys("trial")
    _save_screen(browser, "dashboard.png")


def _wait_for_trials(address: str, token: str) -> None:
    request = urllib.request.Request(f"{address}/logical/actors", headers={"Authorization": f"Bearer {token}"})
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            actors = json.load(answer)["data"]["actors"].values()
        if sum((actor["reprName"] or "").startswith("trial") for actor in actors) > 1:
            return
        time.sleep(0.5)
    raise RuntimeError("no trial was in the actor list")


def _picture_of_report(browser: webdriver.Chrome, report: Path) -> None:
    """Takes a picture of the report's first screen."""
    browser.set_window_size(WIDTH, 1000)
    browser.get(report.as_uri())
    _save_screen(browser, "report.png")


def _picture_of_demo(browser: webdriver.Chrome, place: Path) -> None:
    """Serves the page, and takes a picture of it after a click on a question."""
    with _command(place, *DEMO, stdout=subprocess.PIPE) as demo:
        try:
            line = demo.stdout.readline() if demo.stdout else ""
            browser.set_window_size(WIDTH, 1290)
            browser.get(line.removeprefix("the page: ").split()[0])
            browser.find_element(By.CSS_SELECTOR, "[data-question^=what]").click()
            WebDriverWait(browser, TIMEOUT).until(lambda it: it.find_elements(By.CSS_SELECTOR, ".hops img"))
            _save_screen(browser, "demo.png")
        finally:
            demo.send_signal(signal.SIGINT)


def _save_screen(browser: webdriver.Chrome, name: str) -> None:
    time.sleep(2)  # until animations have ended
    _save(Image.open(BytesIO(browser.get_screenshot_as_png())), name)


def _save(picture: Image.Image, name: str) -> None:
    """Saves a picture no wider than the pages show it."""
    small = picture.convert("RGB")
    small.thumbnail((WIDTH, WIDTH))
    small.save(PICTURES / name, optimize=True)


@contextmanager
def _browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
