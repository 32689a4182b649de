# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's configuration from typed data. It holds no secret: keys are in maps, as digests where that is enough.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._door.places import Places
from . import answers, paths
from .backends import section
from .served import Backend
from .settings import Settings

HEADERS = 16 * 1024
# Beside the part of a body that is looked at, a buffer has room for headers, and for those that are added.
MAXREWRITE = 8 * 1024
BESIDE = 64 * 1024
BACKSLASH = "\\"
# A line a request: the name of a key, never a key, and nothing of what was asked or answered.
LOG = (
    "request=%[var(txn.id)] key=%[var(txn.key)] from=%ci %HM %{+Q}HPO status=%ST backend=%b server=%s "
    "wait_ms=%Tw first_byte_ms=%Tr all_ms=%Ta bytes=%B body=%[var(txn.body)] retries=%rc end=%ts"
)


@dataclasses.dataclass(frozen=True)
class Door:
    settings: Settings
    backends: tuple[Backend, ...]
    places: Places = dataclasses.field(default_factory=Places)

    @property
    def names(self) -> list[str]:
        return sorted(name for backend in self.backends for name in backend.names)


def text(door: Door) -> str:
    """The whole file."""
    parts = [
        ["# Written by gpufleet.vllm: what is changed by hand is lost with the next run of the role vllm_gateway."],
        _global(door),
        _defaults(door.settings),
        _frontend(door),
        *(_refusal(door, name, refusal) for name, refusal in answers.refusals(door.settings.body_kib).items()),
        *(section(door.settings, door.places, backend) for backend in door.backends),
        *_tables(),
        *_metrics(door.settings),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def returned(status: int, body: str, condition: str = "") -> str:
    """A rule that answers. No body has a single quote in it."""
    return f"http-request return status {status} content-type application/json string '{body}'{condition}"


def _indented(head: str, lines: t.Iterable[str]) -> list[str]:
    return [head, *(f"    {line}" for line in lines)]


def _global(door: Door) -> list[str]:
    places = door.places
    drop = [f"user {places.user}", f"group {places.user}"] if places.user else []
    return _indented(
        "global",
        [
            *drop,
            "log stdout format raw daemon info",
            f"maxconn {door.settings.max_connections}",
            f"tune.bufsize {door.settings.body_kib * 1024 + BESIDE}",
            f"tune.maxrewrite {MAXREWRITE}",
            f"stats socket {places.socket} mode 600 level admin expose-fd listeners",
            # A reload leaves requests to the old process for as long as a day.
            "hard-stop-after 24h",
            "ssl-default-bind-options ssl-min-ver TLSv1.2",
        ],
    )


def _defaults(settings: Settings) -> list[str]:
    return _indented(
        "defaults",
        [
            "mode http",
            "log global",
            "option dontlognull",
            # A connection for each request: one that is kept may be closed by the engine just as it is used again.
            "option http-server-close",
            "option http-no-delay",
            "option abortonclose",
            "option redispatch 1",
            "timeout connect 5s",
            "timeout check 10s",
            "timeout http-request 30s",
            "timeout http-keep-alive 60s",
            f"timeout client {settings.timeout}s",
            f"timeout server {settings.timeout}s",
            # A host that is gone without a word ends nothing: who waits for it learns so within a minute.
            "option srvtcpka",
            "srvtcpka-idle 30s",
            "srvtcpka-intvl 10s",
            "srvtcpka-cnt 3",
            f"timeout queue {max(settings.wait_seconds, 1)}s",
            *(
                f"http-error status {status} content-type application/json string '{answers.document(own)}'"
                for status, own in answers.OWN.items()
            ),
        ],
    )


def _frontend(door: Door) -> list[str]:
    settings = door.settings
    tls = f" ssl crt {settings.certificate} alpn h2,http/1.1" if settings.certificate else ""
    address = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    return _indented(
        "frontend door",
        [
            f"bind {address}:{settings.port}{tls}",
            f'log-format "{LOG}"',
            *_identity(),
            *_paths(settings),
            *_keys(door),
            *_routing(door),
            *_own_answers(door),
            *(
                f"use_backend refused-{name} if {{ var(txn.refused) -m str {name} }}"
                for name in answers.refusals(settings.body_kib)
            ),
            "use_backend %[var(txn.backend)] if { var(txn.backend) -m found }",
            "default_backend refused-path",
        ],
    )


def _identity() -> list[str]:
    """An id that is fit for a log, the client's own where it is; nothing that makes a connection something else."""
    return [
        "http-request set-var(txn.id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,64}$ }",
        "http-request set-var(txn.id) uuid() if !{ var(txn.id) -m found }",
        "http-request set-header X-Request-Id %[var(txn.id)]",
        "http-after-response set-header X-Request-Id %[var(txn.id)]",
        "http-request del-header Upgrade",
        "http-request set-header X-Forwarded-For %[src]",
        "http-request del-header Forwarded",
    ]


def _refuse(name: str, condition: str) -> str:
    """Only the first reason counts."""
    return f"http-request set-var(txn.refused) str({name}) if !{{ var(txn.refused) -m found }} {condition}"


def _paths(settings: Settings) -> list[str]:
    asked = [*paths.OPENAI, *(paths.WITH_A_KEY if settings.keys else ()), *settings.more_paths]
    return [
        f"acl asks path -m str {' '.join(asked)}",
        f"acl lists path -m str {paths.MODELS}",
        f"acl looks path -m str {paths.HEALTH}",
        _refuse("path", "!asks !lists !looks"),
        _refuse("method", "asks !{ method POST }"),
        _refuse("method", "!asks !{ method GET }"),
        _refuse("headers", f"{{ req.hdrs,length gt {HEADERS} }}"),
    ]


def _keys(door: Door) -> list[str]:
    """Keys are compared as digests, in a map: nothing of a key is learnt from the time that it takes."""
    if not door.settings.keys:
        return []
    places = door.places
    return [
        f"http-request set-var(txn.key) http_auth_bearer,sha2(256),hex,map_str({places.map('keys')})",
        _refuse("key", "!looks !{ var(txn.key) -m found }"),
        "http-request track-sc0 var(txn.key) table rates if !looks { var(txn.key) -m found }",
        "acl known var(txn.key) -m found",
        f"http-request set-var(txn.limit) var(txn.key),map_str_int({places.map('limits')},0) if known",
        "http-request set-var(txn.over) sc_http_req_rate(0),sub(txn.limit) if { var(txn.limit) -m int gt 0 }",
        _refuse("rate", "{ var(txn.over) -m int gt 0 }"),
    ]


def _routing(door: Door) -> list[str]:
    """Which backend: the body's `model`, else the header X-Model; with a single backend also a body that names none.

    Of a body that is larger than the buffer only the beginning is looked at. That is counted in the table `bodies`.
    """
    settings, names = door.settings, door.places.map("names")
    limit = settings.body_kib * 1024
    unescaped = f"req.body,regsub({BACKSLASH * 8}/,/,g)"
    unnamed = "asks !{ var(txn.refused) -m found } !{ var(txn.model) -m found }"
    ids = [backend.id for backend in door.backends]
    only = [f"http-request set-var(txn.backend) str({ids[0]}) if {unnamed}"] if len(ids) == 1 else []
    return [
        "acl refused var(txn.refused) -m found",
        f"acl large req.body_size gt {limit}",
        f"acl large req.body_len gt {limit}",
        "http-request wait-for-body time 30s if asks !refused",
        "http-request set-var(txn.body) req.body_size if asks !refused",
        "http-request track-sc1 str(large) table bodies if asks !refused large",
        "http-request sc-inc-gpc0(1) if asks !refused large",
        "http-request set-var(txn.model) req.body,json_query('$.model') if asks !refused",
        # PHP and others escape the slash of a name. HAProxy reads the backslash of an argument twice.
        f"acl escapes req.body -m sub {BACKSLASH * 2}/",
        f"http-request set-var(txn.model) {unescaped},json_query('$.model') if {unnamed} escapes",
        f"http-request set-var(txn.model) req.hdr(x-model) if {unnamed} {{ req.hdr(x-model) -m found }}",
        *only,
        f"http-request set-var(txn.backend) var(txn.model),map_str({names}) if asks {{ var(txn.model) -m found }}",
        _refuse("model", "asks { var(txn.model) -m found } !{ var(txn.backend) -m found }"),
        _refuse("large", "asks large !{ var(txn.backend) -m found }"),
        _refuse("no_model", "asks !{ var(txn.backend) -m found }"),
        *_prefix(settings),
    ]


def _prefix(settings: Settings) -> list[str]:
    """What requests share that go to the same server: a header, else the first message, instructions or prompt."""
    if settings.balance != "prefix":
        return []
    header = [f"req.hdr({settings.prefix_header})"] if settings.prefix_header else []
    places = ("$.messages[0].content", "$.messages[0].content[0].text", "$.instructions", "$.prompt", "$.input")
    return [
        f"http-request set-var(txn.prefix) {sample} if asks !refused !{{ var(txn.prefix) -m found }}"
        for sample in (*header, *(f"req.body,json_query('{place}')" for place in places))
    ]


def _own_answers(door: Door) -> list[str]:
    up = [
        f"acl serves srv_is_up({backend.id}/{endpoint.server})"
        for backend in door.backends
        for endpoint in backend.endpoints
    ]
    return [
        *up,
        returned(200, answers.models(door.names), " if lists !refused"),
        returned(200, '{"status":"ok"}', " if looks !refused serves"),
        returned(503, answers.document(answers.OWN[503]), " if looks !refused"),
    ]


def _refusal(_door: Door, name: str, refusal: answers.Refusal) -> list[str]:
    more = {401: " hdr WWW-Authenticate Bearer", 429: " hdr Retry-After 10", 503: " hdr Retry-After 10"}
    return _indented(
        f"backend refused-{name}",
        [returned(refusal.status, answers.document(refusal)) + more.get(refusal.status, "")],
    )


def _tables() -> list[list[str]]:
    return [
        _indented("backend rates", ["stick-table type string len 64 size 10k expire 2m store http_req_rate(60s)"]),
        _indented("backend bodies", ["stick-table type string len 16 size 1k store gpc0"]),
    ]


def _metrics(settings: Settings) -> list[list[str]]:
    """For the host alone, as those of engines are."""
    if not settings.metrics_port:
        return []
    lines = [
        f"bind 127.0.0.1:{settings.metrics_port}",
        "no log",
        "http-request use-service prometheus-exporter if { path /metrics }",
        "http-request return status 404",
    ]
    return [_indented("frontend metrics", lines)]
