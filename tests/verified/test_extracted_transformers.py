"""The extracted checker on transformers of any depth: against the checker in Python, an oracle, and mutants of certificates.

It counts what it can show, in as many bits as that takes. So it may accept more inputs than the checker in Python, whose
precision is the certificate's, and statements of fewer.
"""

import json
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import make_golden
import mutate
import numpy as np
import pytest
import torch
from mutate import Document
from test_every_input import certificate, true_margins
from test_extracted import GOLDEN, MUTANTS, asked, judged_alike, pytestmark
from test_regions import applied, draw_automaton, draw_hints, every_input, setting_for, step_of, true_leads, width
from thorough import some
from transformer_models import draw_model

from certificates import (
    Certificate,
    FormatError,
    Model,
    Statement,
    Step,
    integer_tensor,
    read_model,
    write_certificate,
    write_model,
)
from certificates.tensor_file import parse_tensor_file
from checker import verify
from checker.transformer.all_reads import all_reads
from checker.transformer.finer import RightAtRead
from checker.transformer.joint_reads import joint_reads
from prover.proving import problem_about, prove
from prover.strategies.all_inputs import Enumerate
from prover.strategies.regions import Regions

__all__ = ["pytestmark"]
CPU = torch.device("cpu")
POSITIONS, ACTIVATIONS = ("rotary", "standard", "none", "alibi", "rotary"), ("relu", "silu", "gelu_new")


def drawn(seed: int, **fixed: Any) -> Model:
    """A model with every feature that there is a theorem about, in turn."""
    position, activation = POSITIONS[seed % len(POSITIONS)], ACTIVATIONS[seed // 2 % 3]
    return draw_model(seed, **{"positional_embedding_type": position, "act_fn": activation} | fixed)


@pytest.mark.parametrize("seed", range(some(32)))
def test_it_proves_what_is_right(seed: int, tmp_path: Path) -> None:
    """Every input that is right by 10^-12 is counted, and none that is not, in multiple precision."""
    model = drawn(seed, n_ctx=3, d_vocab=2, d_vocab_out=2 if seed % 4 == 1 else 3)
    margins = true_margins(model, 1)
    found = certificate(model, 0, [])
    write_model(tmp_path / "model", model)
    for margin in (Fraction(0), Fraction(1, 8)):
        statement = replace(found.statement, margin=margin, correct=int(np.count_nonzero(margins - float(margin) > 1e-12)))
        write_certificate(tmp_path / "cert", replace(found, statement=statement))
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        assert status == 0, answer
        assert statement.correct <= int(answer["established"]) <= np.count_nonzero(margins - float(margin) > 0)


@pytest.mark.parametrize("seed", range(some(28)))
def test_automata_are_judged_alike(seed: int, tmp_path: Path) -> None:
    """Random automata with reads in any order; margins; and what the prover skips."""
    rng, model = np.random.default_rng(seed), drawn(seed, d_vocab=3, n_ctx=4, d_vocab_out=3, n_layers=1 + seed % 2)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows).min(1)
    margin = Fraction(int(1000 * np.median(leads[leads > 0])), 1000) if seed % 2 and np.any(leads > 0) else Fraction(0)
    found, evidence = prove(problem_about(model, CPU, 64, automaton=automaton, margin=margin), Enumerate())
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    assert verdict.accepted and status == 0, answer
    assert int(answer["established"]) == verdict.correct == evidence.correct and verdict.verified is not None
    assert verdict.verified.theorem == "count_transformer_sound"
    more = replace(found.statement, correct=evidence.correct + 1)
    write_certificate(tmp_path / "cert", replace(found, statement=more))
    assert asked(tmp_path / "cert", tmp_path / "model")[0] == 1


def simple(seed: int, **fixed: Any) -> Model:
    """One layer, as regions have a theorem about it."""
    sizes = {"n_layers": 1, "d_vocab": 2 + seed % 2, "n_ctx": 2 + seed % 3, "d_vocab_out": 2 + seed % 2}
    return drawn(seed, **{**sizes, "size": (0.3, 0.6, 1.2)[seed % 3], **fixed})


@pytest.mark.parametrize("seed", range(some(48)))
def test_regions_are_judged_alike(seed: int, tmp_path: Path) -> None:
    """Random finer automata for each read, with cuts and margins: it proves at least as much as Python does with as many bits,
    and nothing that is not so; and accepts what the prover finds.
    """
    rng, model = np.random.default_rng(seed), simple(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    positive = leads[leads > 0]
    margin = Fraction(float(rng.choice(positive))).limit_denominator(10**6) if len(positive) and seed % 3 == 0 else Fraction(0)
    steps, facts = [Step("transformer-forward")], list[RightAtRead]()
    for read in range(len(automaton.reads)):
        hints = draw_hints(automaton, read, rng, int(rng.choice([1, 2, 5, 60])), width(model), 0.1 * (seed % 4 == 1))
        cuts = int(rng.integers(0, 5))
        steps.append(step_of(read, hints, cuts))
        facts.append(applied(setting_for(model, automaton, 30, margin), read, hints, cuts))
    once = bool(rng.integers(2))
    steps.append(Step("joint-reads" if once else "all-reads", tuple(range(1, len(steps)))))
    last = replace(steps[-1], premises=())
    correct = (joint_reads if once else all_reads)(setting_for(model, automaton), last, tuple(facts)).correct
    task = {"automaton": automaton.digest}
    given = {name: integer_tensor(table) for name, table in automaton.tables.items()}
    statement = Statement(model.digest(), task, correct, len(rows), Fraction(str(round(float(margin), 6))))
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", Certificate(statement, 30, tuple(steps), given))
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 0, answer
    assert int(answer["established"]) <= np.count_nonzero(leads.min(1) > float(statement.margin) - 1e-9)
    assert answer["theorem"] == ("count_joint_reads_sound" if once else "count_regions_sound")


@pytest.mark.parametrize("seed", range(some(28)))
def test_what_the_prover_finds_of_regions_is_accepted(seed: int, tmp_path: Path) -> None:
    rng, model = np.random.default_rng(seed), simple(seed)
    automaton = next(one for one in iter(lambda: draw_automaton(model, rng), None) if len(one.reads) == 1)
    margin = Fraction(1, 16) if seed % 3 == 0 else Fraction(0)
    problem = problem_about(model, CPU, (30, 64)[seed % 2], automaton=automaton, margin=margin)
    found, evidence = prove(problem, Regions(fine=(4, 8, 12)[seed % 3], cuts=seed % 4))
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    assert verdict.accepted and verdict.correct == evidence.correct, verdict.reason
    assert verdict.verified is not None and verdict.verified.theorem == "count_regions_sound"


FAMILIES = (mutate.documents, mutate.metadata, mutate.headers, mutate.steps, mutate.hints, mutate.damaged)
BASES = {
    "padded": "transformer-padded-skip",
    "one-layer": "transformer-one-layer-skip",
    "one-head": "transformer-one-head-every",
    "turning": "transformer-turning-every",
    "decoder": "transformer-decoder-every",
    "automaton": "reads-every",
    "joint": "joint-reads",
    "classes": "classes",
    "sums": "potentials",
    "sums-of-every-state": "potentials-every-state",
    "boxes": "potentials-two-boxes",
}
"""Golden certificates by rules that have theorems in Coq."""
SUBJECTS = {
    "automaton": "one-layer",
    "joint": "one-layer",
    "classes": "decoder",
    "sums": "one-head",
    "sums-of-every-state": "one-head",
    "boxes": "two-heads",
}
"""Their models."""


@pytest.mark.parametrize("name", BASES)
def test_mutants_are_judged_alike(name: str, tmp_path: Path) -> None:
    document = Document.of((GOLDEN / f"{BASES[name]}.cert").read_bytes())
    subject = SUBJECTS.get(name, name)
    base = SequenceBase(name, (GOLDEN / f"transformer-{subject}.safetensors").read_bytes(), document)
    each = -(-MUTANTS // (8 * len(FAMILIES)))
    mutants = (mutate.sample(family(base), each, seed=number) for number, family in enumerate(FAMILIES))
    outcomes = judged_alike(chain.from_iterable(mutants), tmp_path, ("its proof shows", "is not proved correct"))
    assert outcomes["False 1"] + outcomes["False 2"] > 5, outcomes


TURNING: dict[str, Any] = {
    **{"n_layers": 1, "normalization_type": "RMS", "act_fn": "silu", "gated_mlp": True, "use_qk_norm": True},
    **{"attn_only": False, "positional_embedding_type": "rotary"},
    **{"d_vocab": 2, "n_ctx": 3, "d_vocab_out": 2, "pad_token": -1},
}
"""As Qwen3 models are, with one layer."""
NORMED = TURNING | {"normalization_type": "LN", "act_fn": "relu", "gated_mlp": False, "positional_embedding_type": "standard"}


@pytest.mark.parametrize("config", [TURNING, NORMED], ids=["turning", "normed"])
def test_mutants_of_regions_are_judged_alike(config: dict[str, Any], tmp_path: Path) -> None:
    rng, model = np.random.default_rng(3), drawn(3, **config)
    automata = (one for one in iter(lambda: draw_automaton(model, rng), None) if len(one.reads) == 1)
    tried = (prove(problem_about(model, CPU, 30, automaton=one), Regions(fine=8, cuts=2)) for one in automata)
    found = next(certificate for certificate, evidence in tried if evidence.correct > 1)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    document = Document.of((tmp_path / "cert").read_bytes())
    base = SequenceBase("regions", (tmp_path / "model").read_bytes(), document)
    each = -(-MUTANTS // (8 * len(FAMILIES)))
    mutants = (mutate.sample(family(base), each, seed=number) for number, family in enumerate(FAMILIES))
    outcomes = judged_alike(chain.from_iterable(mutants), tmp_path, ("its proof shows",))
    assert outcomes["False 1"] + outcomes["False 2"] > 5, outcomes


class SequenceBase(mutate.Base):
    """Of two tokens at three positions."""

    @property
    def rank(self) -> int:
        return 1

    @property
    def inputs(self) -> np.ndarray:
        return make_golden.all_inputs(2, 3)


PALETTE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 3, 4, -1, -2, 0.5, 1.0, -1.0, 1.4142135, 1e-3, 10**60, 10**59, 2**70),
    *("relu", "silu", "gelu_pytorch_tanh", "LN", "LNPre", "RMS", "RMSPre", "alibi", "none", "standard", "rotary"),
    *("causal", "bidirectional", "1/3", "-1", "3/2", "1/0", "1/00", "2/004", "", "/", "1/", "9" * 60, "1" * 61, "+1"),
    *("1.5", [], {}),
)
KEYS = (
    *("act_fn", "architecture", "attention_dir", "attn_only", "attn_scale", "attn_types", "attn_scores_soft_cap", "d_head"),
    *("d_mlp", "d_model", "d_vocab", "d_vocab_out", "eps", "final_rms", "gated_mlp", "n_ctx", "n_heads", "n_key_value_heads"),
    *("n_layers", "normalization_type", "pad_token", "positional_embedding_type", "rotary_adjacent_pairs", "rotary_base"),
    *("rotary_dim", "seed", "tie_word_embeddings", "use_attn_scale", "use_qk_norm", "use_NTK_by_parts_rope"),
    *("window_size", "unheard_of"),
)


@pytest.mark.parametrize("subject", ["padded", "one-layer", "one-head", "turning", "decoder"])
def test_configurations_are_judged_alike(subject: str, tmp_path: Path) -> None:
    """Every key with every value: files that one of them cannot read, digests, and what is counted."""
    file = parse_tensor_file((GOLDEN / f"transformer-{subject}.safetensors").read_bytes())
    document = Document.of((GOLDEN / f"transformer-{subject}-every.cert").read_bytes())
    config, rng = json.loads(file.metadata["config"]), random.Random(1)
    changes = [(key, value) for key in KEYS for value in PALETTE] + [(key, ...) for key in config]
    outcomes = Counter[str]()
    for key, value in rng.sample(changes, -(-some(len(changes)) // 2)):
        changed = {name: old for name, old in config.items() if name != key} | ({} if value is ... else {key: value})
        content = mutate.container({"config": json.dumps(changed)}, file.tensors)
        mutate.put(tmp_path / "model", content)
        mutate.put(tmp_path / "cert", document.claiming(0).content())
        try:
            digest = read_model(tmp_path / "model").digest()
        except FormatError:
            assert asked(tmp_path / "cert", tmp_path / "model")[0] in (2, 3), (key, value)
            outcomes["malformed"] += 1
            continue
        stated = replace(document, statement={**document.statement, "model": digest}, proof={**document.proof, "precision": 60})
        mutate.put(tmp_path / "cert", stated.claiming(0).content())
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        if status == 0:
            mutate.put(tmp_path / "cert", stated.claiming(int(answer["established"])).content())
            assert verify(tmp_path / "cert", tmp_path / "model").accepted, (key, value)
        else:
            assert status == 3 or not verify(tmp_path / "cert", tmp_path / "model").accepted, (key, value, answer)
        outcomes[str(status)] += 1
    assert min(outcomes["malformed"], outcomes["0"]) > some(20), outcomes


def test_what_has_no_theorem_is_named() -> None:
    status, answer = asked(GOLDEN / "transformer-encoder-every.cert", GOLDEN / "transformer-encoder.safetensors")
    assert status == 3 and "activation gelu" in answer["unsupported"]
