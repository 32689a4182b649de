#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the download of a model on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_fetch
short_description: Bring models to a host before they are served
version_added: 0.2.0
description:
  - Brings each model from a hub, or from where O(sources) says, into the host's hub cache, whole, where the engines
    look for it. The host fetches it itself, in a unit of its own systemd (C(gpufleet-fetch@NAME.service)) that goes on
    when the control node is gone, and this task follows it. On a terminal there is a line every few seconds, else one a
    minute.
  - Files come several at a time and in ranges. A download that was cut off goes on at the byte where it stood, also
    after a reboot. The hash of each file is compared with the hub's, and only what is wrong is fetched again.
  - A model is fetched once at a time on a host, however many ask for it. Who asks for it meanwhile joins.
  - A file that is whole is not fetched, and not hashed again while its inode, size and times are the same.
  - The links and the reference of a revision are made when all its files are whole, so that no engine finds a part of
    it. What was there before goes on serving, whatever fails.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.host_program
requirements:
  - systemd on the host
  - Python 3.9 or newer as C(/usr/bin/python3) on the host
options:
  models:
    description: The models. One that is listed twice is fetched once.
    type: list
    elements: dict
    default: []
    suboptions:
      model:
        description: Its id in the hub, such as V(Qwen/Qwen2.5-7B-Instruct-AWQ).
        type: str
        required: true
      revision:
        description: A commit, branch or tag. Empty is what the hub has as C(main).
        type: str
        default: ""
      code:
        description: Bring the model's own Python code too, which an engine runs with C(trust_remote_code) only.
        type: bool
        default: false
      pickles:
        description: Take weights that are pickle files, where there are no others. They can carry code.
        type: bool
        default: false
      gguf:
        description: The one GGUF file to take, by its name.
        type: str
        default: ""
  instances:
    description:
      - The instances as M(gpufleet.vllm.vllm_plan) takes them, whose models are brought at the C(revision) of each, and
        the models that C(speculative_config) of their C(engine_args) names. Those that are paths are left alone.
    type: list
    elements: dict
    default: []
  allow_code:
    description: Models of O(instances) whose own Python code comes along, a list; V(true) is all of them.
    type: raw
    default: []
  allow_dangerous:
    description:
      - What instances are allowed, as M(gpufleet.vllm.vllm_plan) takes it. With V(trust_remote_code) in it the own
        Python code of the models of all O(instances) comes along.
    type: raw
    default: []
  allow_pickles:
    description: Models whose weights may be pickle files, which can carry code.
    type: list
    elements: str
    default: []
  sources:
    description:
      - Where models come from that no hub has, by the name of each, a mapping. An address of a folder at a web server
        or in a bucket, the path of a folder or a tar on the host, or C(control_node:) and such a path on the control
        node. They are placed as the hub's own are, and the digest of their content is their commit.
      - What the control node has goes to the host over the connection, in pieces, each file from the byte where it
        stands. What is there whole is not sent.
      - An address serves C(SHA256SUMS) beside the files. Where it does not, their lengths alone are compared, and the
        result says so.
    type: raw
    default: {}
  bundle:
    description:
      - Folder of a bundle on the host, as M(gpufleet.vllm.vllm_bundle) makes it. Models come from there, in the place
        of a hub or an address, and nobody is asked. One that lies on the host by O(sources) comes from there.
    type: str
    default: ""
  hub_dir:
    description: The host's hub cache, the folder that holds C(models--ORGANISATION--NAME).
    type: path
    default: /var/cache/gpufleet/hub
  endpoint:
    description: The hub to fetch from, or a mirror that speaks its protocol.
    type: str
    default: https://huggingface.co
  token:
    description:
      - A token of the hub, for gated and private models. It goes to the host over the connection's standard input, and
        from there to the O(endpoint) alone, never to where that redirects. It is in no command line, environment,
        journal or result.
    type: str
    default: ""
  verify:
    description: V(full) hashes every file again, V(quick) those that have changed since they were hashed.
    type: str
    choices: [quick, full]
    default: quick
  files_at_once:
    description: How many files are fetched at a time, 1 to 16.
    type: int
    default: 4
  bandwidth:
    description: The most that a download takes, in MB a second. V(0) is no bound.
    type: float
    default: 0
  peers:
    description:
      - Other hosts that may have what is missing, as C(ADDRESS:PORT). They are asked by the hash of a content before
        the hub is, which alone says what a revision is. What they send is hashed as what the hub sends. One that does
        not answer costs 10 s once; then the hub is asked. O(serve_at) itself is left out.
    type: list
    elements: str
    default: []
  serve_at:
    description:
      - Where the host lets others read what it has, as C(ADDRESS:PORT), after its models have come. It serves in a unit
        of its own (C(gpufleet-share.service)), over HTTP without TLS, and ends when nobody has asked for 15 minutes.
        Empty is nowhere, and ends what still serves there.
    type: str
    default: ""
  serve_to:
    description:
      - Networks whose hosts may read at O(serve_at), such as V(192.0.2.0/24). Nobody else gets an answer. Whoever may
        read gets contents of all models in O(hub_dir), those of gated ones too, if they know their hash.
    type: list
    elements: str
    default: []
  request:
    description: What the host shall fetch. Set by the action.
    type: dict
  share:
    description: Where and to whom the host shall serve. Set by the action.
    type: dict
  shares:
    description: Whether the host goes on to serve, where it does. Set by the action.
    type: bool
    default: true
  look:
    description: Whether the host only says what is missing, because that is sent to it. Set by the action.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says how many files and bytes are missing, and writes nothing. The hub is asked by the host.
  diff_mode:
    support: none
    description: There are no texts to compare.
  idempotent:
    support: full
    description: A model that is whole is not fetched.
seealso:
  - module: gpufleet.vllm.vllm_model
"""

EXAMPLES = r"""
- name: Bring a model
  gpufleet.vllm.vllm_fetch:
    models:
      - model: Qwen/Qwen2.5-7B-Instruct-AWQ
        revision: b25037543e9394b818fdfca67ab2a00ecc7dd641
    bandwidth: 200
"""

RETURN = r"""
msg:
  description: What became of each model, a sentence each.
  returned: always
  type: list
  elements: str
models:
  description: What was asked for, in its order.
  returned: always
  type: list
  elements: dict
  contains:
    model:
      description: Its id.
      type: str
    revision:
      description: The revision as asked.
      type: str
    commit:
      description: The commit that it stands for; empty where the hub did not say.
      type: str
    changed:
      description: Whether anything had to be fetched or put right.
      type: bool
    outcome:
      description: V(whole), or V(failed). In check mode V(missing) where something would be fetched.
      type: str
    detail:
      description: What became of it, a sentence.
      type: str
    missing_files:
      description: Files that were not there whole.
      type: int
    missing_bytes:
      description: Bytes of them that were missing.
      type: int
    received_bytes:
      description: Bytes that came over the network.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.installing import install, program_needed
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.units import UnitProblem
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import unit
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import resolver
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.looking import look


def main() -> None:
    model = {
        "model": {"type": "str", "required": True},
        "revision": {"type": "str", "default": ""},
        "code": {"type": "bool", "default": False},
        "pickles": {"type": "bool", "default": False},
        "gguf": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "models": {"type": "list", "elements": "dict", "default": [], "options": model},
            "instances": {"type": "list", "elements": "dict", "default": []},
            "allow_code": {"type": "raw", "default": []},
            "allow_dangerous": {"type": "raw", "default": []},
            "allow_pickles": {"type": "list", "elements": "str", "default": []},
            "sources": {"type": "raw", "default": {}},
            "bundle": {"type": "str", "default": ""},
            "hub_dir": {"type": "path", "default": "/var/cache/gpufleet/hub"},
            "endpoint": {"type": "str", "default": "https://huggingface.co"},
            "token": {"type": "str", "default": "", "no_log": True},
            "verify": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
            "files_at_once": {"type": "int", "default": 4},
            "bandwidth": {"type": "float", "default": 0},
            "peers": {"type": "list", "elements": "str", "default": []},
            "serve_at": {"type": "str", "default": ""},
            "serve_to": {"type": "list", "elements": "str", "default": []},
            "request": {"type": "dict"},
            "share": {"type": "dict"},
            "shares": {"type": "bool", "default": True},
            "look": {"type": "bool", "default": False},
            "program_digest": {"type": "str"},
            "program_source": {"type": "path"},
        },
        supports_check_mode=True,
    )
    request, token = module.params["request"], module.params["token"]
    if module.check_mode:
        module.exit_json(changed=False, found=look(request, resolver(request, token, keep=False)))
    try:
        if module.params["program_source"]:
            install(module)
        if program_needed(module):
            module.exit_json(changed=False, program_needed=True)
        if module.params["share"]:
            unit.share(module.run_command, **module.params["share"])
            module.exit_json(changed=False)
        if module.params["look"]:
            module.exit_json(changed=False, found=look(request, resolver(request, token)))
        if not module.params["shares"]:
            unit.unshare(module.run_command)
        module.exit_json(changed=True, started=unit.start(module.run_command, request, token))
    except UnitProblem as problem:
        module.fail_json(msg=str(problem))
    except OSError as error:
        module.fail_json(msg=f"nothing was fetched, because what is asked for cannot be written down: {error}.")


if __name__ == "__main__":
    main()
