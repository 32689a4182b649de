# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a hub refuses, as sentences: each says what is so, and which page to open or what to change.

Source of what answers mean: `hf_raise_for_status` of huggingface_hub 1.15 and 2.4. The hub names its reason in
X-Error-Code (GatedRepo, RepoNotFound, RevisionNotFound, EntryNotFound); without a token it answers 401 to whoever asks
for a repository that is private and for one that is not there. Mirrors may name no reason.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import time
import typing as t
from email.utils import parsedate_to_datetime

from .._outside.concealing import MASK, concealed_text
from .._outside.printable import printable
from .._outside.web import Answer, NotReached

SAID = 200
INVALID = "invalid credentials in authorization header"
DISABLED = "access to this resource is disabled"
BUSY = 429
AGAIN = (408, BUSY, 500, 502, 503, 504)
# `"api";r=0;t=55`: nothing is left for 55 seconds.
_RATE = re.compile(r'"[^"]*"\s*;\s*r=0\s*;\s*t=(\d{1,6})')


class HubError(Exception):
    """A whole sentence, without secrets. `kind` is one of those below, for who does something about it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclasses.dataclass(frozen=True)
class About:
    """What was asked. `variable` is what a token is stated by; `token` is not told. A plain web server is no `hub`.

    `proxies` are those of the environment, which not everybody who asks reads.
    """

    endpoint: str
    model: str = ""
    revision: str = ""
    path: str = ""
    variable: str = "the token of the hub"
    token: str = dataclasses.field(default="", repr=False)
    hub: bool = True
    proxies: bool = True

    @property
    def page(self) -> str:
        return f"{self.endpoint}/{self.model}"

    def error(self, kind: str, text: str) -> HubError:
        """No sentence has the token, whoever sent it back."""
        whole = text.replace(self.token, MASK) if self.token else text
        return HubError(kind, concealed_text(printable(whole)))


def refused(answer: Answer, about: About) -> HubError:
    """An answer with an HTTP error status."""
    code = (answer.headers.get("X-Error-Code") or "").strip()
    said = (answer.headers.get("X-Error-Message") or "").strip()
    model, page, variable = about.model, about.page, about.variable
    if answer.status == BUSY or answer.status >= 500 or answer.status == 408:
        return _unwilling(answer, about)
    if not about.hub:
        kind = "not_found" if answer.status in (404, 410) else "refused"
        where = f"{about.endpoint}/{about.path}"
        return about.error(kind, f"{where} cannot be fetched ({answer.status}): check the address, and what serves it.")
    if code == "GatedRepo":
        if not about.token:
            return about.error(
                "gated",
                f"The model {model} is gated, and no token was sent: open {page} with an account, accept its "
                f"conditions, and set {variable} to a token of that account.",
            )
        return about.error(
            "no_access",
            f"The token has no access to the gated model {model}: open {page} with the account of the token and ask "
            "for access, which some owners grant by hand; a fine-grained token also needs the permission to read gated "
            f"repositories, at {about.endpoint}/settings/tokens.",
        )
    if code == "RevisionNotFound":
        return about.error(
            "revision",
            f"The model {model} has no revision {about.revision}: its branches, tags and commits are listed at "
            f"{page}/commits/main.",
        )
    if code == "EntryNotFound":
        return about.error(
            "entry",
            f"The model {model} has no file {about.path} at revision {about.revision}: its files are listed at "
            f"{page}/tree/{about.revision}.",
        )
    if said.lower().startswith(INVALID):
        return about.error(
            "token",
            f"{about.endpoint} does not know the token: it is mistyped, expired or revoked. Make another one at "
            f"{about.endpoint}/settings/tokens and set {variable}.",
        )
    if said.lower().startswith(DISABLED):
        return about.error("disabled", f"The hub has closed the model {model} for everybody: {page} says why.")
    return _not_there(answer, about, code, said)


def _not_there(answer: Answer, about: About, code: str, said: str) -> HubError:
    model, page = about.model, about.page
    if answer.status == 401 and not about.token:
        return about.error(
            "unknown",
            f"There is no model {model} at {about.endpoint}, or it is private: to somebody without a token the hub "
            f"says 401 for both. Open {page}: correct the name, or set {about.variable} to a token that may read it.",
        )
    if answer.status == 404 or code == "RepoNotFound":
        return about.error(
            "not_found",
            f"There is no model {model} at {about.endpoint}"
            + (", or the account of the token may not see it" if about.token else "")
            + f" ({answer.status}): open {page} and correct the name.",
        )
    if answer.status in (401, 403):
        return about.error(
            "no_access",
            f"{about.endpoint} refuses {'the token' if about.token else 'to answer without a token'} for the model "
            f"{model} ({answer.status}{_quoted(said)}): open {page} with the account of the token.",
        )
    return about.error("refused", f"{about.endpoint} answers {answer.status}{_quoted(said)} for {page}.")


def _unwilling(answer: Answer, about: About) -> HubError:
    if answer.status == BUSY:
        seconds = wait(answer)
        return about.error(
            "busy",
            f"{about.endpoint} answers 429, too many requests from this address"
            + (f", and asks to wait {seconds:.0f} s" if seconds is not None else "")
            + ": try again later"
            + ("." if about.token else f", or set {about.variable}: it answers more often to whom it knows."),
        )
    return about.error(
        "server", f"{about.endpoint} answers {answer.status}: it has trouble of its own. Try again later."
    )


def wait(answer: Answer) -> float | None:
    """Seconds that an answer asks to wait; None where it asks for none that can be understood."""
    after = (answer.headers.get("Retry-After") or "").strip()
    rate = _RATE.search(answer.headers.get("RateLimit") or "")
    if after.isascii() and after.isdecimal() and len(after) <= 6:
        return float(after)
    try:
        left = parsedate_to_datetime(after).timestamp() - time.time()
        return left if left > 0 else None
    except (TypeError, ValueError, IndexError, OverflowError):
        pass
    return float(rate[1]) if rate and answer.status == BUSY else None


_NOT_REACHED: t.Final = {
    "name": "the name {host} cannot be resolved ({text}): check the resolver of this machine and the endpoint's name",
    "connect": "nothing can be reached there ({text}): check the network, and {proxy}",
    "time": "no whole answer came in time ({text}): check the network, and {proxy}",
    "certificate": "its certificate is not trusted here ({text}): what is between may be a proxy with a certificate of "
    "its own, which belongs into {trust}",
    "tls": "it does not speak TLS as it has to ({text}): check http and https in the endpoint, and {proxy}",
    "proxy": "the proxy {text}: check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    "size": "{text}, which no answer of a hub has: check the endpoint",
    "broken": "the connection broke off, or what came is no HTTP ({text}): try again, and check the endpoint",
}
_ADVICE: t.Final = {
    True: {
        "proxy": "whether a proxy is needed, or in the way (HTTPS_PROXY, NO_PROXY)",
        "trust": "the machine's trust store or into the file that SSL_CERT_FILE names",
    },
    # A unit of systemd has nobody's environment.
    False: {
        "proxy": "whether this host reaches it without a proxy, as no download goes through one; {other}",
        "trust": "the trust store of this host",
    },
}


_OTHER: t.Final = {
    True: "a mirror that it reaches belongs into vllm_server_hub_endpoint",
    False: "an address that it reaches, or a folder of its own, belongs into vllm_server_model_sources",
}


def not_reached(error: NotReached, about: About, host: str) -> HubError:
    text = concealed_text(printable(error))[:SAID]
    advice = {key: said.format(other=_OTHER[about.hub]) for key, said in _ADVICE[about.proxies].items()}
    why = _NOT_REACHED[error.why].format(host=host, text=text, **advice)
    return about.error(f"unreachable.{error.why}", f"{about.endpoint} cannot be asked: {why}.")


def no_hub(answer: Answer, about: About, what: str) -> HubError:
    """Somebody answered, and is no hub: HTML comes from networks with a login, and from addresses of web sites."""
    kind = answer.headers.get_content_type()
    html = kind == "text/html" or answer.body[:256].lstrip()[:1] == b"<"
    page = "a page of HTML, as a network with a login or a proxy sends it: open it in a browser from this machine"
    return about.error(
        "portal" if html else "unsound",
        f"What answers at {about.endpoint} is no hub: it sent {page if html else what}.",
    )


def no_sums(answer: Answer, about: About) -> HubError:
    html = answer.headers.get_content_type() == "text/html"
    return about.error(
        "portal" if html else "unsound",
        f"{about.endpoint}/{about.path} is {'a page of HTML' if html else 'no list of hashes'}: run `sha256sum * > "
        f"{about.path}` in the folder that is served, and check the address.",
    )


def _quoted(said: str) -> str:
    return f", {printable(said)[:SAID]!r}" if said else ""
