"""Holds dpkg's lock until it is ended, as a package manager of somebody else's would."""

from __future__ import annotations

import fcntl
import time

with open("/var/lib/dpkg/lock-frontend", "w", encoding="utf-8") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    time.sleep(600)
