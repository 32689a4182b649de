#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a host holds of models."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_model
short_description: Read what a host holds of models, without reading their weights
version_added: 0.1.0
description:
  - Finds each model on the host, by its absolute path or in the host's Hugging Face hub cache, and returns its
    C(config.json), the number, size and data types of its weights, and what is wrong with its files.
  - Of safetensors files only the headers are read (kilobytes), and compared with the files' sizes, so that a download
    that was cut off is found before a server fails on it.
  - Changes nothing and needs no network.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
  - gpufleet.vllm.model_host
options:
  models:
    description:
      - Ids of the hub such as V(Qwen/Qwen2.5-7B-Instruct-AWQ), or absolute paths of folders that hold a C(config.json).
    type: list
    elements: str
    required: true
  hub_dir:
    description:
      - The host's hub cache, the folder that holds C(models--ORGANISATION--NAME).
      - Models with an id are not looked for where this is empty.
    type: str
    default: ""
  revisions:
    description:
      - Revisions by model id, a commit, branch or tag. A model without one is read at what the cache has as C(main).
    type: dict
    default: {}
  references:
    description: Branches and tags of which it is said which commit they stand for on the host.
    type: list
    elements: str
    default: []
  observed:
    description:
      - What M(gpufleet.vllm.gpu_facts) returned as RV(gpufleet.vllm.gpu_facts#module:models) since the models were last
        touched. Where it holds everything that is asked here, the host is not asked again.
    type: dict
    default: {}
seealso:
  - module: gpufleet.vllm.vllm_plan
"""

EXAMPLES = r"""
- name: Read the models of this host
  gpufleet.vllm.vllm_model:
    models:
      - /srv/models/tiny
      - Qwen/Qwen2.5-7B-Instruct-AWQ
    hub_dir: /var/lib/gpufleet/hub
  register: found

- name: Say what is wrong with them
  ansible.builtin.debug:
    msg: "{{ found.models | dict2items | map(attribute='value.problems') | flatten }}"
"""

RETURN = r"""
models:
  description: What was found, by the model's id or path as given.
  returned: always
  type: dict
  contains:
    path:
      description: The folder on the host; null where the model is not there.
      type: str
    revision:
      description: Commit of the snapshot in the hub cache; null for a path.
      type: str
    references:
      description: By those of O(references) that the hub cache has, the commit that each stands for there.
      type: dict
    config:
      description: The content of C(config.json); null where it is missing or damaged.
      type: dict
    weights:
      description: Null where there are no whole safetensors files.
      type: dict
      contains:
        files:
          description: Number of safetensors files.
          type: int
        bytes:
          description: >-
            Size of all tensors in bytes. An output head that is the input embedding once more (C(tie_word_embeddings)
            in C(config.json)) is not counted, as it is not loaded.
          type: int
        parameters:
          description: Elements of all tensors. Packed quantized weights count as they are stored.
          type: int
        dtypes:
          description: Elements by data type, as the headers call it.
          type: dict
          sample: {BF16: 7615616512}
    problems:
      description: One sentence for each thing because of which the model cannot be served as it is there.
      type: list
      elements: str
    without_weights:
      description: That one of C(problems) which says that there are no weights; null where there is none such.
      type: str
    notes:
      description: >-
        One sentence for each thing worth knowing. The model is not in the hub cache yet, it brings its own Python code,
        its weights are pickle files only.
      type: list
      elements: str
  sample:
    /srv/models/tiny:
      path: /srv/models/tiny
      revision: null
      references: {}
      config: {model_type: llama}
      weights: {files: 1, bytes: 1052672, parameters: 526336, dtypes: {BF16: 526336}}
      problems: []
      without_weights: null
      notes: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.held import held


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "models": {"type": "list", "elements": "str", "required": True},
            "hub_dir": {"type": "str", "default": ""},
            "revisions": {"type": "dict", "default": {}},
            "references": {"type": "list", "elements": "str", "default": []},
            "observed": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    asked = {name: module.params[name] for name in ("models", "hub_dir", "revisions", "references")}
    module.exit_json(changed=False, models=held(**asked))


if __name__ == "__main__":
    main()
