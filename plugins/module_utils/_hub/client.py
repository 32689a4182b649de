# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a hub: the token goes to the endpoint alone, what fails for a moment is asked again, and all of it ends.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import ssl
import time
import typing as t
from urllib.parse import urljoin, urlsplit

from .._outside import web
from .._outside.limited import MIB
from .._outside.web import Answer, NotReached
from . import manifest, refusals
from .refusals import About, HubError

PUBLIC = "https://huggingface.co"
# What a header can carry, and any token that a hub has made.
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
REDIRECTS = 8
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
METADATA = 16 * MIB
AGENT = "gpufleet.vllm"

# What another try does not mend.
FINAL = ("certificate", "tls", "size")

Ask = t.Callable[[str, str, t.Mapping[str, str], float, float, t.Optional[ssl.SSLContext], bool], Answer]


class _Question(t.NamedTuple):
    method: str
    url: str
    headers: t.Mapping[str, str]
    room: float
    about: About
    until: float
    follow: t.Callable[[str], bool]


class _Again(Exception):
    """It may go better the next time, after so many seconds; None is as long as it takes."""

    def __init__(self, error: HubError, wait: float | None) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait


@dataclasses.dataclass(frozen=True)
class Client:
    """`seconds` are for one question, and `patience` for one with all its repetitions and waits.

    `variable` is how a token is stated, for sentences. `proxies` are those of the environment. `until`, of the
    monotonic clock, ends everything.
    """

    endpoint: str = PUBLIC
    token: str = dataclasses.field(default="", repr=False)
    variable: str = "the token of the hub"
    proxies: bool = True
    seconds: float = 20.0
    patience: float = 120.0
    until: float = float("inf")
    tls: ssl.SSLContext | None = None
    ask: Ask = web.ask
    sleep: t.Callable[[float], None] = time.sleep
    clock: t.Callable[[], float] = time.monotonic

    def about(self, model: str = "", revision: str = "", path: str = "", hub: bool = True) -> About:
        return About(self.endpoint, model, revision, path, self.variable, self.token, hub, self.proxies)

    def problem(self) -> str:
        """Why nothing can be asked; '' where it can. What the token is, is not told."""
        wrong = manifest.url_problem(self.endpoint)
        if wrong or self.endpoint.endswith("/") or urlsplit(self.endpoint).query:
            wrong = wrong or "is no base of addresses"
            return f"The endpoint of the hub (vllm_server_hub_endpoint) {wrong}: write it as {PUBLIC}."
        if self.token and not TOKEN.fullmatch(self.token):
            return f"{self.variable} has characters that no token has, or is too long: copy it again."
        return ""

    def get(
        self,
        url: str,
        about: About,
        room: float = METADATA,
        method: str = "GET",
        headers: t.Mapping[str, str] | None = None,
        follow: t.Callable[[str], bool] = lambda _url: True,
    ) -> Answer:
        """The answer at the end of all redirects that `follow` allows, with a status below 400. Raises HubError."""
        wrong = self.problem()
        if wrong:
            raise about.error("settings", wrong)
        until, pause = min(self.until, self.clock() + self.patience), FIRST_WAIT
        while True:
            try:
                return self._once(_Question(method, url, headers or {}, room, about, until, follow))
            except _Again as again:
                # Who asks for no wait is not asked without one either.
                wait = max(pause, again.wait or 0.0)
                if self.clock() + wait >= until:
                    raise again.error from again
            self.sleep(wait)
            pause = min(2 * pause, LONGEST_WAIT)

    def _once(self, asked: _Question) -> Answer:
        url = asked.url
        for _redirect in range(REDIRECTS):
            answer = self._answer(asked, url)
            target = answer.headers.get("Location")
            if not 300 <= answer.status < 400 or not target:
                return self._judged(answer, asked.about, url)
            target = urljoin(url, target)
            if not asked.follow(target):
                return answer
            if manifest.url_problem(target) or (url.startswith("https:") and not target.startswith("https:")):
                break
            url = target
        raise asked.about.error(
            "unsound",
            f"{self.endpoint} redirects from one address to the next, or to one that is not safe to follow: check the "
            "endpoint, and whether a proxy or a login is between.",
        )

    def _answer(self, asked: _Question, url: str) -> Answer:
        """Raises _Again where another try may help, HubError where none would."""
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Connection": "close", **asked.headers}
        if self.token and _origin(url) == _origin(self.endpoint):
            headers["Authorization"] = f"Bearer {self.token}"
        seconds = max(0.001, min(self.seconds, asked.until - self.clock()))
        try:
            return self.ask(asked.method, url, headers, seconds, asked.room, self.tls, self.proxies)
        except NotReached as error:
            failed = refusals.not_reached(error, asked.about, urlsplit(url).hostname or "")
            if error.why in FINAL:
                raise failed from error
            raise _Again(failed, None) from error

    def _judged(self, answer: Answer, about: About, url: str) -> Answer:
        if answer.status < 400:
            return answer
        failed = refusals.refused(answer, about)
        if answer.status in refusals.AGAIN:
            raise _Again(failed, refusals.wait(answer))
        if about.hub and _origin(url) != _origin(self.endpoint):
            # A signed address has expired, or its store has trouble: the hub gives another one.
            raise _Again(about.error("refused", f"{urlsplit(url).hostname} answers {answer.status} for a file."), None)
        raise failed


def _origin(url: str) -> tuple[str, str, int | None]:
    where = urlsplit(url)
    return where.scheme, where.hostname or "", where.port or {"http": 80, "https": 443}.get(where.scheme)
