"""Attacks on the checker: whatever is done to an accepted certificate and its model, it answers, in time, and never wrongly.

`python tests/core/test_attacks.py` prints how far the mutants of each family get.
"""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import make_golden
import mutate
import numpy as np
import oracle
import pytest
from mutate import Document, Mutant
from thorough import some

from certificates import (
    AttentionOnly,
    Certificate,
    Model,
    RawTensor,
    Statement,
    Step,
    integer_tensor,
    write_certificate,
    write_model,
)
from certificates.canonical_json import dumps
from certificates.certificate import MAX_STEPS
from certificates.tensor_file import parse_tensor_file
from checker import Verdict, covers, verify

SECONDS = 60.0
"""No mutant of these sizes takes anywhere near this long, on a machine that does other things as well."""
_SHOWS = re.compile(r"the statement claims [0-9]+ correct inputs, but its proof shows ([0-9]+)")
_AT_STEP = re.compile(r"step [0-9]+ \([a-z-]+\): ")


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Raise TimeoutError inside the block once it has taken this long."""

    def ring(signum: int, frame: object) -> None:
        raise TimeoutError(f"{what}: still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def float64_error(weights: Mapping[str, np.ndarray]) -> float:
    """A generous bound on the error of logits computed in float64: every sum is bounded by that of its terms' sizes."""
    sizes = {name.removeprefix(make_golden.ATTENTION): np.abs(w) for name, w in weights.items()}
    residual = sizes["embed.W_E"].max(0) + sizes["pos_embed.W_pos"].max(0)
    query, key, value = (residual @ sizes[f"W_{name}"][0] + sizes.get(f"b_{name}", np.zeros((1, 1)))[0] for name in "QKV")
    final = residual + value @ sizes["W_O"][0] + sizes.get("b_O", 0)
    logits = final @ sizes["unembed.W_U"] + sizes.get("unembed.b_U", 0)
    return float(1e-12 * (1 + query @ key) * logits.max())


@dataclass
class Referee:
    """Checks mutants and judges the verdicts. `outcomes` counts (family, how far it got)."""

    folder: Path
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    truths: dict[tuple[bytes, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    family: str = "bases"
    accepted: int = 0

    def attack(self, mutant: Mutant) -> Verdict:
        """One mutant: the verdict is well-formed, comes in time, and is no acceptance of anything false."""
        verdict = self.check(mutant)
        shown = _SHOWS.fullmatch(verdict.reason)
        if shown is not None:  # put the count right, so that nothing but the mutation itself can be refused
            document = Document.of(mutant.certificate).claiming(int(shown[1]))
            corrected = replace(mutant, what=f"{mutant.what}, corrected", certificate=document.content())
            assert self.check(corrected).accepted, mutant.what
        return verdict

    def check(self, mutant: Mutant) -> Verdict:
        """The checker's verdict on these files."""
        certificate, model = self.folder / "certificate", self.folder / "model"
        mutate.put(certificate, mutant.certificate)
        mutate.put(model, mutant.model)
        started = time.monotonic()
        with time_limit(SECONDS, mutant.what):
            verdict = verify(certificate, model)
        self.slowest = max(self.slowest, (time.monotonic() - started, mutant.what))
        self.outcomes[self.family, self.stage(verdict)] += 1
        assert isinstance(verdict, Verdict), mutant.what
        assert verdict.reason and verdict.reason.isprintable(), mutant.what
        if verdict.accepted:
            assert verdict.exit_code == 0, mutant.what
            self.confirm(mutant, verdict)
        else:
            assert verdict.exit_code in (1, 2), mutant.what
            assert verdict.theorem is verdict.correct is verdict.operations is verdict.accuracy_floor is None, mutant.what
        return verdict

    @staticmethod
    def stage(verdict: Verdict) -> str:
        """How far the files got."""
        if verdict.accepted:
            return "accepted"
        if verdict.exit_code == 1 or _AT_STEP.match(verdict.reason):
            return "refused by the rules"
        return "wrong digest" if "digest" in verdict.reason else "not read"

    def confirm(self, mutant: Mutant, verdict: Verdict) -> None:
        """What was accepted is true: by exhaustion, and input by input for those that it says it covers."""
        inputs, right = self.truth(mutant.model, verdict.task)
        assert verdict.correct is not None and verdict.correct <= int(right.sum()), (mutant.what, verdict.theorem)
        assert verdict.total == len(inputs), mutant.what
        assert verdict.correct == int(Document.of(mutant.certificate).statement["correct"]), mutant.what
        self.accepted += 1
        if self.accepted % 3:
            return  # checks the proof again: every third will do
        covered = covers(self.folder / "certificate", self.folder / "model", inputs) >= 0
        assert int(covered.sum()) == verdict.correct, mutant.what
        assert np.all(right[covered]), mutant.what

    def truth(self, model: bytes, task: Any) -> tuple[np.ndarray, np.ndarray]:
        """All inputs, and on which the model is right: in float64, or exactly where that is not clear."""
        key = model, dumps(task)
        if key not in self.truths:
            tensors = parse_tensor_file(model).tensors
            tensors = {name: t for name, t in tensors.items() if not name.endswith((".mask", ".IGNORE"))}
            weights = {name: mutate.decoded(tensor) for name, tensor in tensors.items()}
            vocab, n_ctx = len(weights["embed.W_E"]), len(weights["pos_embed.W_pos"])
            rank = {"max-of-k": 1, "min-of-k": n_ctx}.get(task["name"]) or int(task["n"])
            inputs = make_golden.all_inputs(vocab, n_ctx)
            with np.errstate(all="ignore"):
                leads = make_golden.leads(weights, inputs, rank)
                clear = bool(np.all(np.abs(leads) > float64_error(weights)))  # never so if anything is not finite
            right = leads > 0
            if not clear:
                (_, d_model), outputs = weights["embed.W_E"].shape, weights["unembed.W_U"].shape[1]
                d_head = weights[make_golden.ATTENTION + "W_Q"].shape[2]
                stored = {name: (t.dtype, t.shape, t.data) for name, t in tensors.items()}
                tiny = oracle.TinyModel(vocab, n_ctx, d_model, d_head, outputs, stored, rank=rank)
                right = oracle.truth(tiny).correct
            self.truths[key] = inputs, right
        return self.truths[key]

    def share(self, *families: str) -> float:
        """The share of these families' mutants on which the rules had the say."""
        counts = Counter[str]()
        for (family, stage), number in self.outcomes.items():
            if not families or family in families:
                counts[stage] += number
        return (counts["accepted"] + counts["refused by the rules"]) / max(counts.total(), 1)

    def table(self) -> str:
        """How many mutants of each family got how far."""
        stages = ("not read", "wrong digest", "refused by the rules", "accepted")
        lines = [f"{'family':16}" + "".join(f"{stage:>22}" for stage in stages) + f"{'rules had the say':>20}"]
        for family in sorted({family for family, _ in self.outcomes}):
            counts = [self.outcomes[family, stage] for stage in stages]
            lines.append(f"{family:16}" + "".join(f"{count:22}" for count in counts) + f"{self.share(family):20.0%}")
        counts = [sum(n for (_, s), n in self.outcomes.items() if s == stage) for stage in stages]
        lines.append(f"{'all':16}" + "".join(f"{count:22}" for count in counts) + f"{self.share():20.0%}")
        return "\n".join([*lines, f"slowest: {self.slowest[0]:.2f} s, {self.slowest[1]}"])


MOST = {"documents": 120, "configurations": 80, "metadata": 40, "headers": 60, "damaged": 80, "weights": 120}
"""How many mutants of a family are tried on each base (of the others: 160)."""


def attack_base(base: mutate.Base, referee: Referee) -> None:
    """All families of mutants of one base."""
    assert referee.attack(Mutant("unchanged", base.document.content(), base.model)).accepted
    for number, family in enumerate((*mutate.STRUCTURED, *mutate.DAMAGED)):
        referee.family = family.__name__
        for mutant in mutate.sample(family(base), some(MOST.get(family.__name__, 160)), seed=number):
            referee.attack(mutant)


@pytest.mark.parametrize("name", mutate.BASES)
def test_no_mutant_gets_a_false_claim_accepted(name: str, tmp_path: Path) -> None:
    referee = Referee(tmp_path)
    attack_base(mutate.make_base(name), referee)
    print(f"\n{name}\n{referee.table()}")
    assert referee.accepted > some(50)
    assert referee.share("steps", "hints", "claims", "weights") > 0.75
    assert referee.share() > 0.45


# --- resources -------------------------------------------------------------------------------------------------------

MEMORY, CPU_SECONDS = 3 << 30, 20
_LIMITED = f"""
import atexit, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
peak = lambda: next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
atexit.register(lambda: print(peak(), file=sys.stderr))
from checker.reporting.cli import main
main(["verify", *sys.argv[1:], "--json"])
"""


def limited_check(folder: Path, *options: str) -> dict[str, Any]:
    """The verdict on folder/certificate and folder/model from a process with little memory and time.

    Its peak is read from /proc: what getrusage tells starts at the peak of the process that it was forked from.
    """
    command = [sys.executable, "-c", _LIMITED, str(folder / "certificate"), "--model", str(folder / "model"), *options]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode in (0, 1, 2), (done.returncode, done.stdout[-500:], done.stderr[-500:])
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert verdict["reason"] and verdict["exit_code"] == done.returncode
    assert "out of memory" not in verdict["reason"], "the budget should have spoken first"
    assert int(done.stderr) < 2304 << 10, f"{done.stderr} KiB"
    return verdict


def random_model(vocab: int, n_ctx: int, d_model: int = 1) -> Model:
    """Noise with as few bytes as these sizes can have."""
    config = AttentionOnly(1, d_model, vocab, vocab, n_ctx)
    rng = np.random.default_rng(0)
    shapes = {name: shape for name, shape in config.tensor_shapes().items() if ".b_" not in name}
    return Model(
        config, {name: RawTensor("F16", s, rng.normal(size=s).astype("<f2").tobytes()) for name, s in shapes.items()}, None
    )


TABLES = make_golden.TABLES


def total_of(*premises: int) -> Step:
    return Step("disjoint-sum", premises)


def _one_input_each(count: int) -> tuple[Step, ...]:
    steps = [make_golden.enumeration([(query, query + 1)] * 2) for query in range(count)]
    return TABLES, *steps, total_of(*range(1, count + 1))


def _many_classes() -> tuple[Step, ...]:
    """Some 20,000 classes with 1,300 groupings."""
    groupings = np.random.default_rng(0).integers(1, 5, (1300, 40))
    groupings[:, 0] = 1
    cells = [(m, q, c, 20 * c + q % 20) for m in range(30, 40) for q in range(m + 1) for c in range(1 if q < m else 0, 64)]
    numbers = [(63 - c - 2 * ((63 - c) // 3), (63 - c) // 3, (63 - c) // 3, 0) for _, _, c, _ in cells]
    return TABLES, make_golden.groups(groupings, cells, numbers, range(40), n_ctx=64, vocab=40)


def _huge_counts() -> tuple[Step, ...]:
    size = np.full((8, 8, 64, 4), -1)
    for q in range(8):
        size[q, q:, 63] = 0
        size[q, 7, 1:63] = (2, 4, 6, 7)
    numbers = [make_numbers(63 - c) for c in range(64)]
    return TABLES, make_golden.chains(size, numbers, [0] * 8, joint=1)


def make_numbers(free: int) -> tuple[int, int, int, int]:
    """So many tokens in four levels, which leave many patterns."""
    return free - 3 * (free // 4), free // 4, free // 4, free // 4


def _many_patterns() -> tuple[Step, ...]:
    """Up to 45,760 patterns for each of 3,906 different classes, which are all true."""
    rng = np.random.default_rng(0)
    groupings = rng.integers(1, 5, (64, 64))
    cells = [(63, q, c, (q + c) % 64) for q in range(63) for c in range(1, 63)]
    numbers = [(0, 0, 0, 63 - c) for _, _, c, _ in cells]
    return TABLES, make_golden.groups(groupings, cells, numbers, [0] * 64, n_ctx=64, vocab=64)


def _unused_groupings(count: int) -> tuple[Step, ...]:
    step = make_golden.groups(np.zeros((0, 8)), np.zeros((0, 4)), np.zeros((0, 1)), range(8), vocab=8)
    levels, numbers = (integer_tensor(np.zeros(shape, np.int64)) for shape in ((count, 8), (count, 1, 1)))
    return TABLES, replace(step, hints={**step.hints, "levels": levels, "numbers": numbers})


def _always_last(vocab: int, n_ctx: int) -> Model:
    """A model that gives one output whatever it sees: the last token."""
    model = random_model(vocab, n_ctx)
    bias = np.zeros(vocab, "<f4")
    bias[-1] = 1
    zero = {name: RawTensor(t.dtype, t.shape, bytes(len(t.data))) for name, t in model.tensors.items()}
    return replace(model, tensors={**zero, "unembed.b_U": RawTensor("F32", (vocab,), bias.tobytes())})


@dataclass(frozen=True)
class Hog:
    """Files below 1 MB that ask for much. `says` is part of the reason that is given."""

    says: str
    model: Callable[[], Model]
    steps: Callable[[], tuple[Step, ...]]
    precision: int = 30
    options: tuple[str, ...] = ()
    claim: int = 0


HOGS = {
    "2048 tokens at 256 bits": Hog("budget", lambda: random_model(2048, 2), lambda: _one_input_each(1), 256),
    "tables again and again": Hog(
        "MiB", lambda: random_model(2048, 2), lambda: (*[TABLES] * (MAX_STEPS - 1), total_of(*range(MAX_STEPS - 1)))
    ),
    "sums of sums": Hog(
        "MiB", lambda: random_model(724, 64), lambda: (total_of(), *(total_of(i) for i in range(MAX_STEPS - 1)))
    ),
    "400,000 premises": Hog("more than 256", lambda: random_model(8, 3), lambda: (total_of(), total_of(*[0] * 400_000))),
    "256 steps of 256 premises of 2048 tokens": Hog(
        "operations",
        lambda: random_model(2048, 2),
        lambda: (total_of(), *(total_of(*[0] * 256) for _ in range(254)), total_of(*range(255))),
        options=("--max-operations", "1000000000"),
    ),
    "2**64 inputs": Hog("operations", lambda: random_model(2, 64), lambda: (TABLES, make_golden.everything(2, 64))),
    "2**63 places for no input": Hog(
        "not less than 2**62",
        lambda: random_model(2, 64),
        lambda: (TABLES, make_golden.enumeration([*[(0, 2)] * 63, (1, 2)], (0, 1))),
    ),
    "products of sets without members": Hog(
        "operations",
        lambda: random_model(512, 64),
        lambda: (TABLES, make_golden.enumeration([(0, 512), *[(0, 1)] * 62, (0, 512)])),
        options=("--max-operations", "1000000000"),
    ),
    "512**2 inputs with 512 rivals": Hog(
        "operations",
        lambda: random_model(512, 2),
        lambda: (TABLES, make_golden.everything(512, 2)),
        options=("--max-operations", "300000000"),
    ),
    "256 bits": Hog(
        "operations",
        lambda: random_model(64, 3),
        lambda: (TABLES, make_golden.everything(64, 3)),
        256,
        ("--max-operations", "300000000"),
    ),
    "a megabyte of groupings": Hog(
        "every step",
        lambda: random_model(8, 3),
        lambda: _unused_groupings(100_000),
    ),
    "thousands of classes": Hog("is not proved correct", lambda: random_model(40, 64), _many_classes),
    "counts of 50 digits": Hog("is not proved correct", lambda: random_model(8, 64), _huge_counts, claim=8**63),
    "patterns of four levels": Hog("its proof shows", lambda: _always_last(64, 64), _many_patterns),
    "a megabyte of inputs": Hog(
        "is not proved correct",
        lambda: random_model(64, 3),
        lambda: (
            TABLES,
            Step("disjoint-sum"),
            make_golden.further(make_golden.by_cell(map(tuple, make_golden.all_inputs(64, 3)))),
        ),
    ),
    "a wide model": Hog("its proof shows", lambda: random_model(2, 2, 2**15), lambda: _one_input_each(2)),
}


@pytest.mark.parametrize("name", HOGS)
def test_small_files_cannot_ask_for_much(name: str, tmp_path: Path) -> None:
    hog = HOGS[name]
    model = hog.model()
    write_model(tmp_path / "model", model)
    statement = Statement(model.digest(), make_golden.TASK, hog.claim, model.config.d_vocab**model.config.n_ctx)
    write_certificate(tmp_path / "certificate", Certificate(statement, hog.precision, hog.steps()))
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 1.1e6
    verdict = limited_check(tmp_path, *hog.options)
    assert hog.says in verdict["reason"], verdict["reason"]


_NOTHING = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
HEADERS = {
    "a deep list": "[" * 1_000_000,
    "a deep object": '{"a":' * 200_000 + "1" + "}" * 200_000,
    "a million zeros": "[" + "0," * 500_000 + "0]",
    "a long number": "9" * 1_000_000,
    "many tensors": "{" + ",".join(f'"0.{"a" * i}":' + _NOTHING for i in range(1, 1000)) + "}",
    "a long name": '{"' + "a" * 1_000_000 + '":' + _NOTHING + "}",
    "an open string": '{"' + "\\" * 1_000_000,
    "quotes": '"' * 1_000_000,
    "a huge shape": '{"0.a":{"dtype":"U8","shape":[' + ",".join(["9" * 4000] * 8) + '],"data_offsets":[0,0]}}',
    "huge offsets": '{"0.a":{"dtype":"U8","shape":[1],"data_offsets":[' + "9" * 4000 + "," + "9" * 4000 + "]}}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_cannot_ask_for_much(name: str, tmp_path: Path) -> None:
    text = HEADERS[name].encode()
    mutate.put(tmp_path / "file", struct.pack("<Q", len(text)) + text)
    with time_limit(SECONDS, name):
        verdict = verify(tmp_path / "file", tmp_path / "file")
    assert not verdict.accepted and verdict.exit_code == 2


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        everything = Referee(Path(scratch))
        for chosen in sys.argv[1:] or mutate.BASES:
            attack_base(mutate.make_base(chosen), everything)
        print(everything.table())
