# SPDX-License-Identifier: ISC
"""The dashboard of the installed dynapm: what only a machine with a journal and units can show."""

import json
from pathlib import Path

import pytest

from machine import run

pytest.importorskip("selenium", reason="python3-selenium is not installed")

from harness import browser as browsers
from harness.browser import Browser

pytestmark = pytest.mark.skipif(not browsers.available, reason="chromium-driver is not installed")
CONFIG = Path("/etc/dynapm.json")


def test_a_unit_is_started_and_its_journal_is_read(machine, tmp_path):
    CONFIG.write_text(json.dumps({"adminApi": {"enabled": True}}))
    CONFIG.chmod(0o600)
    machine.app(kind="exec")
    machine.enable()
    run("curl", "-sS", "-H", "Host: none.test", "http://127.0.0.1/")  # the gateway is there
    driver = browsers.launch(tmp_path / "profile")
    try:
        b = Browser(driver).open("http://127.0.0.1:4000/_dynapm/#blog")
        b.wait_text("#d-name", "blog")
        b.click('#d-actions [data-operation="start"]')
        b.wait_text("#details .word", "online")
        b.wait_text("#d-facts", "dynapm-blog.service")
        b.wait_text("#d-log", "blog: starting → online (ready)")
        b.wait_text("#d-log", "Started dynapm-blog.service")
        assert b.finish() == []
    finally:
        driver.quit()
