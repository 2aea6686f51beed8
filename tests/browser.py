"""Where Chromium is, and how it gets here: `python -m tests.browser --install`.

An installed Chromium or Chrome is used as it is; else the system's package manager brings one, else Playwright's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
)
"""For every launch: root needs no-sandbox; the last lets WebGL draw without a graphics card; the others keep a browser
without a network from looking for one."""


def chromium_path() -> str | None:
    """The browser's executable: $CHROMIUM, one on the PATH, or the one that Playwright has downloaded."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def install() -> str:
    """Returns the executable's path; exits with a sentence when there is no way to get one."""
    if found := chromium_path():
        return found
    attempts: list[list[str]] = []
    if shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        attempts += [[*sudo, "apt-get", "update", "-qq"], [*sudo, "apt-get", "install", "-y", "-qq", "chromium"]]
    attempts.append([sys.executable, "-m", "playwright", "install", "chromium"])
    for command in attempts:
        print("browser:", " ".join(command[-3:]), flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
        if found := chromium_path():
            return found
    sys.exit("The browser tests need Chromium, and none could be installed: install it, or set CHROMIUM to its path.")


if __name__ == "__main__":
    print("browser:", install() if "--install" in sys.argv else chromium_path())
