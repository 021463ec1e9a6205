"""Attacks on the checker by certificates about networks on two inputs: it answers, in time, and never wrongly."""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import golden_pairs
import mutate
import numpy as np
import pair_oracle
import pytest
from golden_pairs import EVERY, FOUR, UPPER, PairSubject, hidden, pairs_step, subjects
from mutate import Document, Mutant
from test_attacks import Referee
from thorough import some

from certificates import Certificate, RawTensor, integer_tensor, read_certificate
from certificates.tensor_file import parse_tensor_file
from certificates.writing import serialize_certificate

EIGHTEEN = hidden(range(18))
ALL_OF_S3 = np.ones((6, 6), np.int64)


def _of_factors(model: str, outputs: int, pairwise: int) -> Certificate:
    step = golden_pairs.low_rank_step(UPPER, golden_pairs.STARTS, golden_pairs.factors(outputs), 1, pairwise)
    return subjects()[model].claim(EVERY, hidden(FOUR), step)


def _sets() -> Certificate:
    return subjects()["sets-symmetric"].claim(ALL_OF_S3, hidden(golden_pairs.KEPT), golden_pairs.permuting_sets())


def _summed() -> Certificate:
    steps = hidden(FOUR), pairs_step(UPPER), pairs_step(1 - UPPER), golden_pairs.Step("disjoint-sum", (1, 2))
    return subjects()["sums"].claim(EVERY, *steps)


def _by_table() -> Certificate:
    subject = golden_pairs.with_table(subjects()["sets"], golden_pairs.SHIFTS)
    return subject.claim(EVERY, EIGHTEEN, golden_pairs.rotating_sets())


BASES: Mapping[str, tuple[str, Callable[[], Certificate]]] = {
    "evaluated": ("sums", _summed),
    "given": ("differences", lambda: subjects()["differences"].claim(EVERY, hidden(FOUR), pairs_step(EVERY))),
    "uniform": ("uniform", lambda: subjects()["uniform"].claim(EVERY, hidden(FOUR), pairs_step(UPPER, 1))),
    "factors": ("factors", lambda: _of_factors("factors", 3, 0)),
    "uniform-factors": ("uniform-factors-pairwise", lambda: _of_factors("uniform-factors-pairwise", 4, 1)),
    "structured": ("structured", lambda: subjects()["structured"].claim(EVERY, EIGHTEEN, golden_pairs.rotating())),
    "structured-symmetric": (
        "structured-symmetric",
        lambda: subjects()["structured-symmetric"].claim(ALL_OF_S3, EIGHTEEN, golden_pairs.permuting()),
    ),
    "sets": ("sets-symmetric", _sets),
    "sets-by-table": ("sets", _by_table),
    "frequencies": ("spectral", lambda: subjects()["spectral"].claim(25, hidden(range(12)), golden_pairs.wave_step())),
    "angles": ("waves", lambda: subjects()["waves"].claim(25, hidden(range(12)), golden_pairs.wave_step(0, 24, 1))),
    "bases": (
        "uniform-narrow",
        lambda: subjects()["uniform-narrow"].claim(EVERY, golden_pairs.projected_step(), pairs_step(UPPER, 1)),
    ),
}


@dataclass(frozen=True)
class PairBase(mutate.Base):
    """An accepted certificate about a network on two inputs."""

    subject: PairSubject

    @staticmethod
    def of(name: str) -> "PairBase":
        model, certificate = BASES[name]
        subject = subjects()[model]
        return PairBase(name, subject.file(), Document.of(serialize_certificate(certificate())), subject)

    @property
    def rank(self) -> int:
        return 1

    @property
    def inputs(self) -> np.ndarray:
        return np.argwhere(self.subject.table >= 0)


class PairReferee(Referee):
    """Knows what networks on two inputs do."""

    def truth(self, model: bytes, task: Any) -> tuple[np.ndarray, np.ndarray]:
        given = read_certificate(self.folder / "certificate")[0].given.get("table")
        key = model, json.dumps(task) + ("" if given is None else str(given.integers().tolist()))
        if key not in self.truths:
            table = pair_oracle.table_of(task, given)
            right = pair_oracle.right(parse_weights(model), table)
            self.truths[key] = np.argwhere(table >= 0), right.reshape(-1)
        return self.truths[key]


def parse_weights(model: bytes) -> dict[str, RawTensor]:
    """The weights in a model file."""
    tensors = parse_tensor_file(model).tensors
    return {name: t for name, t in tensors.items() if not name.endswith((".mask", ".IGNORE"))}


def claims(base: PairBase) -> Iterator[Mutant]:
    """Hints that say other things about pairs, cells, sets and factors, one entry at a time, or many; other tables."""
    rng = random.Random(5)
    for name, tensor in base.document.tensors.items():
        values = tensor.integers()
        changes = []
        for _ in range(60 if values.size else 0):
            index = tuple(rng.randrange(size) for size in values.shape)
            other = tuple(rng.randrange(size) for size in values.shape)
            changed = values.copy()
            changed[index] = rng.choice((values[other], 1 - values[index], values[index] + rng.choice((-8, -2, -1, 1, 2, 8))))
            changes.append((f"{list(index)}={changed[index]}", changed))
            exchanged = values.copy()
            exchanged[index], exchanged[other] = values[other], values[index]
            changes.append((f"{list(index)} and {list(other)} exchanged", exchanged))
        for axis in range(values.ndim):
            order = rng.sample(range(values.shape[axis]), values.shape[axis])
            changes.append((f"in order {order}", np.take(values, order, axis)))
        if values.ndim == 2:
            changes.append(("transposed", values.T))
        for what, changed in changes:
            document = replace(base.document, tensors={**base.document.tensors, name: integer_tensor(changed)})
            if name == "table":
                document = replace(document, statement={**document.statement, "task": golden_pairs.given_task(changed)})
            marked = document.tensors[name].integers() if name.endswith(".pairs") else values
            mirror = marked | marked.T if name.endswith(".pairs") and marked.shape[0] == marked.shape[1] else marked
            yield base.mutant(f"claim: {name} {what}", document)
            for count in {int((marked == 1).sum()), int((mirror == 1).sum())} if name.endswith(".pairs") else ():
                yield base.mutant(f"claim: {name} {what}, {count} counted", document.claiming(count))


def weights(base: PairBase) -> Iterator[Mutant]:
    """Other weights and biases under the same proof, whose digest is put right."""
    rng = random.Random(7)
    file = parse_tensor_file(base.model)
    for name, tensor in file.tensors.items():
        for what, variant in mutate._weight_variants(tensor, rng):
            yield mutate.about(
                base.document, mutate.container(file.metadata, {**file.tensors, name: variant}), f"{name} {what}"
            )
        for other, same in file.tensors.items():
            if other > name and same.shape == tensor.shape:
                swapped = {**file.tensors, name: same, other: tensor}
                yield mutate.about(base.document, mutate.container(file.metadata, swapped), f"{name} and {other} swapped")
    for name, shape in base.subject.config.tensor_shapes().items():
        for size in (0.0, 2.0**-11, 2.0**-6, 1.0) if ".b_" in name else ():
            value = np.array([rng.gauss(0, size) for _ in range(int(np.prod(shape)))]).reshape(shape)
            tensors = {**file.tensors, name: mutate._at("F64", value)}
            yield mutate.about(base.document, mutate.container(file.metadata, tensors), f"{name} of size {size}")


def configurations(base: PairBase) -> Iterator[Mutant]:
    """Shapes, dtypes, names and configurations that are not those of a supported model (and some that are)."""
    file = parse_tensor_file(base.model)
    config = json.loads(file.metadata["config"])
    for name, tensor in file.tensors.items():
        for what, variant in mutate._misfits(tensor):
            tensors = {key: t for key, t in file.tensors.items() if key != name}
            tensors |= {} if variant is None else {name: variant}
            yield mutate.about(base.document, mutate.container(file.metadata, tensors), f"{name} {what}")
    for name in ("extra", "ln_final.w", "embed.W_E", "blocks.0.attn.W_K", "blocks.0.attn.mask", "mlp.b_out", ""):
        tensors = {**file.tensors, name: mutate.Tensor("F32", (1,), bytes(4))}
        yield mutate.about(base.document, mutate.container(file.metadata, tensors), f"tensor {name!r}")
    keys = (*config, "attn_scale", "gated_mlp", "attn_only", "n_heads", "window_size", "dropout", "architecture", "act_fn")
    values = (None, True, False, 0, 1, 2, 3, 4, -1, 2.5, "relu", "uniform", "group-mlp", "uniform-attention", [], {})
    texts = [(f"{key}={value!r}", {**config, key: value}) for key, value in itertools.product(keys, values)]
    texts += [(f"without {key}", {k: v for k, v in config.items() if k != key}) for key in config]
    for what, changed in texts:
        metadata = {**file.metadata, "config": json.dumps(changed)}
        yield mutate.about(base.document, mutate.container(metadata, file.tensors), f"config {what}")


FAMILIES: tuple[tuple[Callable[[Any], Iterator[Mutant]], int], ...] = (
    (mutate.documents, 80),
    (mutate.steps, 150),
    (mutate.hints, 200),
    (claims, 250),
    (weights, 120),
    (configurations, 80),
    (mutate.metadata, 20),
    (mutate.headers, 20),
    (mutate.damaged, 40),
)


@pytest.mark.parametrize("name", BASES)
def test_no_mutant_gets_a_false_claim_accepted(name: str, tmp_path: Path) -> None:
    base, referee = PairBase.of(name), PairReferee(tmp_path)
    assert referee.attack(Mutant("unchanged", base.document.content(), base.model)).accepted
    for number, (family, most) in enumerate(FAMILIES):
        referee.family = family.__name__
        for mutant in mutate.sample(family(base), some(most), seed=number):
            referee.attack(mutant)
    print(f"\n{name}\n{referee.table()}")
    assert referee.accepted > some(20)
    assert referee.share("steps", "hints", "claims", "weights") > 0.6
