# SPDX-License-Identifier: ISC
"""A real browser, headless, that looks at the dashboard; at its end it must have found nothing to complain of and have
asked nobody but the page's own origin."""

import contextlib
import json
import shutil

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.process import wait_for

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
DESKTOP, PHONE = (1280, 900), (360, 740)
# What the browser says by itself of an answer that is an error, or of none; tests cause both.
OF_NETWORK = ("Failed to load resource", "net::ERR_")

available = shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome"))


def launch(profile):
    """Starts a browser; `profile` is a folder that is not there yet. Its quit() ends it."""
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    return driver


class Browser:
    """A window of its own in a browser: what is kept for a tab is new, what is kept for an origin is that origin's.
    `dark` and `reduced_motion` are what the system prefers."""

    def __init__(self, driver, size=DESKTOP, dark=False, reduced_motion=False):
        self.driver = driver
        self.first = driver.current_window_handle
        driver.switch_to.new_window("tab")
        self.complaints(), self.requested()  # of who was here before
        self.cdp("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1,
                 mobile=size == PHONE)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"}])
        self.origin = None

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def open(self, url):
        self.origin = "/".join(url.split("/")[:3])
        self.driver.get(url)
        return self

    def finish(self):
        """Closes the window. Returns what is wrong with what it did."""
        try:
            complaints = self.complaints()
            strangers = [f"asked a stranger: {url}" for url in self.requested()
                         if not url.startswith(("data:", f"{self.origin}/"))]
            return complaints + strangers
        finally:
            self.driver.close()
            self.driver.switch_to.window(self.first)

    def complaints(self):
        """What the console says since the last call."""
        return [f"console: {entry['level']} {entry['message']}" for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING") and not any(t in entry["message"] for t in OF_NETWORK)]

    def requested(self):
        """The URLs of what the page has asked for since the last call; the browser's own pages ask for other things."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [p["request"]["url"] for p in sent if not p["documentURL"].startswith("chrome://")]

    # ── looking ──

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def wait(self, condition, what, timeout=20):
        """Waits for the first true value; elements may come and go meanwhile."""
        def patient():
            with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
                return condition()
        try:
            return wait_for(patient, what, timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}; on the page:\n{self.one('body').text}") from None

    def wait_text(self, selector, text, timeout=20):
        """Waits until an element that is visible says so."""
        return self.wait(lambda: [e for e in self.all(selector) if e.is_displayed() and text in e.text],
                         f"{selector} says {text!r}", timeout)[0]

    def row(self, name):
        return self.one(f'.row[data-name="{name}"]')

    def cell(self, name, column):
        return self.row(name).find_element(By.CSS_SELECTOR, f".c-{column}").text

    def wait_state(self, name, state, timeout=20):
        return self.wait(lambda: state == self.row(name).find_element(By.CSS_SELECTOR, ".word").text,
                         f"{name} is {state} on the page", timeout)

    # ── hands ──

    def click(self, selector):
        self.wait(lambda: self.one(selector).is_displayed(), f"{selector} is there")
        self.one(selector).click()

    def operate(self, name, operation):
        self.click(f'.row[data-name="{name}"] [data-operation="{operation}"]')

    def keys(self, *keys):
        """Presses keys, wherever the focus is: not those of an element, which may be drawn anew meanwhile."""
        for key in keys:
            ActionChains(self.driver).send_keys(getattr(Keys, key) if hasattr(Keys, key) else key).perform()

    def focused(self):
        return self.driver.switch_to.active_element
