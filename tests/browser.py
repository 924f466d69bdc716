"""Selenium for tests of pages in a browser. Where it is missing they are skipped, and only they."""

from types import SimpleNamespace

try:
    from selenium import webdriver
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait
except ModuleNotFoundError:
    webdriver, Service, By, WebDriverWait = SimpleNamespace(Chrome=None), None, None, None
    TimeoutException = None

__all__ = ["By", "Service", "TimeoutException", "WebDriverWait", "webdriver"]
