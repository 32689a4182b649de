# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of settings: arguments, variables, and what a release of vLLM or a model does not take.

The texts are those of the vLLM sources from 0.5.5 on, of argparse and of pydantic.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_ARGUMENT = r"error: argument --(?P<flag>[\w.-]+)(?:/[^:]{0,60})?: "

KINDS: tuple[Kind, ...] = (
    Kind(
        "flag.unknown",
        "an argument that this release does not have",
        "This release of vLLM has no such argument: remove it, correct its name, or use an image whose release has it.",
        (
            Case(
                r"error: unrecognized arguments:.{0,300}--task\b",
                "This release has no task: say runner (generate, pooling) and, where a model is made to do what it was "
                "not made for, convert (embed, classify).",
            ),
            Case(r"error: unrecognized arguments:"),
        ),
    ),
    Kind(
        "flag.ambiguous",
        "a shortened argument that could be several",
        "Write the argument's full name.",
        (Case(r"error: ambiguous option:"),),
    ),
    Kind(
        "flag.choice",
        "a value that is none of an argument's choices",
        "Use one of the choices that the line lists.",
        (
            Case(r"error: argument .{0,200}invalid choice:"),
            Case(r"Input should be '[^']*'(?:, '[^']*')* or '"),
            Case(r"ValueError: Invalid value '[^']*' (?:for|in) VLLM_\w+\. Valid options"),
            Case(
                r"Unknown Mamba SSU backend",
                "Set mamba_backend to one of the values that the line lists, or leave it out.",
            ),
            Case(
                r"(?:Invalid|Unknown|Unsupported) attention backend|Attention backend '\w+' has been removed",
                "This release has no such attention backend: correct {set}, or leave it out.",
                set_by=("attention_backend", "attention_config", "mm_encoder_attn_backend", "VLLM_ATTENTION_BACKEND"),
            ),
            Case(
                r"(?:Invalid|Unknown|Unsupported) attention backend|Attention backend '\w+' has been removed",
                "This release has no such attention backend: correct attention_backend (VLLM_ATTENTION_BACKEND before "
                "0.12), or leave it out.",
            ),
            Case(r"(?:Unknown|Invalid) .{1,120}Valid (?:options|modes|kinds|layouts|values)(?: are)?: "),
            Case(
                r"^(?!.{0,80}quant)(?:\w+\.)*(?:Value error, |\w+Error: )(?:Unknown|Unrecognized|Invalid|Unsupported) "
                r".{1,160}?(?:[Ss]upported values are|(?:[Ee]xpected|[Mm]ust be) one of|Valid \w+ are)"
            ),
            Case(r"^(?:Value error, |ValueError: )(?!.{0,80}quant)[\w. `']{1,60} must be one of \W"),
            Case(
                r"Unknown config format `(?P<format>[^`]{1,60})`",
                "This release has no config_format {format}: correct it, or leave it out, and vLLM finds the format.",
            ),
        ),
    ),
    Kind(
        "flag.type",
        "a value of another type than the argument takes",
        "Correct the value's type: the line says which is wanted (a mapping is written as one in `engine_args`).",
        (
            Case(
                _ARGUMENT
                + r"(?:[Ii]nvalid (?:JSON|[^:]{0,80} value)|expected |\d+ validation error|Value .{0,200} cannot be)",
                "Correct the type of {flag}: the line says which is wanted (a mapping is written as one, "
                "with its keys, "
                "in `engine_args`).",
            ),
            Case(r"error: argument [^:]{1,200}: (?:invalid [^:]{0,80} value|expected |\d+ validation error)"),
            Case(
                _ARGUMENT + r"ignored explicit argument",
                "{flag} takes no value behind it: write it in `engine_args` as true or false, and it is passed as the "
                "flag alone, or as its --no- form.",
            ),
            Case(r"Input should be (?:a valid|an instance of|an object|a finite|greater|less)"),
            Case(r"type=(?:dataclass_type|int_type|bool_type|float_type|string_type|int_parsing|bool_parsing)\b"),
            Case(
                # vllm/model_executor/model_loader: default_loader.py, runai_streamer_loader.py.
                r"(?:enable_multithread_load|num_threads|concurrency|memory_limit|distributed) must be an? ",
                "Correct that key in model_loader_extra_config: the line says which type it takes.",
            ),
            Case(
                r"invalid literal for int\(\) with base 10: '(?:GPU|MIG)-",
                "This release takes CUDA_VISIBLE_DEVICES as numbers alone: leave it out, since the container holds "
                "no other "
                "GPUs, or use a newer image.",
            ),
            Case(r"(?:argparse\.)?ArgumentTypeError: "),
        ),
    ),
    Kind(
        "flag.json_key",
        "a key of a mapping that this release does not know",
        "Remove the key that this release does not know, or correct its name.",
        (
            Case(
                r"validation errors? for \w{1,60}\W{1,9}(?P<key>[\w.]{1,80})\s{1,9}Unexpected keyword argument",
                "Remove {key}, which this release does not know, or correct its name.",
            ),
            Case(r"Unexpected keyword argument"),
            # What is wrong for VllmConfig as a whole is in the model's files.
            Case(r"^(?!.{0,200}validation errors? for VllmConfig).{0,900}Extra inputs are not permitted"),
            Case(
                r"Unexpected extra config keys for|is not an allowed Tensorizer argument",
                "Remove from model_loader_extra_config the keys that the line names: this load_format has no such "
                "ones.",
            ),
            Case(r"(?:EngineArgs|Config)\.__init__\(\) got an unexpected keyword argument"),
        ),
    ),
    Kind(
        "env.unknown",
        "a variable `VLLM_*` that this release does not know",
        "Remove the variable from `env`.",
        (Case(r"ValueError: Unknown vLLM environment variable detected", since="0.19.1"),),
    ),
    Kind(
        "env.port",
        "`VLLM_PORT` is no number",
        "Remove VLLM_PORT from `env`: a cluster's service discovery sets it where a service is named vllm.",
        (Case(r"VLLM_PORT '.{0,200}' (?:must be a valid integer|appears to be a URI)"),),
    ),
    Kind(
        "parser.name",
        "a parser for tools or reasoning that this release does not have",
        "Use one of the parsers that the line lists, or a newer image that has this one.",
        (
            Case(r"Reasoning parser '.{0,100}' not found"),
            Case(r"invalid (?:tool call|reasoning) parser"),
            Case(r"Tool parser '.{0,100}' not found"),
            Case(r"--enable-auto-tool-choice requires --tool-call-parser", "Set tool_call_parser."),
        ),
    ),
    Kind(
        "len.config",
        "a length that the model was not made for",
        "Set max_model_len to at most the length that the model was made for.",
        (Case(r"User-specified max_model_len .{0,40}is greater than the derived max_model_len"),),
    ),
    Kind(
        "batch.small",
        "a batch that is smaller than what it has to hold",
        "Set max_num_batched_tokens to at least the number that the line asks for, or leave it to vLLM.",
        (
            Case(
                r"max_num_batched_tokens \(?\d+\)? (?:is smaller than max_model_len|must be greater than or equal to)"
            ),
            Case(
                r"max_tokens_per_mm_item \((?P<tokens>\d+)\) is larger than max_num_batched_tokens",
                "Set max_num_batched_tokens to at least {tokens}, what one picture or video of the model takes.",
            ),
            Case(
                r"block_size \((?P<tokens>\d+)\) must be <= max_num_batched_tokens",
                "Set max_num_batched_tokens to at least {tokens}: states are kept with each block, and a block has to "
                "go into one batch. Without enable_prefix_caching (mamba_cache_mode) that is not asked.",
            ),
            Case(r"does not have enough slots to schedule a token|does not allow any tokens to be scheduled"),
        ),
    ),
    Kind(
        "tp.divide",
        "a model that does not divide by the number of GPUs",
        "Use a tensor_parallel_size that divides the model: its heads, its sizes, and its groups of quantization.",
        (
            Case(
                r"n_physical_experts=\d+ must be divisible|Adjust num_redundant_experts",
                "Set num_redundant_experts so that the experts divide by the number of GPUs, or use "
                "another number of GPUs "
                "(tensor_parallel_size times data_parallel_size).",
            ),
            Case(r"must be divisible by tensor(?: model)? parallel(?: size|ism)|too large tensor parallel size"),
            Case(
                r"(?:size_[kn]|experts|heads|hidden_size|intermediate|partition|(?:out|in)put_size|vocab|channels)"
                r".{0,80}(?:not|must|be) divisible by"
            ),
            Case(r"divisible by (?:tp_size|ep_size|world_size|BLOCK_SIZE|group_size|min_thread|weight quantization)"),
            Case(r"AssertionError: \d+ is not divisib"),
        ),
    ),
    Kind(
        "tp.gpus",
        "more ranks than GPUs",
        "Give the instance more GPUs, or a smaller tensor_parallel_size times pipeline_parallel_size.",
        (
            Case(r"World size .{0,40}is larger than the number of available GPUs"),
            Case(r"[Tt]ensor parallel size \(?\d+\)? (?:cannot be larger|exceeds)"),
            Case(r"number of required \w+ exceeds the total number of available"),
            Case(r"CUDA error: invalid device ordinal|[Ee]rror 101: invalid device ordinal"),
            Case(r"local rank \d+ is out of bounds|replica size \(\d+\) exceeds the number of visible"),
            Case(
                r"NVMLError_InvalidArgument",
                "The engine asked the driver for a GPU that the container does not have: give it as many GPUs as it "
                "has "
                "ranks (tensor_parallel_size, pipeline_parallel_size and data_parallel_size multiplied), and correct "
                "CUDA_VISIBLE_DEVICES where it is set.",
            ),
            Case(r"Cannot provide a placement group"),
            Case(r"Error computing (?:assigned_physical_gpu_ids|device indices)|is out of range for assigned_physical"),
        ),
    ),
    Kind(
        "dtype.bf16",
        "a GPU without bfloat16",
        "Set dtype to half.",
        (Case(r"Bfloat16 is only supported on GPUs with compute capability"),),
    ),
    Kind(
        "dtype.model",
        "a dtype that this model, quantization or cache does not take",
        "Set dtype to the one that the line names, or to auto.",
        (
            Case(r"The model type .{0,60} does not support float16"),
            Case(r'kv_cache_dtype="\w+" is incompatible with dtype'),
            Case(
                r"must have (?:the same )?dtype|expected scalar type \w+ but found|same dtype, but got",
                "A kernel met numbers of another type than it takes: set {set} to auto, or dtype to bfloat16.",
                set_by=("kv_cache_dtype", "dtype"),
            ),
            Case(
                r"must have (?:the same )?dtype|expected scalar type \w+ but found|same dtype, but got",
                "A kernel met numbers of another type than it takes: set dtype to bfloat16, the type that most "
                "kernels "
                "take beside an FP8 cache or quantized weights; or use another build of the model.",
            ),
            Case(r"ValueError: Unknown dtype: "),
        ),
    ),
    Kind(
        "quant.capability",
        "a quantization that needs a newer GPU",
        "Use another build of the model: this quantization needs a GPU of a higher compute capability.",
        (
            Case(r"The quantization method .{0,60} is not supported for the current GPU"),
            Case(r"(?:Quantization scheme|quantization scheme).{0,80}not supported for the current GPU"),
            Case(r"_scaled_mm is only supported on CUDA devices|requires? (?:a GPU with )?compute capability"),
            Case(
                r"(?:FP8|NVFP4|MXFP4|Marlin|marlin).{0,80}(?:not supported on|requires|"
                r"only supported (?:on|for)) .{0,40}(?:GPU|SM|capab|Ada|Hopper)"
            ),
            Case(r"No compiled \w+.{0,80}(?:kernel|CUDA device capability)"),
            Case(r"Min(?:imum)? capability:? \d+.{0,40}[Cc]urrent (?:compute )?capability"),
        ),
    ),
    Kind(
        "quant.config",
        "a quantization that is not the checkpoint's",
        "Leave quantization unset, or set it to what the model was quantized with.",
        (
            Case(
                r"does not support BitsAndBytes quantization|[Pp]re-?quant BitsAndBytes models with|"
                r"BitsAndBytes quantization with TP or PP",
                "bitsandbytes does not serve this model so: use another build of it (AWQ, GPTQ, FP8), or one GPU "
                "(tensor_parallel_size 1) where the line speaks of tensor parallelism.",
            ),
            Case(
                r"Marlin does not support weight_bits|Unsupported (?:GPTQ|AWQ|num_bits|bits)",
                "This release has no kernels for weights of so many bits: use another build of the model.",
            ),
            Case(
                # Of the library compressed-tensors.
                r"group quantization strategy|apply activation ordering",
                "This release does not take how the model was quantized (config.json): use another build of the model, "
                "or an older or newer image.",
            ),
            Case(
                r"(?P<dtype>\S+) is not supported for quantization method",
                "Set dtype to one that this quantization takes: the line says which dtype is not ({dtype}).",
            ),
            Case(
                r"Cannot find the config file for|[Mm]ethod specified in the model config|"
                r"Unknown quantization method|Quantization method is not specified in the config",
                "Leave {set} out, or set it to what the model was quantized with.",
                set_by=("quantization",),
            ),
            Case(
                r"Cannot find the config file for|[Mm]ethod specified in the model config|"
                r"Quantization method is not specified in the config",
                "The checkpoint does not say how it was quantized as this release reads it: set "
                "quantization to what it was "
                "quantized with, or use another build.",
            ),
            Case(
                r"Found unknown quantization",
                "This release does not know the quantization that the model's params.json names: use a newer image, "
                "another build of the model, or leave {set} out where the folder has a config.json too.",
                set_by=("config_format", "load_format"),
            ),
            Case(
                r"Found unknown quantization|Unknown quantization method|Unknown \w+ quant algo|"
                r"is not a supported quantization|Unsupported quanti\w+",
                "This release does not know how the model was quantized: use a newer image, or another "
                "build of the model.",
            ),
        ),
    ),
)
