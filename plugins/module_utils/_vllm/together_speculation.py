# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of guessing ahead that releases of vLLM refuse together, as data.

Read from 0.10.0 on; SINCE is the first release that was read with it where no older one is named, UNTIL the first
without. What vLLM only warns of, or mends by itself, has no row.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .together_row import Term, Together

SPECULATIVE = "speculative_config"
METHOD = f"{SPECULATIVE}.method"
TOKENS = f"{SPECULATIVE}.num_speculative_tokens"
MODEL = f"{SPECULATIVE}.model"
PER_BATCH = f"{SPECULATIVE}.num_speculative_tokens_per_batch_size"
# Arguments that say the same as a key of speculative_config.
SHORTHANDS = (("spec_method", "method"), ("spec_model", "model"), ("spec_tokens", "num_speculative_tokens"))
NO_SHORTHANDS = tuple(Term(name, "unset") for name, _key in SHORTHANDS)
# use_eagle() of a release: each of them since it is there (dflash 0.20, dspark 0.25).
FROM_HIDDEN_STATES = ("eagle", "eagle3", "mtp", "dflash", "dspark")
OF_SPECULATION = "vllm/config/speculative.py, SpeculativeConfig"


def _stated_twice(argument: str, key: str) -> Together:
    return Together(
        f"{argument}_twice",
        (Term(argument, "stated"), Term(f"{SPECULATIVE}.{key}", "stated")),
        f"{argument} and speculative_config.{key} are one thing: keep one of them.",
        "vllm/engine/arg_utils.py, create_speculative_config",
        since=(0, 22, 0),
    )


ROWS: tuple[Together, ...] = (
    *(_stated_twice(*pair) for pair in SHORTHANDS),
    Together(
        "drafter_parallel",
        (Term(f"{SPECULATIVE}.tensor_parallel_size", "stated"),),
        "speculative_config.tensor_parallel_size is not taken: write draft_tensor_parallel_size.",
        OF_SPECULATION,
        since=(0, 16, 0),
    ),
    Together(
        "drafter_split",
        (
            Term(METHOD, "one of", ("eagle", "eagle3", "mtp", "draft_model"), "draft_model"),
            Term(f"{SPECULATIVE}.draft_tensor_parallel_size", "none of", (1, "tensor_parallel_size"), 1),
        ),
        "speculative_config.draft_tensor_parallel_size is {speculative_config.draft_tensor_parallel_size}: it is 1 or "
        "as large as tensor_parallel_size ({tensor_parallel_size}).",
        OF_SPECULATION,
    ),
    Together(
        "lookup_bounds",
        (
            Term(METHOD, "one of", ("ngram", "ngram_gpu")),
            Term(f"{SPECULATIVE}.prompt_lookup_min", "above", f"{SPECULATIVE}.prompt_lookup_max"),
        ),
        "speculative_config.prompt_lookup_min ({speculative_config.prompt_lookup_min}) is above prompt_lookup_max "
        "({speculative_config.prompt_lookup_max}): lower it.",
        OF_SPECULATION,
    ),
    Together(
        "no_guesses",
        (Term(TOKENS, "below", 1),),
        "speculative_config.num_speculative_tokens is {speculative_config.num_speculative_tokens}: the least is 1; "
        "without guesses leave speculative_config out.",
        OF_SPECULATION,
    ),
    Together(
        "guesses_of_nobody",
        (Term(TOKENS, "stated"), Term(MODEL, "unset"), Term(METHOD, "unset"), *NO_SHORTHANDS),
        "speculative_config has num_speculative_tokens and neither method nor model: name what guesses.",
        OF_SPECULATION,
        since=(0, 11, 0),
    ),
    Together(
        "drafter_missing",
        (
            Term(TOKENS, "stated"),
            Term(MODEL, "unset"),
            Term(METHOD, "one of", ("eagle", "eagle3", "draft_model", "dflash", "medusa", "mlp_speculator")),
            *NO_SHORTHANDS,
        ),
        "speculative_config.method {speculative_config.method} guesses with a model of its own, and none is named: "
        "state speculative_config.model.",
        OF_SPECULATION,
        since=(0, 11, 0),
    ),
    Together(
        "guesses_uncounted",
        # A drafter's own config.json may count (n_predict).
        (
            Term(TOKENS, "unset"),
            Term(METHOD, "one of", ("ngram", "ngram_gpu")),
            Term(PER_BATCH, "unset"),
            *NO_SHORTHANDS,
        ),
        "speculative_config.method {speculative_config.method} needs num_speculative_tokens: state how many tokens it "
        "guesses at once.",
        OF_SPECULATION,
        since=(0, 11, 0),
    ),
    Together(
        "fast_prefill_with_drafts",
        (Term("kv_sharing_fast_prefill", "true"), Term(METHOD, "one of", FROM_HIDDEN_STATES)),
        "kv_sharing_fast_prefill does not go with speculative_config.method {speculative_config.method}: leave one of "
        "them out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 10, 2),
    ),
    Together(
        "asynchronous_guesses",
        (Term("async_scheduling", "true"), Term(METHOD, "one of", ("ngram", "suffix", "medusa", "mlp_speculator"))),
        "async_scheduling does not go with speculative_config.method {speculative_config.method}: leave it out, vLLM "
        "then chooses.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 11, 1),
        # The second runner takes ngram, and the first alone is asked.
        until=(0, 33, 0),
    ),
    Together(
        "asynchronous_guesses_of_the_first_runner",
        # The second runner, which is taken by default, has neither.
        (Term("async_scheduling", "true"), Term(METHOD, "one of", ("suffix", "custom_class"))),
        "async_scheduling does not go with speculative_config.method {speculative_config.method}: leave it out, vLLM "
        "then chooses.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 33, 0),
    ),
    Together(
        "asynchronous_unpadded",
        (Term("async_scheduling", "true"), Term(f"{SPECULATIVE}.disable_padded_drafter_batch", "true")),
        "async_scheduling and speculative_config.disable_padded_drafter_batch exclude each other: leave one out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 11, 1),
        until=(0, 33, 0),
    ),
    Together(
        "argmax_of_two_vocabularies",
        (
            Term(f"{SPECULATIVE}.use_heterogeneous_vocab", "true"),
            Term(f"{SPECULATIVE}.use_local_argmax_reduction", "true"),
        ),
        "speculative_config.use_heterogeneous_vocab and use_local_argmax_reduction exclude each other: leave one out.",
        OF_SPECULATION,
        since=(0, 33, 0),
    ),
    Together(
        "too_few_guesses_for_fly",
        (Term(f"{SPECULATIVE}.rejection_sample_method", "one of", ("fly",)), Term(TOKENS, "below", 2)),
        "speculative_config.rejection_sample_method fly needs num_speculative_tokens of 2 or more, and it is "
        "{speculative_config.num_speculative_tokens}: raise it, or leave the method out.",
        OF_SPECULATION,
        since=(0, 33, 0),
    ),
    Together(
        "head_that_is_not_shared",
        (
            Term(f"{SPECULATIVE}.draft_lm_head_quantization", "stated"),
            Term(
                METHOD,
                "one of",
                ("ngram", "ngram_gpu", "draft_model", "suffix", "custom_class", "dflash", "dspark",
                 "extract_hidden_states"),
            ),
        ),
        "speculative_config.draft_lm_head_quantization is for a head that eagle, eagle3 and mtp share, and the method "
        "is {speculative_config.method}: leave it out.",
        OF_SPECULATION,
        since=(0, 33, 0),
    ),
    Together(
        "candidates_of_others",
        (Term(f"{SPECULATIVE}.xpress_topc", "stated"), Term(METHOD, "none of", ("dflash",))),
        "speculative_config.xpress_topc is for XPress, whose method is dflash, and it is {speculative_config.method}: "
        "leave it out.",
        OF_SPECULATION,
        since=(0, 33, 0),
    ),
)  # fmt: skip
