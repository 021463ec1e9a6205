"""Mutants of accepted certificates and their models: what a hostile prover might hand to the checker.

A mutant is a pair of files. Wherever a mutation would otherwise die at something trivial, that is put right again: JSON
is canonical, sizes and offsets are consistent, the digest is the mutated model's, the total is the task's, and there is
a second version in which the claimed count is what the mutated hints amount to, so that only the claim itself is false.
"""

import copy
import itertools
import json
import random
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import make_golden
import numpy as np
import torch
from make_golden import ATTENTION, REQUIRED, TASK

from certificates import (
    AttentionOnly,
    Certificate,
    FormatError,
    Model,
    RawTensor,
    Statement,
    Step,
    UniformAttention,
    integer_tensor,
    read_model,
)
from certificates.canonical_json import dumps
from certificates.tensor_file import parse_tensor_file
from certificates.writing import serialize_certificate
from checker.registry import RULES
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k

Json = Any
Variants = Iterator[tuple[str, Json]]

_SCRATCH = tempfile.NamedTemporaryFile()  # noqa: SIM115 - lives as long as the process
_INTEGERS = {"U8": "<u1", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
_BOUNDS = ("_left", "_right", "_norm", "_rest", "_length", "_square", "radius")
_PALETTE: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 2, 2**63 - 1, 2**63, -(2**63), 10**40),
    *("", "0", "1", "-1", "+1", "01", "1.5", "1e3", "9" * 5000, "max-of-k", "\u00e9", "\ud800", "\x00"),
    *([], {}, [0], [[]], {"name": "max-of-k"}, {"": 0}),
)


@dataclass(frozen=True)
class Tensor:
    """A tensor as it will be written, which need not make sense."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def integers(self) -> np.ndarray:
        """The values of an integer tensor. Raises KeyError or ValueError if it is none."""
        return np.frombuffer(self.data, _INTEGERS[self.dtype]).astype(np.int64).reshape(self.shape)


Tensors = Mapping[str, RawTensor | Tensor]


def put(path: Path, content: bytes) -> None:
    """Write a file in place: far quicker than making a new one, thousands of times."""
    with path.open("r+b" if path.exists() else "wb") as stream:
        stream.write(content)
        stream.truncate()


def container(metadata: Mapping[str, str], tensors: Tensors) -> bytes:
    """A safetensors file."""
    header: dict[str, Json] = {"__metadata__": dict(metadata)}
    body = b""
    for name, tensor in tensors.items():
        offsets = [len(body), len(body) + len(tensor.data)]
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        body += tensor.data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@dataclass(frozen=True)
class Mutant:
    """Two files, and what was done to them."""

    what: str
    certificate: bytes
    model: bytes


@dataclass(frozen=True)
class Document:
    """A certificate on the way to being written: anything can be changed."""

    statement: Json
    proof: Json
    tensors: Tensors
    metadata: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(content: bytes) -> "Document":
        """Take a certificate apart."""
        file = parse_tensor_file(content)
        rest = {key: text for key, text in file.metadata.items() if key not in ("statement", "proof")}
        return Document(json.loads(file.metadata["statement"]), json.loads(file.metadata["proof"]), file.tensors, rest)

    def content(self) -> bytes:
        """The certificate's bytes."""
        written = {**self.metadata, "statement": dumps(self.statement), "proof": dumps(self.proof)}
        return container(written, self.tensors)

    def claiming(self, correct: int) -> "Document":
        """The same proof with another count."""
        return replace(self, statement={**self.statement, "correct": str(correct)})

    def with_steps(self, steps: list[Json], tensors: Tensors | None = None) -> "Document":
        """The same statement with another proof."""
        return replace(self, proof={**self.proof, "steps": steps}, tensors=self.tensors if tensors is None else tensors)

    @property
    def steps(self) -> list[Json]:
        """A copy of the steps, to be changed."""
        steps: list[Json] = copy.deepcopy(self.proof["steps"])
        return steps


@dataclass(frozen=True)
class Base:
    """An accepted certificate and its model, from which mutants are made."""

    name: str
    model: bytes
    document: Document

    def mutant(self, what: str, document: Document) -> Mutant:
        """A mutant of the certificate only."""
        return Mutant(what, document.content(), self.model)

    @property
    def rank(self) -> int:
        """The true output is the rank-th largest number of an input."""
        task = self.document.statement["task"]
        return int(task.get("n", 1))

    @property
    def inputs(self) -> np.ndarray:
        """All inputs of the task in its numbers, "n k"."""
        tensors = parse_tensor_file(self.model).tensors
        return make_golden.all_inputs(tensors["embed.W_E"].shape[0], tensors["pos_embed.W_pos"].shape[0])


# --- bases -----------------------------------------------------------------------------------------------------------


def _file_of(model: Model) -> bytes:
    return make_golden.model_file({**vars(model.config), **REQUIRED}, model.tensors, model.task)


def _proved(model: Model, strategy: str, precision: int = 30, **settings: str) -> Certificate:
    problem = SequenceProblem(model, torch.device("cpu"), precision)
    return prove(problem, ATTENTION_STRATEGIES[strategy].with_settings(settings))[0]


def _only(step: Step, kept: np.ndarray) -> Step:
    """A step of prefix-chains that claims only some cells "q m c"."""
    size = np.where(kept[..., None], step.hints["size"].integers(), -1)
    return replace(step, hints={**step.hints, "size": integer_tensor(size)})


def _split_by_query(model: Model) -> Certificate:
    """Chains for queries below 3 and chains for the others, summed."""
    whole = _proved(model, "thresholds", levels="2")
    size = whole.steps[1].hints["size"].integers()
    low = np.broadcast_to(np.arange(len(size))[:, None, None] < 3, size.shape[:3])
    parts = [_only(whole.steps[1], mask) for mask in (low, ~low)]
    return replace(whole, steps=(make_golden.TABLES, *parts, Step("disjoint-sum", (1, 2))))


def _mixed(model: Model) -> Certificate:
    """Groups for maxima from 3 on, enumeration for query 0, chains for the rest; then inputs that none of them covers."""
    inputs = make_golden.all_inputs(model.config.d_vocab, model.config.n_ctx)
    vocab, n_ctx = model.config.d_vocab, model.config.n_ctx
    query, label = np.ogrid[:vocab, :vocab]
    kept = np.broadcast_to(((query > 0) & (label < 3))[..., None], (vocab, vocab, n_ctx))
    by_chains = _only(_proved(model, "pessimized", levels="2").steps[1], kept)
    classes = _proved(model, "classes", blocks="0", fine="0").steps[1]
    grouping = classes.hints["grouping"].integers()
    fewer = np.where(((query > 0) & (label >= 3))[..., None, None], grouping, -1)
    by_groups = replace(classes, hints={**classes.hints, "grouping": integer_tensor(fewer)})
    first = make_golden.enumeration([(0, vocab)] * (n_ctx - 1) + [(0, 1)])
    members = make_golden.members_of_chains(by_chains, inputs) | make_golden.members_of_groups(by_groups, inputs)
    weights = {name: decoded(tensor) for name, tensor in model.tensors.items()}
    right = make_golden.leads(weights, inputs) > 1e-3
    others = make_golden.by_cell(map(tuple, inputs[right & ~members & (inputs[:, -1] > 0)].tolist()))
    of_first = make_golden.correct_in_ranges(make_golden.Subject(weights, model.tensors), first)
    correct = of_first + int(members.sum()) + len(others)
    steps = (make_golden.TABLES, by_groups, by_chains, first, Step("disjoint-sum", (1, 3, 2)))
    statement = Statement(model.digest(), TASK, correct, vocab**n_ctx)
    return Certificate(statement, 30, (*steps, make_golden.further(others, 4)))


def _some_skipped(model: Model) -> Certificate:
    """An enumeration of the inputs in some ranges, with skipped runs."""
    config = model.config
    step = make_golden.enumeration([(0, 3), (1, 4), (0, 4)], (2, 4), [(0, 3), (10, 11), (12, 20), (30, 31)])
    weights = {name: decoded(tensor) for name, tensor in model.tensors.items()}
    correct = make_golden.correct_in_ranges(make_golden.Subject(weights, model.tensors), step)
    statement = Statement(model.digest(), TASK, correct, config.d_vocab**config.n_ctx)
    return Certificate(statement, 30, (make_golden.TABLES, step))


def _smallest() -> Model:
    """A model that mostly finds the minimum."""
    return make_golden.SUBJECTS["smallest"].model


def _second() -> Model:
    """A model that sometimes finds the second largest token."""
    return make_golden.SUBJECTS["second"].model


def _trained() -> Model:
    recipe = MaxOfKRecipe(length=3, vocab=6, seed=1, d_model=8, d_head=4, steps=250, batch=64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads only get into each other's way on matrices this small
    try:
        return train_max_of_k(recipe, torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)


def _constructed(vocab: int, n_ctx: int, steep: float = 2.5, outputs: int = 0) -> Model:
    return make_golden.constructed_model(vocab, n_ctx, outputs or vocab, steep, salt=3)


_BASES: dict[str, Callable[[], tuple[Model, Certificate]]] = {}


def _base(name: str, model: Callable[[], Model], certificate: Callable[[Model], Certificate]) -> None:
    def build() -> tuple[Model, Certificate]:
        built = model()
        return built, certificate(built)

    _BASES[name] = build


_base("brute-force", lambda: _constructed(4, 3), lambda m: _proved(m, "brute-force"))
_base("sampling", lambda: _constructed(3, 4), lambda m: _proved(m, "sampling", inputs="50"))
_base("skipping", lambda: _constructed(4, 3), _some_skipped)
_base("classes", lambda: _constructed(5, 4, 1.5), lambda m: _proved(m, "classes"))
_base("chains", lambda: _constructed(5, 4, 1.75), lambda m: _proved(m, "thresholds", levels="2"))
_base("one-block", lambda: _constructed(5, 3, steep=3.0), lambda m: _proved(m, "pessimized"))
_base("split", lambda: _constructed(5, 3), _split_by_query)
_base("mixed", lambda: _constructed(4, 4, 2.0, outputs=6), _mixed)
_base("precise", lambda: _constructed(4, 3), lambda m: _proved(m, "classes", 60, blocks="2"))
_base("smallest", _smallest, lambda m: _proved(m, "thresholds"))
_base("second", _second, lambda m: _proved(m, "exact"))
_base("trained", _trained, lambda m: _proved(m, "exact"))
_base("lengths", lambda: _constructed(5, 3, steep=3.0), lambda m: _proved(m, "interpretation", direct="2", copying="3"))
_base("differences", lambda: _constructed(4, 3, outputs=6), lambda m: _proved(m, "interpretation", direct="3", residual="1"))
_base("norms", lambda: _constructed(5, 3), lambda m: _proved(m, "interpretation", copying="4", residual="2", diagonal="1"))
_base("low-rank", lambda: _constructed(5, 3, steep=3.0), lambda m: _proved(m, "low-rank-chains"))
BASES = tuple(_BASES)


def make_base(name: str) -> Base:
    """Build one of the BASES."""
    model, certificate = _BASES[name]()
    return Base(name, _file_of(model), Document.of(serialize_certificate(certificate)))


# --- what a certificate amounts to -----------------------------------------------------------------------------------


def decoded(tensor: RawTensor | Tensor) -> np.ndarray:
    """A weight tensor in float64."""
    if tensor.dtype == "BF16":
        halves = np.frombuffer(tensor.data, "<u2").astype("<u4") << 16
        return halves.view("<f4").astype(np.float64).reshape(tensor.shape)
    code = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[tensor.dtype]
    return np.frombuffer(tensor.data, code).astype(np.float64).reshape(tensor.shape)


def claimed(document: Document, inputs: np.ndarray, rank: int) -> int | None:
    """How many inputs (in numbers) the proof's classes hold, from their definitions; None if that cannot be said."""
    steps = document.proof["steps"]

    def of(index: int, depth: int = 0) -> int:
        if depth > 8:
            raise ValueError
        rule = steps[index]["rule"]
        hints = {name.partition(".")[2]: t for name, t in document.tensors.items() if name.startswith(f"{index}.")}
        step = Step(rule, hints=hints)
        if rule == "disjoint-sum":
            return sum(of(premise, depth + 1) for premise in steps[index]["premises"])
        if rule == "further-inputs":
            return of(steps[index]["premises"][1], depth + 1) + len(hints["inputs"].integers())
        if rule == "prefix-chains":
            return int(make_golden.members_of_chains(step, inputs).sum())
        if rule == "group-chains":
            return int(make_golden.members_of_groups(step, inputs, rank).sum())
        raise ValueError

    try:
        return of(len(steps) - 1)
    except (ValueError, KeyError, IndexError, TypeError, FormatError, OverflowError):
        return None


# --- JSON ------------------------------------------------------------------------------------------------------------


def _near(node: Json) -> Iterator[Json]:
    """Values that could be mistaken for this one."""
    if type(node) is int:
        yield from (node + 1, node - 1, -node, node * 2, str(node), float(node) if abs(node) < 2**53 else 0)
    elif isinstance(node, str):
        yield from (node + "x", node[:-1], node[::-1], node.upper(), " " + node, node + "\n", [node], {"name": node})
        if node.isdecimal() and len(node) < 20:
            yield from (str(int(node) + 1), str(int(node) - 1), str(2 * int(node)), "0" + node, int(node))
    elif isinstance(node, list):
        yield from (node[::-1], node + node, node[1:], node[:-1], [node], dict(enumerate(map(str, node))))
        for index, item in enumerate(node):
            yield [*node[:index], copy.deepcopy(item), *node[index:]]
    elif isinstance(node, dict):
        yield from ({**node, "extra": 0}, {**node, "": None}, list(node.items()), [node])
        for key in node:
            yield {k: v for k, v in node.items() if k != key}
            yield {k if k != key else key + "_": v for k, v in node.items()}


def _plain(value: Json) -> bool:
    """Whether canonical JSON can spell this (it has no floats, and its keys are strings)."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    return all(map(_plain, value)) if isinstance(value, list) else not isinstance(value, float)


def json_variants(value: Json) -> Variants:
    """The value with every node in turn replaced by something else."""
    for node in (*_PALETTE, *_near(value)):
        if _plain(node) and not (type(node) is type(value) and node == value):
            yield f"{node!r}"[:60], node
    items: list[tuple[Any, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, item in items:
        for what, variant in json_variants(item):
            changed = copy.copy(value)
            changed[key] = variant
            yield f"[{key}]{what}", changed


def documents(base: Base) -> Iterator[Mutant]:
    """Every field of the statement and of the proof: other values, other types, dropped, added, repeated."""
    for what, variant in json_variants(base.document.statement):
        yield base.mutant(f"statement: {what}", replace(base.document, statement=variant))
    for what, variant in json_variants(base.document.proof):
        yield base.mutant(f"proof: {what}", replace(base.document, proof=variant))


def metadata(base: Base) -> Iterator[Mutant]:
    """The container's metadata, and JSON that spells the same values in other ways."""
    file = parse_tensor_file(base.document.content())
    for key, text in file.metadata.items():
        others = {name: other for name, other in file.metadata.items() if name != key}
        yield Mutant(f"metadata: without {key}", container(others, file.tensors), base.model)
        for variant in ("", text + " ", text + "x", text.upper(), "null", "[]", "1.0", "\ud800", "2", "0", text * 2):
            content = container({**others, key: variant}, file.tensors)
            yield Mutant(f"metadata: {key}={variant[:30]!r}", content, base.model)
        if key not in ("statement", "proof"):
            continue
        value = json.loads(text)
        first = min(value)
        spellings = {
            "indented": json.dumps(value, sort_keys=True, indent=1),
            "spaced": json.dumps(value, sort_keys=True),
            "unsorted": json.dumps(dict(sorted(value.items(), reverse=True)), separators=(",", ":")),
            "escaped": text.replace("a", "\\u0061", 1),
            "raw": text.replace("max-of-k", "max-of-k\u00e9") if key == "statement" else text + "\u00a0",
            "repeated key": text.replace("{", '{"' + first + '":' + json.dumps(value[first]) + ",", 1),
            "float": text.replace("30", "30.0", 1),
            "exponent": text.replace("30", "3e1", 1),
            "minus zero": text.replace("[0]", "[-0]", 1),
            "NaN": text.replace("30", "NaN", 1),
            "Infinity": text.replace("30", "Infinity", 1),
            "comment": text + "//",
            "deep list": "[" * 900 + "]" * 900,
            "deeper list": "[" * 100000,
            "deep object": '{"a":' * 900 + "0" + "}" * 900,
            "long number": "9" * 10000,
        }
        for name, spelling in spellings.items():
            if spelling != text:
                content = container({**file.metadata, key: spelling}, file.tensors)
                yield Mutant(f"spelling: {key} {name}", content, base.model)
    for key in ("note", "config", "", "Format"):
        content = container({**file.metadata, key: "1"}, file.tensors)
        yield Mutant(f"metadata: extra {key!r}", content, base.model)


# --- steps -----------------------------------------------------------------------------------------------------------


def _renumbered(tensors: Tensors, number: Callable[[int], int | None]) -> dict[str, RawTensor | Tensor]:
    moved = {}
    for name, tensor in tensors.items():
        step, dot, hint = name.partition(".")
        to = number(int(step)) if dot else None
        if not dot:
            moved[name] = tensor
        if to is not None:
            moved[f"{to}.{hint}"] = tensor
    return moved


def steps(base: Base) -> Iterator[Mutant]:
    """Steps dropped, repeated, reordered, wrapped, built on the wrong ones; other rules and parameters."""
    document = base.document
    count, last = len(document.steps), len(document.steps) - 1
    correct = int(document.statement["correct"])

    def mutant(what: str, changed: list[Json], tensors: Tensors | None = None, claim: int = correct) -> Mutant:
        return base.mutant(f"steps: {what}", document.with_steps(changed, tensors).claiming(claim))

    for index in range(count):
        for rule in (*RULES, "induction", "", "Group-chains", "group-chains ", "additive_tables", "thresholds"):
            changed = document.steps
            changed[index]["rule"] = rule
            yield mutant(f"step {index} by {rule!r}", changed)
        lists = ([], [index], [index + 1], [count], [-1], [-count], [0, 0], [0, index], [0] * 5000, [2**62], [last])
        for premises in lists:
            changed = document.steps
            changed[index]["premises"] = premises
            yield mutant(f"step {index} from {str(premises)[:30]}", changed)
            changed = document.steps
            changed[index]["premises"] += premises
            yield mutant(f"step {index} also from {str(premises)[:30]}", changed)
        for key, value in itertools.product(("start", "joint", "size", "x" * 1000), (0, 1, -1, 2**63 - 1, -(2**63))):
            changed = document.steps
            changed[index]["parameters"][key] = value
            yield mutant(f"step {index} with {key[:9]!r}={value}", changed)
        for key, change in itertools.product(document.steps[index]["parameters"], (1, -1, 2, 7, -7, 1000)):
            changed = document.steps
            changed[index]["parameters"][key] += change
            yield mutant(f"step {index} {key} moved by {change}", changed)
        changed = document.steps
        del changed[index]
        yield mutant(f"without step {index}", changed)
        tensors = _renumbered(document.tensors, lambda i, gone=index: None if i == gone else i - (i > gone))
        yield mutant(f"without step {index}, hints moved", changed, tensors)
        for step in changed:
            step["premises"] = [p - (p > index) for p in step["premises"] if p != index]
        yield mutant(f"without step {index}, premises moved", changed, tensors)
        yield mutant(f"step {index} copied to the end", [*document.steps, document.steps[index]])
        copied = dict(document.tensors)
        for name, tensor in document.tensors.items():
            if name.startswith(f"{index}."):
                copied[f"{count}.{name.partition('.')[2]}"] = tensor
        yield mutant(f"step {index} copied with its hints", [*document.steps, document.steps[index]], copied)
        both = {"parameters": {}, "premises": [last, count], "rule": "disjoint-sum"}
        doubled = [*document.steps, document.steps[index], both]
        yield mutant(f"step {index} counted again", doubled, copied, 2 * correct)
        yield mutant(f"step {index} counted again, claim unchanged", doubled, copied)
        order = document.steps
        order[0], order[index] = order[index], order[0]
        yield mutant(f"steps 0 and {index} swapped", order)
    for premises, claim in (
        ([last], correct),
        ([last, last], 2 * correct),
        ([last, last], correct),
        ([], 0),
        ([0], 0),
        ([0, last], correct),
        ([last] * 3, 3 * correct),
    ):
        total = {"parameters": {}, "premises": premises, "rule": "disjoint-sum"}
        yield mutant(f"summed over {premises}", [*document.steps, total], None, claim)
    nothing = {"parameters": {}, "premises": [], "rule": "disjoint-sum"}
    chain = [*document.steps, *({**nothing, "premises": [count - 1 + i]} for i in range(40))]
    yield mutant("wrapped in 40 sums", chain)
    yield mutant("summed with nothing", [*document.steps, nothing, {**nothing, "premises": [last, count]}])
    for more in (4095 - last, 4096 - last, 5000):
        yield mutant(f"{more} unused steps", [*document.steps, *([nothing] * more)])


# --- hints -----------------------------------------------------------------------------------------------------------


def _stored(values: np.ndarray, dtype: str) -> Tensor:
    return Tensor(dtype, values.shape, np.ascontiguousarray(values.astype(_INTEGERS[dtype])).tobytes())


def _hint_variants(tensor: RawTensor | Tensor, rng: random.Random) -> Iterator[tuple[str, Tensor | None]]:
    values = tensor.integers()
    limits = np.iinfo(_INTEGERS[tensor.dtype])
    yield "gone", None
    positions = list(np.ndindex(values.shape))
    for index in rng.sample(positions, min(len(positions), 60)):
        here = int(values[index])
        choices = {here + 1, here - 1, here + 2, 0, -1, -2, 255, limits.max, limits.min, 2**62, 2**63 - 1, -(2**63)} - {here}
        for value in sorted(choices):
            changed = values.copy()
            changed[index] = value
            fits = limits.min <= value <= limits.max
            yield f"{list(index)}={value}", _stored(changed, tensor.dtype if fits else "I64")
    for dtype in _INTEGERS:
        yield f"as {dtype}", _stored(values, dtype)
    for dtype, width in (("F32", 4), ("F64", 8), ("BOOL", 1), ("F16", 2), ("BF16", 2)):
        yield f"as {dtype}", Tensor(dtype, tensor.shape, bytes(width * values.size))
    shape = tensor.shape
    shapes = [(values.size,), (1, *shape), (*shape, 1), shape[::-1], (), (1,) * 9, (0,), (0, *shape[1:]), (*shape[:-1], 0)]
    shapes += [tuple(2 * n for n in shape), (2**40, *shape[1:]), (2**64,), tuple(n - 1 for n in shape)]
    for new in shapes:
        yield f"claims shape {new}", Tensor(tensor.dtype, new, tensor.data)
        width = np.dtype(_INTEGERS[tensor.dtype]).itemsize
        if np.prod(new, dtype=object) <= 4 * values.size:
            data = (tensor.data * 5)[: int(np.prod(new, dtype=np.int64)) * width]
            yield f"has shape {new}", Tensor(tensor.dtype, new, data)
    for axis in range(values.ndim):
        yield f"reversed {axis}", _stored(np.flip(values, axis), tensor.dtype)
        yield f"rolled {axis}", _stored(np.roll(values, 1, axis), tensor.dtype)
        yield f"doubled {axis}", _stored(np.concatenate([values, values], axis), tensor.dtype)
        for row in rng.sample(range(values.shape[axis]), min(values.shape[axis], 12)):
            one = np.take(values, [row], axis)
            front, back = np.split(values, [row], axis)
            yield f"row {row} of axis {axis} dropped", _stored(np.delete(values, row, axis), tensor.dtype)
            yield f"row {row} of axis {axis} repeated", _stored(np.concatenate([front, one, back], axis), tensor.dtype)
            yield f"row {row} of axis {axis} appended", _stored(np.concatenate([values, one], axis), tensor.dtype)
            swapped = np.take(values, [*range(row), *range(row + 1, values.shape[axis]), row], axis)
            yield f"row {row} of axis {axis} last", _stored(swapped, tensor.dtype)
    for fill in (0, 1, limits.max, limits.min, -1):
        yield f"all {fill}", _stored(np.full(shape, fill), tensor.dtype)
    if values.ndim == 2 and values.shape[0] > 1:
        yield "sorted", _stored(values[np.lexsort(values.T[::-1])], tensor.dtype)
        yield "unique rows", _stored(np.unique(values, axis=0), tensor.dtype)


def hints(base: Base, seed: int = 0) -> Iterator[Mutant]:
    """Every hint tensor, entry by entry and as a whole; also with the count that the mutated hints amount to."""
    rng = random.Random(seed)
    inputs, stated = base.inputs, int(base.document.statement["correct"])
    for name, tensor in base.document.tensors.items():
        for what, variant in _hint_variants(tensor, rng):
            tensors = {key: t for key, t in base.document.tensors.items() if key != name}
            if variant is not None:
                tensors[name] = variant
            document = replace(base.document, tensors=tensors)
            yield base.mutant(f"hint {name}: {what}", document)
            amount = claimed(document, inputs, base.rank)
            if amount not in (None, stated):
                yield base.mutant(f"hint {name}: {what}, counted", document.claiming(amount))
        step, _, hint = name.partition(".")
        for other in (
            f"0.{hint}",
            f"{step}.{hint}s",
            f"{step}.",
            f"0{step}.{hint}",
            f"9999.{hint}",
            hint,
            f"{step}.{hint}.{hint}",
        ):
            tensors = {**base.document.tensors, other: tensor}
            yield base.mutant(f"hint {name}: also as {other}", replace(base.document, tensors=tensors))
            del tensors[name]
            yield base.mutant(f"hint {name}: renamed {other}", replace(base.document, tensors=tensors))


def claims(base: Base) -> Iterator[Mutant]:
    """Hints that claim more than is so, with counts to match: the claim is the only thing wrong with these."""
    for name, tensor in base.document.tensors.items():
        step, _, hint = name.partition(".")
        values = tensor.integers()
        changes: Iterator[tuple[str, np.ndarray]] = iter(())
        if hint == "size":
            changes = _claimed_sizes(values) if values.ndim == 4 else _claimed_bands(values)
        elif hint.endswith(_BOUNDS):
            changes = _claimed_bounds(values)
        elif hint == "levels":
            changes = _claimed_levels(values)
        elif hint == "grouping":
            changes = _claimed_groupings(values)
        elif hint == "numbers" and f"{step}.grouping" in base.document.tensors:
            changes = _claimed_numbers(values)
        elif hint == "inputs":
            changes = _claimed_inputs(values, base.inputs, base.rank)
        elif hint == "ranges":
            changes = _claimed_ranges(values)
        elif hint == "rivals":
            changes = _claimed_blocks(values)
        for what, changed in changes:
            tensors = {**base.document.tensors, name: integer_tensor(changed)}
            document = replace(base.document, tensors=tensors)
            amount = claimed(document, base.inputs, base.rank)
            if amount is None:  # a part of the proof is an enumeration: the harness puts the count right
                amount = int(base.document.statement["correct"])
            yield base.mutant(f"claim: {what}", document.claiming(amount))


def _changed(values: np.ndarray, index: Any, value: Any) -> np.ndarray:
    changed = values.copy()
    changed[index] = value
    return changed


def _claimed_sizes(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    vocab, _, n_ctx, levels = values.shape
    for q, m, c in np.ndindex(values.shape[:3]):
        possible = q <= m and (c > 0 or q == m)
        for size in range(vocab) if possible else ():
            for first in range(levels):
                of_levels = np.maximum(values[q, m, c], np.where(np.arange(levels) >= first, size, 0))
                if not np.array_equal(of_levels, values[q, m, c]):
                    yield f"size {of_levels.tolist()} at {q, m, c}", _changed(values, (q, m, c), of_levels)
    query, label, copies, _ = np.ogrid[:vocab, :vocab, :n_ctx, :levels]
    possible = (((query < label) & (copies > 0)) | (query == label)) & ((label > 0) | (copies == n_ctx - 1))
    everything = np.where(possible, np.where(copies < n_ctx - 1, label, 0), -1)
    yield "everything", np.broadcast_to(everything, values.shape)


def _claimed_bands(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Sizes "m b p c r" of rule low-rank-chains."""
    for label, *rest in np.argwhere(values[..., -1] < np.arange(len(values)).reshape(-1, 1, 1, 1)).tolist():
        for size in range(label + 1):
            larger = np.maximum(values[(label, *rest)], size)
            yield f"size {larger.tolist()} at {(label, *rest)}", _changed(values, (label, *rest), larger)


def _claimed_bounds(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Lengths, rests and norms that are too small."""
    for index in np.ndindex(values.shape):
        for smaller in (0, values[index] // 2, values[index] * 15 // 16, -values[index]):
            yield f"bound {smaller} at {index}", _changed(values, index, smaller)
    yield "bounds halved", values // 2


def _claimed_levels(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for row, token in np.ndindex(values.shape):
        for level in range(int(values.max(initial=0)) + 1):
            if level != values[row, token]:
                yield f"token {token} on level {level} of {row}", _changed(values, (row, token), level)
    yield "all on level 1", np.ones_like(values)


def _claimed_groupings(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Those of other cells."""
    for cell in np.argwhere(values != -1).tolist():
        for grouping in range(int(values.max()) + 1):
            if grouping != values[tuple(cell)]:
                yield f"grouping {grouping} at {cell}", _changed(values, tuple(cell), grouping)


def _claimed_numbers(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for row, side, level in np.ndindex(*values.shape[:2], values.shape[2] - 1):
        if values[row, side, level] > 0:
            moved = values.copy()
            moved[row, side, level] -= 1
            moved[row, side, level + 1] += 1
            yield f"row {row}: a token from level {level} of side {side} to {level + 1}", moved


def _claimed_inputs(values: np.ndarray, inputs: np.ndarray, rank: int) -> Iterator[tuple[str, np.ndarray]]:
    listed = set(map(tuple, values.tolist()))
    for row in inputs[:: max(1, len(inputs) // 120)].tolist():
        if tuple(row) not in listed:
            yield f"input {row}", np.array(make_golden.by_cell({*listed, tuple(row)}, rank))
    yield "every input", np.array(make_golden.by_cell(map(tuple, inputs.tolist()), rank))


def _claimed_ranges(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    vocab = int(values.max())
    for index in np.ndindex(values.shape):
        for bound in range(-1, vocab + 2):
            if bound != values[index]:
                yield f"range {index} at {bound}", _changed(values, index, bound)
    yield "everything", np.tile([0, vocab], (len(values), 1))


def _claimed_blocks(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    rows, outputs = values.shape
    yield "all rivals in one block", np.zeros_like(values)
    yield "every rival for itself, in reverse", np.tile(np.arange(outputs)[::-1], (rows, 1))
    yield "two blocks", np.tile(np.arange(outputs) % 2, (rows, 1))
    yield "the last label's blocks for all", values[-1:]
    for row, output in np.ndindex(values.shape):
        yield f"output {output} in block 0 of {row}", _changed(values, (row, output), 0)


# --- models ----------------------------------------------------------------------------------------------------------


def _at(dtype: str, array: np.ndarray) -> Tensor:
    """An array as a tensor of this dtype; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return Tensor(dtype, array.shape, array.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).tobytes())


def _weight_variants(tensor: RawTensor, rng: random.Random) -> Iterator[tuple[str, Tensor]]:
    values = decoded(tensor)
    yield "negated", _at("F64", -values)
    yield "doubled", _at("F64", 2 * values)
    yield "a hundredfold", _at("F64", 100 * values)
    yield "zero", _at("F16", 0 * values)
    yield "minus zero", _at("F32", np.where(values == 0, -0.0, values))
    yield "tiny", _at("F64", values * 2.0**-1064)
    yield "huge", _at("F64", np.where(values == 0, 1, values) * 1e300)
    yield "wide", _at("F64", values * np.exp2(np.linspace(-1000, 900, values.size)).reshape(values.shape))
    yield "reversed", _at("F64", values[..., ::-1])
    yield "constant", _at("F32", np.ones_like(values))
    yield "rounded", _at("F64", np.round(values))
    for dtype in ("F16", "F32", "F64"):
        yield f"as {dtype}", _at(dtype, values)
    halves = (values.astype("<f4").view("<u4") >> 16).astype("<u2")
    yield "truncated to BF16", Tensor("BF16", tensor.shape, halves.tobytes())
    yield "shifted BF16", Tensor("BF16", tensor.shape, halves.tobytes()[1:] + b"\0")
    for special in (np.nan, np.inf, -np.inf, 1e5, -1e5, 2.0**-1074):
        changed = values.copy()
        changed[tuple(rng.randrange(n) for n in values.shape)] = special
        yield f"with {special}", _at(rng.choice(("F64", "F32", "F16")), changed)
    for power in (*range(-24, 5, 2), 10, 30):
        changed = values.copy()
        changed[tuple(rng.randrange(n) for n in values.shape)] += rng.choice((-1, 1)) * 2.0**power
        yield f"moved by 2**{power}", _at("F64", changed)


def _misfits(tensor: RawTensor) -> Iterator[tuple[str, Tensor | None]]:
    values = decoded(tensor)
    yield "gone", None
    yield "as I32", Tensor("I32", tensor.shape, bytes(4 * values.size))
    yield "as BOOL", Tensor("BOOL", tensor.shape, bytes(values.size))
    yield "with an axis more", Tensor(tensor.dtype, (1, *tensor.shape), tensor.data)
    yield "flat", Tensor(tensor.dtype, (values.size,), tensor.data)
    yield "empty", Tensor(tensor.dtype, (0,), b"")
    yield "a column short", _at("F16", values[..., :-1])
    yield "a column more", _at("F16", np.concatenate([values, values[..., :1]], -1))
    yield "claimed larger", Tensor(tensor.dtype, (*tensor.shape[:-1], 2**40), tensor.data)
    yield "claimed smaller", Tensor(tensor.dtype, (*tensor.shape[:-1], 1), tensor.data)


def _scaled(config: dict[str, Json], factor: float) -> float:
    return float(config["d_head"]) ** 0.5 * factor


def _config_variants(config: dict[str, Json]) -> Iterator[tuple[str, str]]:
    def text(changed: dict[str, Json]) -> str:
        return json.dumps(changed)

    for key in ("d_head", "d_model", "d_vocab", "d_vocab_out", "n_ctx"):
        here = config[key]
        for value in (here + 1, here - 1, 0, -1, 1, True, None, str(here), float(here), here + 0.5, 10**9, 10**30, [here], {}):
            yield f"{key}={value!r}", text({**config, key: value})
        yield f"without {key}", text({k: v for k, v in config.items() if k != key})
    for key, (wanted, _) in AttentionOnly.required.items():
        for value in (
            wanted,
            True,
            False,
            None,
            0,
            1,
            2,
            -1,
            -1.0,
            30,
            "standard",
            "rotary",
            "bidirectional",
            "LN",
            "",
            [],
            {},
        ):
            yield f"{key}={value!r}", text({**config, key: value})
        yield f"without {key}", text({k: v for k, v in config.items() if k != key})
    for value in (
        _scaled(config, 1),
        _scaled(config, 1 + 1e-5),
        _scaled(config, 1 + 1e-8),
        _scaled(config, -1),
        0,
        -1,
        1,
        True,
    ):
        yield f"attn_scale={value!r}", text({**config, "attn_scale": value})
    for spelling in ("NaN", "Infinity", "1e999", "1e99999999", "1" * 5000, "1." + "0" * 100, '"2"', "null", "[1]", "-0", "0.0"):
        yield f"attn_scale={spelling[:20]}", text(config)[:-1] + f', "attn_scale": {spelling}}}'
    for key, value in (("eps", 1e-5), ("act_fn", "solu"), ("seed", None), ("d_mlp", 10**30), ("model_name", "x" * 10000)):
        yield f"{key} ignored", text({**config, key: value})
    for key in ("unknown", "", "n_head", "D_MODEL", "rotary_dim2", "\u00e9"):
        yield f"unknown key {key!r}", text({**config, key: 1})
    yield "repeated key", text(config)[:-1] + ', "n_heads": 1}'
    yield "a list", "[]"
    yield "empty", "{}"
    yield "nothing", ""
    yield "nested", text(config)[:-1] + ', "window_size": ' + "[" * 900 + "]" * 900 + "}"
    yield "nested deeper", text(config)[:-1] + ', "window_size": ' + "[" * 100000


def _buffers(n_ctx: int) -> Iterator[tuple[str, str, Tensor]]:
    mask, ignore = ATTENTION + "mask", ATTENTION + "IGNORE"
    causal = np.tril(np.ones((n_ctx, n_ctx), np.uint8))
    for what, array in (
        ("right", causal),
        ("open", causal * 0 + 1),
        ("shut", causal * 0),
        ("upper", causal.T),
        ("2", causal * 2),
    ):
        yield f"mask {what}", mask, Tensor("BOOL", array.shape, array.tobytes())
    larger = np.tril(np.ones((n_ctx + 1, n_ctx + 1), np.uint8))
    yield "mask too large", mask, Tensor("BOOL", larger.shape, larger.tobytes())
    yield "mask U8", mask, Tensor("U8", causal.shape, causal.tobytes())
    yield "mask with axes", mask, Tensor("BOOL", (1, 1, *causal.shape), causal.tobytes())
    for what, value in (("right", -np.inf), ("finite", -1e5), ("inf", np.inf), ("nan", np.nan), ("zero", 0.0)):
        yield f"IGNORE {what}", ignore, Tensor("F32", (), struct.pack("<f", value))
    yield "IGNORE twice", ignore, Tensor("F32", (2,), struct.pack("<ff", -np.inf, -np.inf))
    yield "IGNORE with axes", ignore, Tensor("F32", (1, 1), struct.pack("<f", -np.inf))


def _about_each(base: Base, variants: list[tuple[str, Tensors, dict[str, str]]], seed: int) -> Iterator[Mutant]:
    """The proof, stated about every one of these models; now and then with the digest left as it was."""
    rng = random.Random(seed)
    for what, tensors, metadata in variants:
        content = container(metadata, tensors)
        yield about(base.document, content, f"model: {what}")
        if rng.random() < 0.02:
            yield Mutant(f"model: {what}, stale digest", base.document.content(), content)


def weights(base: Base, seed: int = 0) -> Iterator[Mutant]:
    """Other weights and biases under the same proof: scaled, shuffled, rounded, special, almost tied; other models."""
    rng = random.Random(seed)
    file = parse_tensor_file(base.model)
    config, metadata = json.loads(file.metadata["config"]), dict(file.metadata)
    d_head, d_model, d_vocab, outputs = (config[key] for key in ("d_head", "d_model", "d_vocab", "d_vocab_out"))
    variants: list[tuple[str, Tensors, dict[str, str]]] = []
    for name, tensor in file.tensors.items():
        for what, variant in _weight_variants(tensor, rng):
            variants.append((f"{name} {what}", {**file.tensors, name: variant}, metadata))
        for other, same in file.tensors.items():
            if other > name and same.shape == tensor.shape:
                variants.append((f"{name} and {other} swapped", {**file.tensors, name: same, other: tensor}, metadata))
    biases = {"b_Q": (1, d_head), "b_K": (1, d_head), "b_V": (1, d_head), "b_O": (d_model,), "unembed.b_U": (outputs,)}
    for short, shape in biases.items():
        name = short if "." in short else ATTENTION + short
        for what, size in (("zero", 0.0), ("small", 0.1), ("noise", 1.0), ("large", 30.0)):
            value = np.array([rng.gauss(0, size) for _ in range(max(shape))]).reshape(shape)
            variants.append((f"{name} {what}", {**file.tensors, name: Tensor("F64", shape, value.tobytes())}, metadata))
    arrays = {name: decoded(tensor) for name, tensor in file.tensors.items()}
    for tokens, scale in itertools.product(rng.sample(base.inputs.tolist(), 2), (1, 1 + 1e-9, 1 - 1e-9, 1 + 1e-15)):
        logits, true = make_golden.forward(arrays, np.array([tokens]))[0], sorted(tokens)[-base.rank]
        rival = max((o for o in range(outputs) if o != true), key=lambda o: logits[o])
        bias = np.zeros(outputs)
        bias[rival] = (logits[true] - logits[rival]) * scale
        tensors = {**file.tensors, "unembed.b_U": Tensor("F64", (outputs,), bias.tobytes())}
        variants.append((f"{tokens} tied but for {scale - 1:.0e}", tensors, metadata))
    for salt in range(20):
        steep = rng.uniform(0, 4)
        other = make_golden.constructed_weights(d_vocab, config["n_ctx"], outputs, steep, salt)
        changed = {**metadata, "config": json.dumps({**config, "d_head": d_vocab, "d_model": d_vocab})}
        variants.append((f"another, number {salt}", make_golden.stored(other), changed))
    yield from _about_each(base, variants, seed)


def configurations(base: Base, seed: int = 0) -> Iterator[Mutant]:
    """Shapes, dtypes, names, buffers and configurations that are not those of a supported model (and some that are)."""
    file = parse_tensor_file(base.model)
    config, metadata = json.loads(file.metadata["config"]), dict(file.metadata)
    variants: list[tuple[str, Tensors, dict[str, str]]] = []
    for name, tensor in file.tensors.items():
        for what, variant in _misfits(tensor):
            tensors = {key: t for key, t in file.tensors.items() if key != name}
            variants.append((f"{name} {what}", tensors | ({} if variant is None else {name: variant}), metadata))
    for name in ("extra", "blocks.1.attn.W_Q", "blocks.0.mlp.W_in", "ln_final.w", "", "__metadata", "embed.W_E "):
        variants.append((f"extra tensor {name!r}", {**file.tensors, name: Tensor("F32", (1,), bytes(4))}, metadata))
    for name in ("unembed.b_U", ATTENTION + "b_Q", ATTENTION + "b_O"):
        variants.append((f"{name} misshapen", {**file.tensors, name: Tensor("F32", (1, 1), bytes(4))}, metadata))
    for what, name, buffer in _buffers(config["n_ctx"]):
        variants.append((what, {**file.tensors, name: buffer}, metadata))
    for what, text in _config_variants(config):
        variants.append((f"config {what}", file.tensors, {**metadata, "config": text}))
    for task in (
        "null",
        "max-of-k",
        '{"name":"min-of-k"}',
        '{"n":2,"name":"nth-max-of-k"}',
        "{",
        "1.5",
        "[" * 900 + "]" * 900,
        "[" * 100000,
    ):
        variants.append((f"task {task[:20]}", file.tensors, {**metadata, "task": task}))
    variants.append(("no task", file.tensors, {"config": metadata["config"]}))
    variants.append(("no config", file.tensors, {"task": "null"}))
    variants.append(("more metadata", file.tensors, {**metadata, "note": ""}))
    yield from _about_each(base, variants, seed)


def about(document: Document, model: bytes, what: str) -> Mutant:
    """The proof, stated about another model: digest and total are that model's where it can be read."""
    put(Path(_SCRATCH.name), model)
    try:
        read = read_model(Path(_SCRATCH.name))
    except FormatError:
        return Mutant(what, document.content(), model)
    config = read.config
    pairs = (config.d_vocab - isinstance(config, UniformAttention)) ** 2
    total = str(config.d_vocab**config.n_ctx if isinstance(config, AttentionOnly) else pairs)
    statement = {**document.statement, "model": read.digest(), "total": total}
    return Mutant(what, replace(document, statement=statement).content(), model)


# --- bytes -----------------------------------------------------------------------------------------------------------


def damaged(base: Base, seed: int = 0, flips: int = 150) -> Iterator[Mutant]:
    """Truncated, extended and corrupted files; a corrupted model that can still be read gets its digest put right."""
    rng = random.Random(seed)
    proof, model = base.document.content(), base.model
    for length in sorted({0, 1, 7, 8, 9, *(rng.randrange(len(proof)) for _ in range(25)), len(proof) - 1}):
        yield Mutant(f"damaged: {length} bytes of the certificate", proof[:length], model)
    for length in sorted({0, 7, 8, *(rng.randrange(len(model)) for _ in range(15)), len(model) - 1}):
        yield Mutant(f"damaged: {length} bytes of the model", proof, model[:length])
    for tail in (b"\0", b" ", b"}", proof, bytes(1000)):
        yield Mutant(f"damaged: {len(tail)} bytes after the certificate", proof + tail, model)
        yield Mutant(f"damaged: {len(tail)} bytes after the model", proof, model + tail)
    yield Mutant("damaged: files exchanged", model, proof)
    yield Mutant("damaged: the certificate as its own model", proof, proof)
    for number in range(flips):
        changed = bytearray(proof)
        for _ in range(rng.choice((1, 1, 2, 8))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        yield Mutant(f"damaged: certificate flip {number}", bytes(changed), model)
        weights = bytearray(model)
        start = rng.choice((0, 8 + struct.unpack("<Q", model[:8])[0]))
        for _ in range(rng.choice((1, 1, 2, 8))):
            weights[rng.randrange(start, len(weights))] ^= 1 << rng.randrange(8)
        yield about(base.document, bytes(weights), f"damaged: model flip {number}")
    for number, length in enumerate((0, 1, 8, 100, 2**63, 2**64 - 1)):
        yield Mutant(f"damaged: header length {number}", struct.pack("<Q", length) + proof[8:], model)


def headers(base: Base) -> Iterator[Mutant]:
    """The container's header: offsets, shapes, dtypes and names that do not go together."""
    proof = base.document.content()
    (length,) = struct.unpack("<Q", proof[:8])
    header, body = json.loads(proof[8 : 8 + length]), proof[8 + length :]
    for name in [key for key in header if key != "__metadata__"]:
        for what, variant in json_variants(header[name]):
            text = json.dumps({**header, name: variant}).encode()
            yield Mutant(f"header: {name} {what}", struct.pack("<Q", len(text)) + text + body, base.model)
    nested = "[" * 900 + "]" * 900
    texts = {
        "a list": "[]",
        "no metadata": json.dumps({key: value for key, value in header.items() if key != "__metadata__"}),
        "nested dtype": json.dumps(header)[:-1] + ', "0.x": {"dtype": ' + nested + ', "shape": [], "data_offsets": [0, 0]}}',
        "nested": nested,
        "repeated tensor": json.dumps(header)[:-1] + ', "1.size": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}' * 2,
        "float offset": json.dumps(header).replace("[0, ", "[0.0, ", 1),
        "zero-sized": json.dumps({**header, "0.x": {"dtype": "I64", "shape": [2**62, 0], "data_offsets": [0, 0]}}),
        "spaces": " " * 1000 + json.dumps(header),
        "NUL": json.dumps(header) + "\0",
        "latin-1": json.dumps(header, ensure_ascii=False) + "\xff",
        "many tensors": json.dumps(
            header | {f"0.a{'b' * i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(500)}
        ),
    }
    for what, text in texts.items():
        encoded = text.encode("latin-1")
        yield Mutant(f"header: {what}", struct.pack("<Q", len(encoded)) + encoded + body, base.model)


STRUCTURED = (documents, steps, hints, claims, weights)
"""Families whose mutants are well-formed files of the right model, most of which the rules have to judge."""
DAMAGED = (configurations, metadata, headers, damaged)
"""Families that aim at the file layer."""


def sample(mutants: Iterator[Mutant], most: int, seed: int = 0) -> list[Mutant]:
    """At most this many of the mutants, chosen at random but always the same, in order."""
    everything = list(mutants)
    chosen = sorted(random.Random(seed).sample(range(len(everything)), min(most, len(everything))))
    return [everything[index] for index in chosen]
