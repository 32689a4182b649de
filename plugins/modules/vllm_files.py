#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what engine arguments name of a host's files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_files
short_description: Read the files besides the model that engine arguments name
version_added: 0.1.0
description:
  - Finds each path in the engine arguments of a host's instances, such as a C(chat_template), the folders of
    C(lora_modules), a C(tokenizer), a drafter or the plugin of a parser, and returns what is there, for
    M(gpufleet.vllm.vllm_plan).
  - A path that begins with a slash is on the host. V(inventory:NAME) is a single file of O(files_dir) on the control
    node.
  - A single file is a text of at most 1 MiB; its digest is the SHA-256 of its content. A folder has at most 500 files;
    its digest is one over their names, sizes and contents, where of a file above 16 MiB the first, the middle and the
    last MiB are read.
  - A link that leads out of the folder that it is in, and whatever is neither a file nor a folder, is not read.
  - Changes nothing.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
  - gpufleet.vllm.model_host
options:
  instances:
    description:
      - The instances as M(gpufleet.vllm.vllm_plan) takes them. Only their C(engine_args) and C(env) are read.
    type: list
    elements: dict
    default: []
  engine_args:
    description: Further layers of engine arguments, those of the class and of the environment.
    type: list
    elements: dict
    default: []
  profiles:
    description: Profiles by name, as M(gpufleet.vllm.vllm_plan) takes them.
    type: dict
    default: {}
  files_dir:
    description: Folder on the control node that holds the files which are brought from there.
    type: str
    default: ""
  paths:
    description: Paths on the host. Set by the action.
    type: list
    elements: str
    default: []
seealso:
  - module: gpufleet.vllm.vllm_plan
"""

EXAMPLES = r"""
- name: Read what the instances name of files
  gpufleet.vllm.vllm_files:
    files_dir: "{{ inventory_dir }}/files"
    instances:
      - name: assistant
        model: /srv/models/tiny
        port: 8000
        engine_args:
          chat_template: inventory:assistant.jinja
          enable_lora: true
          lora_modules: [sql=/srv/adapters/sql]
  register: found
"""

RETURN = r"""
files:
  description: What was found, by the path as it is written.
  returned: always
  type: dict
  contains:
    kind:
      description: V(file) or V(folder). Empty where it cannot be used.
      type: str
    digest:
      description: SHA-256 of its content.
      type: str
    bytes:
      description: Its size, of a folder that of all files in it.
      type: int
    problem:
      description: The end of a sentence that begins with the path. Empty where it can be used.
      type: str
    names:
      description: Names in a folder.
      type: list
      elements: str
    adapter:
      description:
        - What the C(adapter_config.json) of a folder says of rank and base model, and its weights of the width and the
          number of the layers that they are for. Null where there is none.
      type: dict
    model:
      description: What M(gpufleet.vllm.vllm_model) would return for a folder with a C(config.json). Null for others.
      type: dict
    tokenizer:
      description:
        - What the C(tokenizer.json) of a folder knows, C(tokens) and, with those that were added, C(with_added), each
          one more than the largest number of a token. Null where there is none.
      type: dict
    unreadable:
      description: Why a single file is no chat template (C(template)) or no JSON (C(json)), if it is none.
      type: dict
    source:
      description: Its place on the control node, for one that is brought from there.
      type: str
  sample:
    /srv/templates/chat.jinja:
      kind: file
      digest: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      bytes: 1482
      problem: ""
      names: []
      adapter: null
      model: null
      tokenizer: null
      unreadable: {json: "is no valid JSON (Expecting value: line 1 column 1 (char 0))"}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "dict", "default": []},
            "engine_args": {"type": "list", "elements": "dict", "default": []},
            "profiles": {"type": "dict", "default": {}},
            "files_dir": {"type": "str", "default": ""},
            "paths": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, files={path: look(path) for path in module.params["paths"]})


if __name__ == "__main__":
    main()
