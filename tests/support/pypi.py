# SPDX-License-Identifier: Apache-2.0
"""Packages from PyPI for tests, in a virtual environment in the cache folder."""

import fcntl
import hashlib
import os
import subprocess
import sys
import venv

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sonde")


def become(*packages):
    """Goes on as the same program under an interpreter that has the packages ("name==version")."""
    if os.environ.get("SONDE_TEST_VENV") == "/".join(packages):
        return
    name = "venv-" + hashlib.sha256("/".join([sys.version, *packages]).encode()).hexdigest()[:12]
    folder = os.path.join(CACHE, name)
    python = os.path.join(folder, "bin", "python")
    os.makedirs(CACHE, exist_ok=True)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, "complete")):
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
                           check=True)
            open(os.path.join(folder, "complete"), "w").close()
    os.environ["SONDE_TEST_VENV"] = "/".join(packages)
    os.execv(python, [python, *sys.argv])
