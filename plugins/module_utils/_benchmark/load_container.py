# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`vllm bench serve` of the very image that serves, in a container of its own beside the server.

It shares the server's network and its models, has no GPU and no port, may do what the server's container may, and takes
no more than its limits of memory and processors. The API key is read inside, from the file that the engine reads.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker import hardening
from .._docker.client import Docker, DockerError
from .._docker.container import STATED, variables
from .._docker.release import Release
from .._engine.pooled import pools
from .._outside import documents
from .._outside.concealing import concealed_log
from .._outside.documents import Json
from .._outside.printable import printable
from .._rollout import probe
from .._state.state import Entry
from .._vllm import gates
from .._vllm.schema import version_key

MARK = "gpufleet-figures "
MIB = 1024 * 1024
MEMORY_MIB = 4096
PROCESSORS = 4
SHOWN = 300
# How long a container may take beyond its run: vLLM is imported first.
BEYOND = 300.0
# And beyond that, before it ends by itself: whoever waits for it may be gone, and the server would be under its load.
ALONE = 60.0
# Arguments of the engine that say how its tokenizer is found.
TOKENIZER = ("tokenizer", "tokenizer_mode", "trust_remote_code")
# No proxy stands between two processes of one network. The model is there: it serves.
ENVIRONMENT = {
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "*"),
    **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    # Nothing that lasts is written.
    **dict.fromkeys(("VLLM_CACHE_ROOT", "HF_MODULES_CACHE", "HOME"), "/tmp/gpufleet"),
}
# Prompts are counted where they are drawn: the result of vLLM does not tell how many are the same.
RUN = f"""
import json, os, sys, threading

tokenizer, revision, key_file, seconds, *words = sys.argv[1:]
end = threading.Timer(float(seconds), os._exit, [124])
end.daemon = True
end.start()
if key_file:
    with open(key_file) as file:
        os.environ["OPENAI_API_KEY"] = json.load(file)["api-key"][0]
if revision and not os.path.isdir(tokenizer):
    from huggingface_hub import snapshot_download
    tokenizer = snapshot_download(tokenizer, revision=revision, local_files_only=True)
from vllm.benchmarks import serve
try:
    from vllm.utils.argparse_utils import FlexibleArgumentParser
except ImportError:
    from vllm.utils import FlexibleArgumentParser
told = {{}}
drawn = getattr(serve, "get_samples", None)

def counted(*arguments, **named):
    requests = drawn(*arguments, **named)
    prompts = [json.dumps(one.prompt) for one in requests]
    told.update(prompts=len(prompts), distinct=len(set(prompts)))
    return requests

if drawn is not None:
    serve.get_samples = counted
parser = FlexibleArgumentParser(prog="vllm bench serve")
serve.add_cli_args(parser)
words += ["--tokenizer", tokenizer, "--save-result", "--result-dir", "/tmp", "--result-filename", "figures.json"]
serve.main(parser.parse_args(words))
with open("/tmp/figures.json") as file:
    result = json.load(file)
# Figures that nobody reads may be no numbers, where there was nothing to divide by.
told.update((name, value) for name, value in result.items() if isinstance(value, (int, float)) and abs(value) < 1e300)
print("\\n{MARK}" + json.dumps(told), flush=True)
"""


class NoLoad(Exception):
    """The load could not be made, with what vLLM said."""


def unsuitable(entry: Entry) -> str:
    """Why nothing can be measured of a release; '' where it can."""
    version = entry.release["version"]
    once = gates.BENCHMARK_THAT_ASKS_ONCE
    if not once.open_at(version_key(version)):
        return f"its vLLM is {version}, and its own benchmark asks the first prompt twice before {once.release}"
    if pools(entry.release["arguments"]) or (entry.settings.get("smoke") or {}).get("transcription") is True:
        return "it generates no text, and that is what is measured"
    return ""


def body(entry: Entry, server: str, words: t.Sequence[str], key_file: str, info: Json, limit: float) -> Json:
    """POST /containers/create, for the container SERVER of the release. KEY_FILE is where this host keeps its key;
    a run may take LIMIT seconds."""
    release = entry.release
    selinux = hardening.has_selinux(info)
    limits = {
        "Memory": MEMORY_MIB * MIB,
        "MemorySwap": MEMORY_MIB * MIB,
        "NanoCpus": min(PROCESSORS, int(info.get("NCPU") or 1)) * 10**9,
    }
    inside = release["api_key"]["path"] if key_file else ""
    mounts = [{"Type": "bind", "Source": key_file, "Target": inside, "ReadOnly": True}] if key_file else []
    return {
        "Image": entry.image_id,
        "Entrypoint": ["python3", "-c", RUN],
        "Cmd": [*tokenizer(release), inside, str(limit + BEYOND + ALONE), *_target(release), *words],
        "Env": variables({**release["env"], **ENVIRONMENT}, {"mode": "none"}),
        **hardening.config_options(release),
        "HostConfig": {
            "NetworkMode": f"container:{server}",
            "Binds": _binds(release, selinux),
            "Mounts": mounts,
            "RestartPolicy": {"Name": "no"},
            **hardening.host_options(release, selinux),
            **STATED,
            **limits,
        },
    }


def _binds(release: Release, selinux: bool) -> list[str]:
    """What the server has, read only. Its cache is its own: with SELinux a second container would take it away."""
    volumes = hardening.binds(release, selinux)
    return [_readable(volume) for volume in volumes if volume.rsplit(":", 2)[1] != hardening.CACHE_INSIDE]


def _readable(volume: str) -> str:
    """A volume that is not written to: `source:target:options`."""
    source, target, options = volume.rsplit(":", 2)
    kept = [option for option in options.split(",") if option not in ("rw", "ro")]
    return f"{source}:{target}:{','.join(['ro', *kept])}"


def tokenizer(release: Release) -> list[str]:
    """Where the tokenizer is, and of which revision, as the engine was told."""
    stated, command = release["arguments"], release["command"]
    model = command[1] if command[0] == "--model" else command[0]
    found = str(stated.get("tokenizer") or model)
    revision = "" if found != model else str(_word_after(command, "--revision"))
    return [found, str(stated.get("tokenizer_revision") or revision)]


def _word_after(command: t.Sequence[str], option: str) -> str:
    return command[command.index(option) + 1] if option in command[:-1] else ""


def _target(release: Release) -> list[str]:
    stated = release["arguments"]
    words = ["--base-url", f"http://127.0.0.1:{release['container']['container_port']}"]
    words += ["--model", release["served_model_names"][0]]
    if stated.get("tokenizer_mode"):
        words += ["--tokenizer-mode", str(stated["tokenizer_mode"])]
    return [*words, *(["--trust-remote-code"] if stated.get("trust_remote_code") is True else [])]


def run(docker: Docker, instance: str, request: Json, limit: float) -> t.Any:
    """What vLLM says of one run, at most LIMIT seconds long. Raises NoLoad."""
    try:
        with probe.made(docker, f"gpufleet-benchmark-{instance}", request) as container:
            docker.start(container)
            code = _ended(docker, container, limit)
            said = [line.partition(" ")[2] for line in docker.logs(container).splitlines()]
    except DockerError as error:
        raise NoLoad(str(error)) from error
    found = [line[len(MARK) :] for line in said if line.startswith(MARK)]
    if code != 0 or not found:
        last = next((line for line in reversed(said) if line.strip()), "nothing")
        raise NoLoad(f"it ended with exit code {code} and said: {concealed_log(printable(last))[:SHOWN]}")
    try:
        return documents.parse(found[-1])
    except ValueError as error:
        raise NoLoad(f"its result is not understood: {error}") from error


def _ended(docker: Docker, container: str, limit: float) -> int:
    try:
        return docker.wait(container, limit + BEYOND)
    except DockerError as error:
        found = docker.container(container)
        if error.status == 0 and found is not None and found["State"]["Running"]:
            raise NoLoad(
                f"it was not done after {limit:g} s, and {BEYOND:g} more for its start: state fewer requests or "
                "tokens, or a longer limit"
            ) from error
        raise
