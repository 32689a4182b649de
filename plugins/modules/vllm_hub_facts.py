#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action vllm_hub_facts, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_hub_facts
short_description: Ask the hub about models that are not on a host yet
version_added: 0.2.0
description:
  - Adds to what M(gpufleet.vllm.vllm_model) found on a host what the hub knows of the models that are not there, so
    that they are planned by their own C(config.json) and the sizes of their own weights.
  - Asks for the list of files, for C(config.json) and for the headers of safetensors files, some hundred kB in all. No
    weight is fetched.
  - A hub that is away, or refuses, fails nothing. The model is as it was, with a note that says why. All questions for
    one host end within 20 seconds; that a hub is away holds for two minutes, and for all hosts.
  - Facts of a commit are kept in C($XDG_CACHE_HOME/gpufleet.vllm/hub), C(~/.cache) where that is unset. In check mode
    nothing is written there.
  - Proxies are taken from C(HTTPS_PROXY), C(HTTP_PROXY) and C(NO_PROXY) of the control node, certificates of one's own
    from C(SSL_CERT_FILE).
  - Runs on the control node and opens no connection to the host.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
options:
  instances:
    description: The instances of the host, each with its C(model) and C(revision).
    type: list
    elements: dict
    required: true
  models:
    description: What M(gpufleet.vllm.vllm_model) returned as C(models).
    type: dict
    required: true
  sources:
    description: Where models come from that no hub has, by the name of each. No hub is asked about them.
    type: raw
    default: {}
  endpoint:
    description: The hub, or a mirror that speaks its protocol.
    type: str
    default: https://huggingface.co
  token:
    description: A token of the hub, for models that are gated or private. It is sent to the endpoint alone.
    type: str
    default: ""
seealso:
  - module: gpufleet.vllm.vllm_model
  - module: gpufleet.vllm.vllm_plan
"""

EXAMPLES = r"""
- name: Ask the hub about models that are not on the host
  gpufleet.vllm.vllm_hub_facts:
    instances: "{{ instances }}"
    models: "{{ found.models }}"
  register: known
"""

RETURN = r"""
models:
  description: >-
    O(models). One that was asked for has C(config) and C(weights) as M(gpufleet.vllm.vllm_model) has them, and C(hub).
  returned: always
  type: dict
  contains:
    hub:
      description: Where they are from. Only with what a hub has said.
      type: dict
      contains:
        endpoint:
          description: The hub.
          type: str
        commit:
          description: The commit that the revision stands for.
          type: str
        files:
          description: Files that serving needs.
          type: int
        bytes:
          description: Their size.
          type: int
"""
