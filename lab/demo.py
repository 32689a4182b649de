# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the demo ends: a chat completion from this machine, the address it came from, and what to type next."""

from __future__ import annotations

import json
import subprocess
import sys

from lab import ask, post_mortem

API = "http://127.0.0.1:8000/v1"
MODEL = "assistant"
QUESTION = "Say hello."

NEXT = f"""
  The API          {API}
  Ask it           curl -s {API}/chat/completions -H 'Content-Type: application/json' \\
                     -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'

  Nothing changes  .venv/bin/ansible-playbook site.yml -l gpu_hosts
  Change it        edit max_num_seqs in inventories/demo/group_vars/cpu.yml, then
                   .venv/bin/ansible-playbook site.yml -l gpu_hosts --check --diff     what would happen
                   .venv/bin/ansible-playbook site.yml -l gpu_hosts                    a restart, proved
  Break it         set model to /models/tiny-16 there and run site.yml again: this model is healthy and dies on its
                   first token. The run fails and says why; ask the API again: the old server answers.
  Prove it         .venv/bin/ansible-playbook playbooks/verify.yml -l gpu_hosts
  Look inside      docker exec -it gpufleet-lab-demo bash
  Remove it all    make demo-down     every host of the lab, and its images
"""


HOST = "gpufleet-lab-demo"


def complete() -> str:
    body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16, "temperature": 0}
    return ask.words(f"{API}/chat/completions", body)


def _on_the_host(*words: str) -> str:
    """Both outputs of a Docker command in the host; '' where the host is not there to run it."""
    command = ["docker", "exec", HOST, "docker", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def failure(error: ask.NoAnswer) -> str:
    """Why there was no answer, as far as the host can tell."""
    what = f"The demo's server gave no answer: {error}"
    container = _on_the_host("ps", "--all", "--latest", "--format", "{{.Names}}").strip()
    if not container:
        return f"{what}.\nThere is no server in {HOST}, or no such host: run `make demo` again."
    state = json.loads(_on_the_host("inspect", "--format", "{{json .State}}", container) or "{}")
    exit_code = None if state.get("Running") else state.get("ExitCode")
    log = _on_the_host("logs", container)
    kept = f"docker exec {HOST} docker logs {container}"
    told = post_mortem.told(what, log, exit_code, bool(state.get("OOMKilled")), kept)
    return f"{told}\n`make demo` starts it again where it has ended."


def main() -> int:
    try:
        text = complete()
    except ask.NoAnswer as error:
        print(failure(error), file=sys.stderr)
        return 1
    print(f"\n  {QUESTION!r} -> {text!r}\n  (a tiny random model of 1 MB: it answers nonsense, by the real vLLM){NEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
