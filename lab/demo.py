# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the demo ends: a chat completion from this machine, the address it came from, and what to type next."""

from __future__ import annotations

import json
import sys
import urllib.request

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


def complete() -> str:
    body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16, "temperature": 0}
    request = urllib.request.Request(
        f"{API}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def main() -> int:
    try:
        text = complete()
    except OSError as error:
        print(f"The demo's server does not answer at {API}: {error}", file=sys.stderr)
        return 1
    print(f"\n  {QUESTION!r} -> {text!r}\n  (a tiny random model of 1 MB: it answers nonsense, by the real vLLM){NEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
