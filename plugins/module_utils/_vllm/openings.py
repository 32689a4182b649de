# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments and variables that open something: what each opens, and how it is known.

Source: `vllm/...` are files of vLLM, read as released; `guide` is vLLM's own docs/usage/security.md. Not here
is what only narrows (`VLLM_PLUGINS`, `allowed_origins`), what the planner refuses of everybody (spellings.OURS: TLS,
`uds`, `config`, API keys), and what runs code only together with trust_remote_code (`hf_overrides`, `tokenizer`).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._settings.names import meant

ALLOW = "vllm_server_allow_dangerous"
TRUST = "trust_remote_code"


@dataclasses.dataclass(frozen=True)
class Opening:
    """`name` is an argument, `argument.key` a key of its document at any depth, or a variable.

    `opens` ends the sentence that begins with `it`. `switch`: it is off at 0 and false, too. `only` and `unless` are
    patterns of whole values that open something and that do not.
    """

    name: str
    opens: str
    source: str
    switch: bool = False
    only: str = ""
    unless: str = ""


def _switch(name: str, opens: str, source: str) -> Opening:
    return Opening(name, opens, source, switch=True)


IMPORT_PATH = r"[^\W\d]\w*(\.[^\W\d]\w*)+"
IMPORTS = "imports a Python object by its path and runs it in the engine"
RUNS_FILE = "runs a Python file in the server"
MODULE = "imports a Python module by its path and runs it in the engine"
LIBRARY = "loads this shared library into the engine's processes"
COMPILED = "runs compiled code from that folder, so that whoever can write to it runs code in the engine"
PEERS = "hands prompts as KV cache or embeddings to peers and takes theirs, over ports that ask for no password"
HOSTS = "joins engines of several hosts over ports that ask for no password and run what they are sent"
# A root path that is no beginning of a path for which vLLM asks for the key.
GUARDED = ("v1", "v2", "inference", "cohere")
BEGINNINGS = "|".join(word[:end] for word in GUARDED for end in range(1, len(word) + 1))
OWN_PATH = rf"(?!/({BEGINNINGS})$)(?!/({'|'.join(GUARDED)})/)(/[\w.-]+)+/?"

ARGUMENTS: t.Final[tuple[Opening, ...]] = (
    _switch(TRUST, "runs the Python code that lies beside the model's weights", "vllm/config/model.py"),
    # Code by an import path or a file.
    Opening("middleware", "puts a Python object of your own in the way of every request",
            "vllm/entrypoints/common/cli_args.py"),
    Opening("worker_cls", IMPORTS, "vllm/v1/worker/worker_base.py", unless="auto"),
    Opening("worker_extension_cls", IMPORTS, "vllm/v1/worker/worker_base.py"),
    Opening("scheduler_cls", IMPORTS, "vllm/config/scheduler.py"),
    Opening("distributed_executor_backend",
            f"{IMPORTS}; ray starts servers that run what they are sent without a password",
            "vllm/v1/executor/abstract.py", unless="mp|uni|external_launcher"),
    Opening("data_parallel_backend", "starts Ray's servers, which run what they are sent without a password",
            "vllm/config/parallel.py", unless="mp"),
    Opening("logits_processors", IMPORTS, "vllm/v1/sample/logits_processor/__init__.py"),
    Opening("logits_processor_pattern", "lets requests name Python objects that are imported",
            "help of vLLM 0.16.0"),
    Opening("model_class_overrides", IMPORTS, "vllm/config/model.py"),
    Opening("io_processor_plugin", "hands requests to a plugin of the image", "vllm/plugins/io_processors/__init__.py"),
    Opening("tool_parser_plugin", RUNS_FILE, "vllm/tool_parsers/abstract_tool_parser.py"),
    Opening("reasoning_parser_plugin", RUNS_FILE, "vllm/reasoning/abs_reasoning_parsers.py"),
    Opening("structured_outputs_config.reasoning_parser_plugin", RUNS_FILE, "vllm/config/structured_outputs.py"),
    Opening("log_config_file", "imports and calls the Python objects that the file names", "vllm/config/logging.py"),
    Opening("logging_config.pylogging_config_file", "imports and calls the Python objects that the file names",
            "vllm/config/logging.py"),
    Opening("compilation_config.backend", IMPORTS, "vllm/config/compilation.py", only=IMPORT_PATH),
    Opening("compilation_config.inductor_passes", IMPORTS, "vllm/config/compilation.py"),
    Opening("compilation_config.cache_dir", COMPILED, "guide, vllm/config/compilation.py"),
    Opening("speculative_config.method", IMPORTS, "vllm/v1/spec_decode/custom_class_proposer.py", only="custom_class"),
    Opening("speculative_config.model", IMPORTS, "vllm/config/speculative.py", only=IMPORT_PATH),
    Opening("spec_method", IMPORTS, "vllm/engine/arg_utils.py", only="custom_class"),
    Opening("spec_model", IMPORTS, "vllm/engine/arg_utils.py", only=IMPORT_PATH),
    Opening("ec_manager_config.encoder_cache_manager_cls", IMPORTS, "vllm/config/ec_manager_config.py"),
    Opening("kv_transfer_config.kv_connector_module_path", MODULE, "vllm/config/kv_transfer.py"),
    Opening("kv_transfer_config.spec_module_path", MODULE, "vllm/v1/kv_offload/factory.py"),
    Opening("kv_transfer_config.cache_policy_module_path", MODULE, "vllm/v1/kv_offload/cpu/policies/factory.py"),
    Opening("kv_transfer_config.module_path", MODULE, "vllm/v1/kv_offload/tiering/factory.py"),
    Opening("ec_transfer_config.ec_connector_module_path", MODULE, "vllm/config/ec_transfer.py"),
    Opening("load_format",
            "unpickles weights: a pickle can carry code, and torch's check of it has been passed by before "
            "(CVE-2025-32434)",
            "vllm/model_executor/model_loader/weight_utils.py", only="pt|npcache|ipc_cache"),
    # Files and networks that requests reach.
    Opening("allowed_local_media_path",
            "lets requests read the pictures, sound and films of that folder in the container",
            "vllm/multimodal/media/connector.py"),
    Opening("tool_server", "lets what the model writes call tools; demo runs Python that the model wrote", "guide"),
    Opening("kv_transfer_config.kv_connector", PEERS, "guide", unless="OffloadingConnector|SimpleCPUOffloadConnector"),
    Opening("ec_transfer_config.ec_connector", PEERS, "guide"),
    _switch("kv_events_config.enable_kv_cache_events",
            "publishes the tokens of prompts on a port that asks for no password", "vllm/config/kv_events.py"),
    Opening("master_addr", HOSTS, "guide", unless=r"127\.0\.0\.1|localhost|::1"),
    Opening("data_parallel_address", HOSTS, "guide", unless=r"127\.0\.0\.1|localhost|::1"),
    # What requests may do to the server.
    _switch("trust_request_chat_template", "renders templates that requests bring, which are programs",
            "vllm/entrypoints/common/cli_args.py"),
    _switch("trust_request_mm_kwargs", "lets requests choose how much memory and time their media take",
            "vllm/entrypoints/common/cli_args.py"),
    _switch("enable_prompt_embeds",
            "takes tensors from requests, and wrong ones end the engine or worse (CVE-2025-62164)",
            "vllm/config/model.py"),
    _switch("enable_mm_embeds", "takes tensors from requests, and wrong ones end the engine",
            "vllm/config/multimodal.py"),
    Opening("profiler_config.profiler", "lets everybody start and stop a profiler, without a key", "guide"),
    Opening("weight_transfer_config", "prepares the paths on which others replace the model's weights, without a key",
            "guide"),
    _switch("enable_fault_tolerance", "lets everybody tell the engine's ranks to pause and recover, without a key",
            "vllm/entrypoints/serve/fault_tolerance/api_router.py"),
    _switch("tokens_only", "lets everybody end the requests of others, without a key", "guide"),
    _switch("enable_tokenizer_info_endpoint",
            "tells everybody the chat template and the tokenizer's settings, without a key", "guide"),
    _switch("allow_credentials",
            "lets web pages of every allowed origin, which are all by default, act as who is logged in",
            "vllm/entrypoints/serve/middleware/register.py"),
    Opening("root_path",
            "is cut off a path before vLLM looks whether to ask for the API key, so that / or the beginning "
            "of a path of vLLM's own opens what the key guards",
            "vllm/entrypoints/serve/middleware/authenticate.py", unless=OWN_PATH),
    # What clients say, written down.
    _switch("enable_log_requests",
            "writes every request to the log, at level DEBUG and in older releases with its prompt",
            "vllm/engine/arg_utils.py"),
    _switch("enable_log_outputs", "writes every answer to the log", "vllm/entrypoints/common/cli_args.py"),
)  # fmt: skip

LOADER, PYTHON, TOOLCHAIN = "ld.so(8)", "Python's documentation", "documentation of what reads it"
VARIABLES: t.Final[tuple[Opening, ...]] = (
    _switch("VLLM_SERVER_DEV_MODE",
            "opens paths that run methods of the engine, stop it and show its settings, without a key", "guide"),
    _switch("VLLM_ALLOW_INSECURE_SERIALIZATION",
            "lets the engine's processes unpickle what they are sent, which can be code", "vllm/v1/serial_utils.py"),
    _switch("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "lets requests load adapters from any path or hub and take them away",
            "guide"),
    Opening("VLLM_LORA_RESOLVER_CACHE_DIR", "lets a request's model name load an adapter of that name from the folder",
            "vllm/envs.py"),
    Opening("VLLM_LORA_RESOLVER_HF_REPO_LIST", "lets a request's model name load an adapter of that name from a hub",
            "vllm/envs.py"),
    _switch("VLLM_ENABLE_RESPONSES_API_STORE",
            "keeps what clients and model say in memory without an end, for who has its id", "vllm/envs.py"),
    Opening("VLLM_MODEL_REDIRECT_PATH", "serves other weights than those that were planned and checked",
            "vllm/transformers_utils/utils.py"),
    Opening("VLLM_TORCH_PROFILER_DIR", "lets everybody start and stop a profiler, without a key", "guide"),
    _switch("VLLM_TORCH_CUDA_PROFILE", "lets everybody start and stop a profiler, without a key", "guide"),
    _switch("VLLM_DEBUG_LOG_API_SERVER_RESPONSE", "writes every answer to the log", "vllm/envs.py"),
    Opening("VLLM_REQUEST_BODY_LOG_LEVEL",
            "writes what clients send to the log, prompts with it, at another level than DEBUG",
            "vllm/entrypoints/serve/utils/request_logger.py", unless="debug"),
    Opening("VLLM_LOGGING_CONFIG_PATH", "imports and calls the Python objects that the file names", "vllm/logger.py"),
    Opening("VLLM_NCCL_SO_PATH", LIBRARY, "vllm/utils/nccl.py"),
    Opening("VLLM_CUDART_SO_PATH", LIBRARY, "vllm/distributed/device_communicators/cuda_wrapper.py"),
    Opening("VLLM_CUDA_COMPATIBILITY_PATH", "loads the CUDA driver's libraries from that folder",
            "vllm/env_override.py"),
    Opening("VLLM_RUST_FRONTEND_PATH", "starts this program in front of the engine",
            "vllm/entrypoints/cli/serve.py", unless="auto"),
    Opening("VLLM_CACHE_ROOT", COMPILED, "guide"),
    Opening("TORCHINDUCTOR_CACHE_DIR", COMPILED, "guide"),
    Opening("TRITON_CACHE_DIR", COMPILED, "guide"),
    Opening("XDG_CACHE_HOME", COMPILED, "guide"),
    Opening("TORCH_EXTENSIONS_DIR", COMPILED, TOOLCHAIN),
    Opening("FLASHINFER_WORKSPACE_BASE", COMPILED, TOOLCHAIN),
    Opening("HF_MODULES_CACHE", "imports the Python code of models from that folder", TOOLCHAIN),
    _switch("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "lets weight files that are pickles run code", TOOLCHAIN),
    Opening("LD_PRELOAD", LIBRARY, LOADER),
    Opening("LD_AUDIT", LIBRARY, LOADER),
    Opening("LD_LIBRARY_PATH", "loads shared libraries from other folders than the image's", LOADER),
    Opening("GCONV_PATH", LIBRARY, "iconv(3)"),
    Opening("OPENSSL_CONF", "loads the shared libraries that the file names", TOOLCHAIN),
    Opening("OPENSSL_MODULES", "loads shared libraries from that folder", TOOLCHAIN),
    Opening("PATH", "finds programs in other folders than the image's", TOOLCHAIN),
    Opening("BASH_ENV", "runs a file in every shell script", TOOLCHAIN),
    Opening("PYTHONPATH", "imports Python modules from other folders than the image's", PYTHON),
    Opening("PYTHONHOME", "takes another Python library than the image's", PYTHON),
    Opening("PYTHONUSERBASE", "imports Python modules from other folders than the image's", PYTHON),
    Opening("PYTHONPYCACHEPREFIX", "runs compiled Python from that folder", PYTHON),
    Opening("PYTHONSTARTUP", "runs a Python file in every interactive Python", PYTHON),
    Opening("PYTHONOPTIMIZE", "leaves out checks that are assertions (CVE-2026-41523)", PYTHON, unless="0"),
    Opening("CC", "starts this program as the compiler of kernels", TOOLCHAIN),
    Opening("CXX", "starts this program as the compiler of kernels", TOOLCHAIN),
    Opening("CUDA_HOME", "starts the compilers of that folder", TOOLCHAIN),
    Opening("TRITON_PTXAS_PATH", "starts this program as the assembler of kernels", TOOLCHAIN),
    Opening("CUDA_INJECTION64_PATH", LIBRARY, TOOLCHAIN),
    Opening("NCCL_NET_PLUGIN", LIBRARY, TOOLCHAIN, unless="none"),
    Opening("NCCL_TUNER_PLUGIN", LIBRARY, TOOLCHAIN, unless="none"),
    Opening("NCCL_PROFILER_PLUGIN", LIBRARY, TOOLCHAIN, unless="none"),
    Opening("NVIDIA_VISIBLE_DEVICES", "gives the container GPUs that were not planned for it",
            TOOLCHAIN, unless="void|none"),
)  # fmt: skip

LISTED = " docs/dangers.md lists the names."
NAMES: t.Final = frozenset(row.name for row in (*ARGUMENTS, *VARIABLES))


def unknown(key: str, allowed: t.Iterable[str]) -> list[str]:
    """A sentence for each name that allows nothing."""
    return [
        f"{key} has {name!r}, which is nothing that has to be allowed.{meant(name, NAMES) or LISTED}"
        for name in allowed
        if name not in NAMES
    ]
