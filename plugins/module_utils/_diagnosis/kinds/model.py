# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of the model, of what the image knows of it, and of folders and ports.

The texts are those of vLLM, transformers, tokenizers, safetensors, huggingface_hub and Python.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_UNKNOWN_ARCHITECTURE = r"does not recognize this architecture|Model architectures? .{0,200}not supported for now"
_DRAFTER = (
    "This release does not know the architecture of the drafter that speculative_config names: use a drafter or a "
    "method that it knows, do without speculative_config, or use a newer image."
)
_NO_FOLDER = (
    "The path that the line names is no folder with a model in the container, and so it was taken for a name on the "
    "Hub: put the model there on the host, or correct the path."
)
_LOADING = r"\bin (?:load_weights|\w*weight_loader\w*|_load_module|_load_param)\b"

KINDS: tuple[Kind, ...] = (
    Kind(
        "model.gated",
        "the Hub does not give this model to this host",
        "The Hub wants to know who asks: accept the model's licence with an account, and give a token of "
        "it that may read (HF_TOKEN); "
        "or download the model elsewhere and put it on the host, as a path. Where it is no gated and no "
        "private model, its name "
        "is wrong.",
        (
            Case(r"GatedRepoError|gated repo|Cannot access gated|is a gated repository"),
            Case(
                r"(?:401|403) (?:Client Error|Forbidden|Unauthorized)|Access to model .{0,200} is restricted|"
                r"awaiting a review"
            ),
            Case(r"Invalid (?:username or password|user token|credentials)|LocalTokenNotFoundError"),
            Case(r"RepositoryNotFoundError|Repository Not Found for url"),
        ),
    ),
    Kind(
        "model.missing",
        "the model is not on the host, and was not fetched",
        "Put the model on the host, or correct its name.",
        (
            Case(
                r"OfflineModeIsEnabled|offline mode is enabled|outgoing traffic has been disabled",
                "The model is not on the host, and HF_HUB_OFFLINE forbids to fetch it: put the model on "
                "the host, or allow the Hub.",
            ),
            Case(
                # model_loader/runai_streamer_loader.py: a drafter in the model's own files is looked for once more.
                r"Cannot find any safetensors model weights with",
                "The loader found no file of safetensors in that folder: put them there, or use another load_format; "
                "with a drafter in the model's own files (speculative_config) it does not find them again.",
            ),
            Case(
                r"locate the files? on the Hub|couldn't connect to 'https?://|LocalEntryNotFoundError|"
                r"NameResolutionError|Temporary failure in name resolution|Failed to resolve|Max retries exceeded|"
                r"Network is unreachable|No route to host|ConnectTimeout|ReadTimeout: |Read timed out|"
                r"ConnectError: .{0,80}(?:Name or service|resolution)|CERTIFICATE_VERIFY_FAILED|ProxyError",
                "Put the model on the host, or correct its name; where the engine is to fetch it, the host "
                "has to reach the Hub "
                "(network, proxy).",
            ),
            Case(
                r"429 Client Error|Too Many Requests|50\d Server Error|CAS service error|File reconstruction error",
                "The Hub did not give the model now: give its token (HF_TOKEN), which raises its limits, "
                "try again later, or put "
                "the model on the host.",
            ),
            Case(
                r"(?:Repo id must .{0,120}|Invalid repository ID or local directory specified): '(?:/|\.\.?/|~)|"
                r"OSError: (?:/|\.\.?/|~)\S+ is not a local folder",
                _NO_FOLDER,
            ),
            Case(
                # openai_harmony fetches it; vllm#22525, harmony#95 name the variable.
                r"HarmonyError: error downloading or loading vocab|failed to download or load vocab file",
                "gpt-oss needs a vocabulary that is not among its files and that it fetches from the network: put "
                "o200k_base.tiktoken (and cl100k_base.tiktoken) into a folder on the host that is mounted, and name "
                "it "
                "in TIKTOKEN_ENCODINGS_BASE in the instance's `env`.",
            ),
            Case(r"HFValidationError: Repo id must|Repo id must (?:be|use)"),
            Case(r"is not a local folder (?:and is not a valid model|or a valid repository)"),
            Case(r"Invalid repository ID or local directory"),
            Case(
                r"does not appear to have (?:a file|files|any) named|EntryNotFoundError|"
                r"Could not locate \S+ inside"
            ),
            Case(r"RevisionNotFoundError|is not a valid git identifier"),
            Case(r"Cannot find any (?:safetensors )?model weights with|no \[?config\.json|no config file found"),
            Case(
                r"[Cc]an't load (?:image |video )?processor for|containing a preprocessor_config\.json",
                "The build has no preprocessor_config.json, which vLLM wants for what is no text: set "
                "language_model_only where it is of the text model alone; or take the file from the model that it "
                "was made of, or another build.",
            ),
            Case(r"[Cc]an't load (?:the configuration|tokenizer|the model|feature extractor|image processor)"),
            Case(
                r"FileNotFoundError: .{0,300}\.(?:safetensors|bin|gguf|tiktoken|model)'?$|"
                r"FileNotFoundError: .{0,300}(?:config|tokenizer|index)\w*\.json'?$|"
                r"No tokenizer file found in|Unable to load vocabulary from file",
                "A file of the model is not there: fetch the model again, whole, or correct its path.",
            ),
            Case(r"FileNotFoundError: Weight files referenced in index but missing"),
        ),
    ),
    Kind(
        "model.broken",
        "a file of the model is cut short, or is none",
        "Fetch the model's weights again.",
        (
            Case(r"SafetensorError|Error while deserializing header|MetadataIncompleteBuffer|InvalidHeader"),
            Case(
                r"PytorchStreamReader failed|UnpicklingError(?!: Weights only)|invalid load key|"
                r"unexpected EOF, expected"
            ),
            Case(r"Consistency check failed|IncompleteRead|should be of size \d+"),
            Case(r"version https://git-lfs|git-lfs pointer|could not parse ModelProto"),
            Case(
                r"^Exception: expected value at line 1 column 1",
                "The model's tokenizer.json is none, as where git fetched it without its large files: fetch it again.",
            ),
        ),
    ),
    Kind(
        "model.newer",
        "an image that is older than the model, or whose transformers is not the one it was made with",
        "The image does not know this model yet: use a newer image (vLLM with a newer transformers). Where "
        "the model is older than "
        "the image, the image's transformers no longer suits it: use a release of the model's time.",
        (
            Case(_UNKNOWN_ARCHITECTURE, _DRAFTER, frames=r"spec_decode/|/speculat\w+\.py"),
            Case(r"Model architectures? \['(?:Eagle|EAGLE|Medusa|MLPSpeculator|\w*MTP)\w*'", _DRAFTER),
            Case(
                r"does not recognize this architecture",
                "The image is older than the model: use a newer image (a release of vLLM with a newer transformers).",
            ),
            Case(
                r"Model architectures? .{0,200}(?:are|is) not supported for now|is not supported by the Transformers",
                "This release of vLLM does not know the model's architecture: use a newer image, or another model.",
            ),
            Case(
                r"ModelOpt currently only supports",
                "This release does not read the ModelOpt algorithm that the model's files name (quant_algo): use a "
                "newer image, or another build of the model.",
            ),
            Case(
                r"validation errors? for VllmConfig.{0,400}Extra inputs are not permitted",
                "The model's files state something, mostly of its quantization, that this release does not know (the "
                "line names it): use a newer image, or another build of the model.",
            ),
            Case(
                r"was supported in vLLM until v(?P<version>[\w.]+)",
                "vLLM has dropped this model: use an image of release {version}, or another model.",
            ),
            Case(
                r"No module named 'transformers\.models\.",
                "The image cannot import the model's code: use another image, mostly a newer one with the "
                "transformers it needs.",
            ),
            Case(
                r"has no vLLM implementation|Transformers (?:modeling )?(?:implementation|"
                r"backend).{0,40}not compatible|"
                r"Unrecognized configuration class|GGUF model with architecture \S+ is not supported|"
                r"Unknown gguf model_type",
                "This release of vLLM does not know the model's architecture: use a newer image, or "
                "another build of the model.",
            ),
            Case(
                r"untagged enum (?:ModelWrapper|PyPreTokenizerTypeWrapper|\w*Wrapper)",
                "The model's tokenizer.json is of a newer tokenizers library than the image's: use a newer image.",
            ),
            Case(
                r"has no attribute '?(?:all_special_tokens_extended|_?\w*special_tokens\w*)",
                "The image's transformers is not the one its vLLM was made for: use a newer image, or one "
                "with the transformers that "
                "its vLLM asks for.",
            ),
            Case(
                r"Tokenizer class \S+ does not exist|cannot import name .{0,80}from 'transformers|"
                r"has no attribute '\w+'.{0,40}transformers|requires transformers",
                "The image's transformers does not suit the model: use a newer image, or one with the "
                "transformers that its vLLM "
                "asks for.",
            ),
            Case(
                r"^TypeError: .{0,120}__init__\(\) (?:got|missing)|"
                r"^AttributeError: 'dict' object has no attribute 'model_",
                frames=r"/transformers/|/tokenizers/|transformers_utils|processing_\w+\.py",
            ),
            Case(r"AttributeError: .{0,80}(?:Config|Tokenizer\w*|Processor)'? (?:object )?has no attribute"),
            Case(r"KeyError: '(?:default|rope_type|type|mrope|llama3|yarn|\w+_rope)'", frames=r"rope|rotary|config"),
            Case(r"^KeyError: '\w+'", frames=r"/transformers/models/auto/"),
            Case(r"StrictDataclass\w*Error|has no attribute 'rope_(?:theta|parameters|scaling)'"),
            Case(r"rope_scaling.{0,60}must (?:have|be)|Unknown RoPE scaling type"),
        ),
    ),
    Kind(
        "model.inspect",
        "vLLM could not load its own code for the model",
        "vLLM could not load its code for this model; a line above says why, mostly a package or a library "
        "that does not suit the image. "
        "Use another image, mostly a newer one.",
        (
            Case(
                r"failed to be inspected|Error in inspecting model architecture|"
                r"models\.registry'\]' returned non-zero"
            ),
        ),
        general=True,
    ),
    Kind(
        "model.config",
        "a folder that holds no model as transformers and vLLM read it",
        "The folder holds no model in the form that vLLM reads: it wants a config.json with a model_type, "
        "and weights beside it. Name the "
        "folder that has them, set tokenizer where a GGUF file is served, or take another build of the model.",
        (
            Case(
                r"No model architectures are specified",
                "The model's config.json names no `architectures`, and so vLLM does not know which of its classes "
                "runs it: name one in hf_overrides, or take another build of the model. What only another program "
                "runs, as many models of speech and pictures, has none.",
            ),
            Case(r"Unrecognized model in|Should have a `model_type` key|KeyError: 'model_type'"),
            Case(
                r"Weights only load failed|serious vulnerability issue in `torch\.load`",
                "The model's weights are pickles, which can run code: use a build of it with safetensors.",
            ),
            Case(r"Expecting (?:value|[^:]{1,60}): line \d+ column \d+|Extra data: line \d+ column \d+"),
            Case(
                r"text_config extracted from the model config does not have|Found conflicts between 'rope_type=",
                "The model's config.json is not as this release reads it (the line says what): use another build of "
                "the "
                "model, or a newer image.",
            ),
            Case(r"Could not detect config format|Failed to load mistral"),
            Case(
                r"[Cc]ouldn't instantiate the backend tokenizer|Unrecognized (?:processing|image processor|"
                r"video processor|feature extractor)\b"
            ),
            Case(r"JSONDecodeError", frames=r"configuration_utils|transformers_utils/config"),
        ),
    ),
    Kind(
        "model.tensors",
        "a checkpoint with other tensors than this release's code for the model has",
        "The checkpoint's tensors are not those that this release knows of the model: it was quantized "
        "with another tool or is of "
        "another release. Use another build of the model, or a newer image.",
        (
            Case(r"There is no module or parameter named"),
            Case(r"Following weights were not (?:initialized|loaded) from checkpoint"),
            Case(
                r"KeyError: ['\"]?[\w.]*(?:layers|blocks|experts|model|visual|lm_head|"
                r"embed)[\w.]*\.[\w.]+['\"](?: |$)"
            ),
            Case(r"^(?:KeyError|AssertionError|AttributeError|IndexError)\b", frames=_LOADING),
            Case(
                r"^RuntimeError: (?:The size of tensor|start \(\d+\) \+ length|shape '|The expanded size)",
                frames=_LOADING,
            ),
            Case(r"Attempted to load weight .{0,80}into parameter|size mismatch for|weight shape .{0,40}mismatch"),
        ),
        general=True,
    ),
    Kind(
        "model.code",
        "a model that brings code of its own",
        "The model brings its own code: read it, and set trust_remote_code where you trust it.",
        (
            Case(r"trust_remote_code|--trust-remote-code|contains custom code which must be executed"),
            Case(
                r"requires the following packages that were not found|No module named '(?!transformers\.|vllm)\w+'",
                "The model's code needs a Python package that the image does not have: use an image that has it.",
                frames=r"dynamic_module_utils|transformers_modules",
            ),
        ),
    ),
)
