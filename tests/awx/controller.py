# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the API of AWX on the loopback: it keeps what it is given, and shows it as AWX would.

It knows lists with filters, objects, what is linked to them, surveys, approval nodes and secrets. It runs no job, and
of all that AWX refuses it refuses only surveys. What idempotence it shows is that of the modules, not that of AWX.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import typing as t
import urllib.parse

from ansible_collections.gpufleet.vllm.tests.awx import rules

Json = dict[str, t.Any]
PATH = re.compile(r"^/api/v2/(\w+)/(?:(\w+)/)?(?:(\w+)/)?$")
HIDDEN = "$encrypted$"
API = "/api/v2/"
# Of the objects that a template can be.
UNIFIED = ("job_templates", "projects", "workflow_approval_templates")
# What AWX has before anybody configures it, with the fields of a type that are secret.
TYPES: dict[str, list[str]] = {
    "Machine": ["password", "ssh_key_data", "become_password"],
    "Vault": ["vault_password"],
    "Ansible Galaxy/Automation Hub API Token": ["token"],
}


class Controller:
    """Objects by kind and number. `refused` are requests that were answered with 400."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, Json]] = {}
        self.links: dict[str, list[int]] = {}
        self.surveys: dict[str, Json] = {}
        self.settings: Json = {"AWX_RUNNER_KEEPALIVE_SECONDS": 0}
        self.refused: list[str] = []
        self._last = 0
        for name, secrets in TYPES.items():
            fields = [{"id": secret, "secret": True} for secret in secrets]
            self.create("credential_types", {"name": name, "inputs": {"fields": fields}})
        galaxy = self.named("credential_types", next(reversed(TYPES)))["id"]
        self.create("credentials", {"name": "Ansible Galaxy", "credential_type": galaxy, "inputs": {}})

    def create(self, kind: str, given: Json) -> Json:
        self._last += 1
        url = f"{API}{kind}/{self._last}/"
        hidden: Json = {"inputs": {}} if kind == "credentials" else {}
        made = {"type": kind.removesuffix("s"), **hidden, **given, "id": self._last, "url": url, "summary_fields": {}}
        made |= {"scm_revision": "0" * 40, "related": {"survey_spec": f"{url}survey_spec/"}}
        self.objects.setdefault(kind, {})[self._last] = made
        return made

    def named(self, kind: str, name: str) -> Json:
        """The one object of that name or identifier."""
        found = [one for one in self.objects[kind].values() if name in (one.get("name"), one.get("identifier"))]
        assert len(found) == 1, f"{len(found)} {kind} are called {name}"
        return found[0]

    def linked(self, one: Json, link: str) -> list[int]:
        """The numbers of what is linked to an object."""
        return self.links.get(f"{one['url']}{link}/", [])

    def _secrets(self, credential: Json) -> set[str]:
        fields = self.objects["credential_types"][credential["credential_type"]]["inputs"]["fields"]
        return {field["id"] for field in fields if field.get("secret")}

    def shown(self, one: Json) -> Json:
        """An object as a client sees it: without the secrets of a credential."""
        if "credential_type" not in one:
            return one
        secrets = self._secrets(one)
        return {**one, "inputs": {key: HIDDEN if key in secrets else value for key, value in one["inputs"].items()}}

    def listed(self, found: t.Iterable[Json]) -> Json:
        results = [self.shown(one) for one in found]
        return {"count": len(results), "next": None, "results": results}

    def find(self, kind: str, query: dict[str, str]) -> Json:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        known = [one for name in kinds for one in self.objects.get(name, {}).values()]
        return self.listed(one for one in known if all(str(one.get(key)) == value for key, value in query.items()))

    def answer(self, method: str, path: str, query: dict[str, str], given: Json) -> tuple[int, Json]:
        """Status and body."""
        split = PATH.match(path)
        if split is None:
            return 404, {}
        kind, number, link = split.groups()
        if (kind, number) == ("settings", "all"):
            self.settings |= given
            return 200, self.settings
        if number is None:
            return (201, self.create(kind, given)) if method == "POST" else (200, self.find(kind, query))
        one = self.objects[kind][int(number)]
        if link == "survey_spec":
            return self._survey(method, path, given)
        if link == "create_approval_template":
            made = self.create("workflow_approval_templates", given)
            one["unified_job_template"], one["related"]["unified_job_template"] = made["id"], made["url"]
            return 201, made
        if link:
            return self._linked(method, path, link, given)
        if method == "PATCH":
            one |= given
        return 200, self.shown(one)

    def _survey(self, method: str, path: str, given: Json) -> tuple[int, Json]:
        if method == "GET":
            return 200, self.surveys.get(path, {})
        problems = rules.survey_problems(given)
        if not problems:
            self.surveys[path] = given
        return (400, {"error": problems}) if problems else (200, {})

    def _linked(self, method: str, path: str, link: str, given: Json) -> tuple[int, Json]:
        numbers = self.links.setdefault(path, [])
        if method == "GET":
            return 200, self.listed({"id": one} for one in numbers)
        if given.get("disassociate"):
            numbers.remove(given["id"])
        else:
            numbers.append(given["id"])
        return 204, {}


class Served:
    """A controller, and where it is, until the `with` ends."""

    def __init__(self) -> None:
        self.controller = Controller()
        controller, lock = self.controller, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                split = urllib.parse.urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                given = json.loads(self.rfile.read(length) or b"{}")
                with lock:
                    status, body = controller.answer(
                        self.command, split.path, dict(urllib.parse.parse_qsl(split.query)), given
                    )
                    if status == 400:
                        controller.refused.append(f"{self.command} {split.path}: {body}")
                    text = b"" if status == 204 else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("X-API-Product-Name", "AWX")
                self.send_header("X-API-Product-Version", "24.6.1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PATCH = _answer

            def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Served:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
