"""The part of the golden corpus that is about transformers of any depth (see make_golden).

Three models together have every feature. What they get right is counted by `transformer_oracle`, in multiple precision.
"""

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from make_golden import TASK, Corpus, claim, model_file, noise, stored, tensor
from transformer_oracle import exact_logits

from certificates import Certificate, Model, Statement, Step
from certificates.architectures import parse_config
from certificates.model_file import build_model

SIZES = {"architecture": "transformer", "d_model": 3, "d_vocab": 2, "n_ctx": 3, "d_mlp": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "decoder": {
        **{"n_layers": 2, "n_heads": 2, "d_head": 2, "act_fn": "gelu_new", "normalization_type": "LN", "eps": "1/100000"},
        **{"d_vocab_out": 3},
    },
    "turning": {
        **{"n_layers": 2, "n_heads": 2, "n_key_value_heads": 1, "d_head": 4, "act_fn": "silu", "gated_mlp": True},
        **{"normalization_type": "RMS", "eps": "1/1000000", "use_qk_norm": True, "tie_word_embeddings": True},
        **{"positional_embedding_type": "rotary", "rotary_base": 100},
    },
    "encoder": {
        **{"n_layers": 1, "n_heads": 1, "d_head": 3, "act_fn": "gelu", "normalization_type": "RMSPre", "eps": "1/3"},
        **{"positional_embedding_type": "none", "attention_dir": "bidirectional", "attn_scale": "3/2", "d_vocab_out": 2},
    },
}
FORWARD = Step("transformer-forward")


@cache
def weights(name: str) -> Mapping[str, np.ndarray]:
    """Sixteenths that look irregular; norms are by about one."""
    found = {}
    for salt, (tensor_name, shape) in enumerate(parse_config({**SIZES, **CONFIGS[name]}).tensor_shapes().items()):
        array = noise(int(np.prod(shape[:-1])), shape[-1], 7 * salt + len(name)).reshape(shape)
        found[tensor_name] = 2 * array if array.ndim > 1 else array / 2 + tensor_name.endswith(".w")
    return found


def model(name: str) -> Model:
    """The project's view of it."""
    return build_model({**SIZES, **CONFIGS[name]}, stored(weights(name)), TASK)


@cache
def right(name: str) -> tuple[int, ...]:
    """Which of the inputs, in lexicographic order, are classified correctly."""
    found = []
    for place, tokens in enumerate(itertools.product(range(2), repeat=3)):
        logits = exact_logits(vars(model(name).config), weights(name), tokens)
        true = logits.pop(max(tokens))
        assert abs(true - max(logits)) > 1e-3, "clearly right or wrong"
        found += [place] if true > max(logits) else []
    return tuple(found)


def every(skip: Any = (), ranges: Any = ((0, 2), (0, 2), (0, 2))) -> Step:
    """The step that looks at every input."""
    return Step("all-inputs", (0,), {}, {"ranges": tensor(ranges), "skip": tensor(skip, (len(skip), 2))})


def proof(name: str, correct: int, *steps: Step) -> Certificate:
    """A certificate about one of the models."""
    return Certificate(Statement(model(name).digest(), TASK, correct, 8), 30, steps)


def model_files() -> dict[str, bytes]:
    """Every model of this part, by file name."""
    files = {f"transformer-{name}": model_file({**SIZES, **CONFIGS[name]}, stored(weights(name)), TASK) for name in CONFIGS}
    for name, changes in {
        "alibi": {"positional_embedding_type": "alibi"},
        "parallel": {"parallel_attn_mlp": True},
        "without-eps": {"eps": None},
        "named-otherwise": {"architecture": "attention-only"},
    }.items():
        files[f"transformer-{name}"] = model_file({**SIZES, **CONFIGS["decoder"], **changes}, stored(weights("decoder")), TASK)
    other = {**SIZES, **CONFIGS["turning"], "rotary_adjacent_pairs": True}
    files["transformer-other-pairs"] = model_file(other, stored(weights("turning")), TASK)
    return {f"{name}.safetensors": content for name, content in files.items()}


def add_cases(corpus: Corpus) -> None:
    """Certificates about them."""
    for name in CONFIGS:
        count, places = len(right(name)), right(name)
        assert 0 < count < 8
        subject, last = f"transformer-{name}", places[-1]
        corpus.add(f"{subject}-every", proof(name, count, FORWARD, every()), 0, "every input", subject)
        corpus.add(f"{subject}-skip", proof(name, count - 1, FORWARD, every([[last, last + 1]])), 0, "but for one", subject)
        corpus.add(f"{subject}-skipped", proof(name, count, FORWARD, every([[last, last + 1]])), 1, "one is skipped", subject)
        corpus.add(f"{subject}-more", proof(name, count + 1, FORWARD, every()), 1, "one input more than is right", subject)
    decoder = proof("decoder", len(right("decoder")), FORWARD, every())
    for name, why in (
        ("alibi", "these positional embeddings are not supported"),
        ("parallel", "attention and MLP side by side are not supported"),
        ("without-eps", "a key with influence is missing"),
        ("named-otherwise", "it is no attention-only transformer"),
    ):
        corpus.add(f"model-transformer-{name}", decoder, 2, why, f"transformer-{name}")
    turning = proof("turning", len(right("turning")), FORWARD, every())
    corpus.add("model-transformer-other-pairs", turning, 2, "other pairs are turned", "transformer-other-pairs")
    there = "transformer-decoder"
    corpus.add("transformer-premise", proof("decoder", 0, FORWARD, Step("transformer-forward", (0,))), 1, "a premise", there)
    corpus.add("transformer-tables", proof("decoder", 0, Step("additive-tables"), every()), 1, "it has no tables", there)
    corpus.add("transformer-for-another", claim("small", 0, FORWARD, every((), ((0, 4),) * 3)), 1, "not a transformer")
