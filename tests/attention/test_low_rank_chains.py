"""Rule low-rank-chains against what tiny models really do: the lemmas in float64, the theorem by tests/oracles/oracle.py.

Certificates of the prover are accepted and true in both arithmetics. Whatever hints are changed, at random or pushed to the
edge of what is accepted, the bounds that the checker then believes hold, and the inputs that it certifies are correct.
"""

import contextlib
import itertools
import math
import random
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import oracle
import pytest
import torch
from thorough import parts, some

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step, integer_tensor
from checker.attention.ball_covers import Balls
from checker.attention.factored_logits import FactoredLogits
from checker.attention.low_rank_chains import Claims, _check_band, _check_leads, _Scores, _Shares
from checker.core.errors import CheckError, OverBudget, Refused
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.crosscheck.mpmath_intervals import MpmathArithmetic
from checker.decide import Pins, check_proof, parse_task
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from checker.rules.projections import UNIT_BITS, Basis, hinted
from prover.attention import low_rank_bounds
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategy import DoesNotFit

torch.set_num_threads(1)
ATTENTION = oracle.ATTENTION
TASK = {"name": "max-of-k"}
CPU = torch.device("cpu")
PRECISIONS = (30, 30, 26, 20, 40, 64, 14)
RULE = "low-rank-chains"


def as_model(tiny: oracle.TinyModel, task: object = TASK) -> Model:
    config = AttentionOnly(tiny.d_head, tiny.d_model, tiny.vocab, tiny.outputs, tiny.n_ctx)
    return Model(config, {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}, task)


def capable_model(seed: int) -> oracle.TinyModel:
    """Tokens in orthogonal directions, attention to large ones, values copied; then biases, positions and noise."""
    rng = random.Random(seed)
    gauss = np.random.default_rng(seed).standard_normal
    vocab, n_ctx = rng.choice([(v, k) for v in range(2, 6) for k in range(2, 6) if v**k <= 260])
    outputs = vocab + rng.choice((0, 0, 1, 2))
    width, head = vocab + rng.randint(0, 2), vocab + rng.randint(0, 1)
    noise, steep = rng.choice((0.0, 0.02, 0.1, 0.2)), rng.uniform(1.0, 4.0) * head**0.5
    weights = {name: noise * gauss(shape) for name, shape in oracle.shapes(vocab, n_ctx, width, head, outputs).items()}
    weights["embed.W_E"] += np.eye(vocab, width)
    weights[ATTENTION + "W_Q"][0, :, 0] += 1
    weights[ATTENTION + "W_K"][0, :vocab, 0] += steep * np.arange(vocab)
    weights[ATTENTION + "W_V"][0] += np.eye(width, head)
    weights[ATTENTION + "W_O"][0] += rng.uniform(3, 8) * np.eye(head, width)
    weights["unembed.W_U"][:, :vocab] += np.eye(width, vocab)
    weights["pos_embed.W_pos"] *= rng.choice((0.0, 1.0, 3.0))
    for name in oracle.BIASES:
        if rng.random() < 0.5:
            del weights[name]
        else:
            weights[name] *= rng.choice((0.0, 1.0, 4.0))
    if rng.random() < 0.2:  # two outputs of the same size
        weights["unembed.W_U"][:, -1] = weights["unembed.W_U"][:, 0]
    return oracle.pack(weights, rng.choice(("F32", "F64", "F16")), "capable")


def noisy_model(seed: int) -> oracle.TinyModel:
    """Gaussian weights, each matrix at its own size: scores far from one direction, and long or short direct paths."""
    rng, gauss = random.Random(seed), np.random.default_rng(seed).standard_normal
    vocab, n_ctx, width, head = rng.randint(2, 5), rng.randint(2, 4), rng.randint(1, 5), rng.randint(1, 4)
    shapes = oracle.shapes(vocab, n_ctx, width, head, vocab + rng.randint(0, 2))
    weights = {name: 10 ** rng.uniform(-1.5, 0.5) * gauss(shape) for name, shape in shapes.items()}
    return oracle.pack({name: w for name, w in weights.items() if name not in oracle.BIASES or rng.random() < 0.5}, "F64")


def setting_for(model: Model, precision: int, arithmetic: str = "scaled", margin: Fraction = Fraction(0)) -> Setting:
    meter = Meter(Budget())
    chosen = MpmathArithmetic(meter) if arithmetic == "mpmath" else ScaledArithmetic(precision, meter)
    return Setting(model, parse_task(model.task, model.config, {}, meter), chosen, meter, margin=margin)


def applied(model: Model, step: Step, precision: int) -> CertifiedInputs | None:
    """What the rule establishes; None if it refuses."""
    try:
        fact = RULES[RULE](setting_for(model, precision), step, ())
    except CheckError:
        return None
    assert isinstance(fact, CertifiedInputs)
    return fact


def proved_step(model: Model, precision: int, margin: Fraction = Fraction(0), **switches: int) -> Step:
    certificate, _ = prove(SequenceProblem(model, CPU, precision, margin=margin), ATTENTION_STRATEGIES[RULE](**switches))
    return certificate.steps[0]


def assert_true(fact: CertifiedInputs, truth: oracle.Truth) -> int:
    covered = fact.covers(truth.tokens)
    wrong = truth.tokens[covered & ~truth.correct]
    assert not len(wrong), f"certified, but classified wrongly: {wrong[:5].tolist()}"
    assert fact.correct == covered.sum()
    last, largest = truth.tokens[:, -1], truth.tokens.max(axis=1)
    copies = (truth.tokens[:, :-1] == largest[:, None]).sum(axis=1)
    assert fact.cells[last, largest, copies][covered].all()
    return fact.correct


# --- the lemmas, in float64 ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reality:
    """gain "m": least lead of the value of m over a rival; loss "t": most of any output over a label; log_weight "q j t".

    The margin is part of gains and losses.
    """

    gain: np.ndarray
    loss: np.ndarray
    log_weight: np.ndarray
    margin: Fraction

    @staticmethod
    def of(tiny: oracle.TinyModel, margin: Fraction = Fraction(0)) -> "Reality":
        """From the definitions, looking at every query, position and pair of outputs."""
        w = {name: np.array(tiny.matrix(name), dtype=np.float64) for name in tiny.shapes}
        vocab = tiny.vocab
        keys, values = w[ATTENTION + "W_K"], w[ATTENTION + "W_V"] @ w[ATTENTION + "W_O"]
        last = w["embed.W_E"] + w["pos_embed.W_pos"][-1]
        residual = w["embed.W_E"][None] + w["pos_embed.W_pos"][:, None]  # j t d
        score = np.einsum("qh,jth->qjt", last @ w[ATTENTION + "W_Q"] + w[ATTENTION + "b_Q"], residual @ keys)
        direct = (last + w[ATTENTION + "b_O"] + w[ATTENTION + "b_V"] @ w[ATTENTION + "W_O"]) @ w["unembed.W_U"]
        logit = (direct + w["unembed.b_U"])[:, None, None] + residual @ values @ w["unembed.W_U"]  # q j t o
        lead = logit[..., :, None] - logit[..., None, :]  # q j t m o
        loss = float(margin) - lead[..., :vocab, :].min(axis=(0, 1, 3, 4))
        same = np.eye(tiny.outputs, dtype=np.bool_)
        own = np.where(same, np.inf, lead).min(axis=(0, 1, 4))  # t m
        gain = own[np.arange(vocab), np.arange(vocab)] - float(margin)
        return Reality(gain, loss, score / tiny.d_head**0.5, margin)


def endpoints(enclosure: object) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper endpoints in float64."""
    return tuple(np.ldexp(part.astype(np.float64), -enclosure.shift) for part in (enclosure.lo, enclosure.hi))


def integers(step: Step) -> dict[str, np.ndarray]:
    return {name: tensor.integers() for name, tensor in step.hints.items()}


def leads_hold(tiny: oracle.TinyModel, reality: Reality, step: Step, precision: int) -> bool | None:
    """Whether the leads and losses that the checker believes are true; None if it believes nothing."""
    setting, hints = setting_for(as_model(tiny), precision, margin=reality.margin), integers(step)
    try:
        labels = _check_leads(setting, FactoredLogits.of(setting), dict(step.parameters), hints)
    except CheckError:
        return None
    gain, loss = (np.exp(np.ldexp(hints[name].astype(np.float64), -UNIT_BITS)) for name in ("log_gain", "log_loss"))
    slack = 1e-9 * (1 + np.abs(reality.loss).max())
    return bool(np.all(gain[labels] <= reality.gain[labels] + slack) and np.all(loss >= reality.loss - slack))


def scores_hold(tiny: oracle.TinyModel, reality: Reality, step: Step, precision: int, bands: list[list[int]]) -> bool | None:
    """Whether the bounds for scores that the checker believes are true, for these bands; None if it believes nothing."""
    setting, hints = setting_for(as_model(tiny), precision), integers(step)
    nothing = hinted(setting, np.zeros((tiny.vocab, 1), np.int64), 0)
    try:
        scores = _Scores.of(setting, FactoredLogits.of(setting), dict(step.parameters), hints)
        found = [scores.of_band(np.array(band), nothing, nothing) for band in bands]
    except CheckError:
        return None
    slack = 1e-9 * (1 + np.abs(reality.log_weight).max())
    for band, (risk, base) in zip(bands, found, strict=True):
        most = (endpoints(risk)[1] - endpoints(base)[0].T) + slack  # t m
        for q, t, m in itertools.product(band, range(tiny.vocab), range(tiny.vocab)):
            if t <= m and reality.log_weight[q, :, t].max() - reality.log_weight[q, :, m].min() > most[t, m]:
                return False
    return True


def every_band(vocab: int) -> list[list[int]]:
    return [[q] for q in range(vocab)] + [list(range(vocab)), list(range(0, vocab, 2))]


def with_hint(step: Step, name: str, values: np.ndarray) -> Step:
    return replace(step, hints=dict(step.hints) | {name: integer_tensor(values)})


LEAD_HINTS = (
    *("unembed_centre", "direct_centre", "position_centre", "value_basis", "value_length", "lead_length", "lead_rest"),
    *("unembed_rest", "unembed_square", "centre", "radius", "log_gain", "log_loss"),
)
LEAD_PARAMETERS = ("value_tilt", "direct_radius", "position_radius", "unembed_radius", "pull", "allowance", "scale")
SCORE_HINTS = ("token_centre", "key_basis", "query_rest", "token_rest")


def pushed(step: Step, name: str, index: tuple[int, ...], direction: int, believes: object) -> Step:
    """The step with one hint, or a parameter, moved as far as the checker believes it."""
    for bit in range(34, 8, -3):
        for _ in range(7):
            if index == ():
                trial = replace(step, parameters=dict(step.parameters) | {name: step.parameters[name] + (direction << bit)})
            else:
                values = step.hints[name].integers().copy()
                values[index] += direction << bit
                trial = with_hint(step, name, values)
            held = believes(trial)
            if held is None:
                break
            assert held, f"{name} {index} moved by {direction} << {bit}: the checker believes what is false"
            step = trial
    return step


@pytest.mark.parametrize("part", parts(6))
def test_leads_and_scores_hold_at_the_edge_of_what_is_believed(part):
    """Hints are moved one after another, so that the later ones meet earlier ones that leave no room."""
    for seed in range(3 * part, 3 * part + 3):
        rng, precision = random.Random(seed), PRECISIONS[seed % len(PRECISIONS)]
        tiny = noisy_model(seed) if seed % 2 else capable_model(seed)
        margin = Fraction(seed % 3, 16)
        reality = Reality.of(tiny, margin)
        step = proved_step(as_model(tiny), max(precision, 20), margin, rank=rng.randint(1, 6))
        bands = every_band(tiny.vocab)

        def leads(trial, tiny=tiny, reality=reality, precision=precision):
            return leads_hold(tiny, reality, trial, max(precision, 20))

        def scores(trial, tiny=tiny, reality=reality, precision=precision, bands=bands):
            return scores_hold(tiny, reality, trial, max(precision, 20), bands)

        assert leads(step) and scores(step)
        names = [name for name in LEAD_HINTS + LEAD_PARAMETERS if name not in ("log_gain", "log_loss", "scale")]
        rng.shuffle(names)
        for name in [*names[:6], *SCORE_HINTS, "log_gain", "log_loss"]:
            believes = scores if name in SCORE_HINTS else leads
            if name in LEAD_PARAMETERS:
                step = pushed(step, name, (), rng.choice((-1, -1, 1)), believes)
                continue
            shape, all_of_it = step.hints[name].shape, name in ("log_gain", "log_loss", "query_rest", "token_rest")
            directions = {"log_gain": (1,), "log_loss": (-1,), "query_rest": (-1,), "token_rest": (-1,)}.get(name, (-1, -1, 1))
            places = list(np.ndindex(*shape))
            for index in places if all_of_it else rng.sample(places, min(len(places), 2)):
                step = pushed(step, name, index, rng.choice(directions), believes)


def test_leads_hold_at_the_edge_with_badly_chosen_coordinates(monkeypatch):
    """A large part of the values is left to the rests, which are tight if all but one direction is kept."""
    covered = 0
    for seed in range(some(20)):
        tiny, gen = capable_model(4000 + seed), np.random.default_rng(seed)

        def directions(vectors, rank, gen=gen):
            width = vectors.shape[1]
            return np.linalg.qr(gen.standard_normal((width, width)))[0][:, : max(width - 1, 1) if rank > 1 else 1]

        monkeypatch.setattr(low_rank_bounds, "main_directions", directions)
        reality = Reality.of(tiny)
        step = proved_step(as_model(tiny), 40, rank=9, slack=50 * (seed % 2), distance=100)

        def leads(trial, tiny=tiny, reality=reality):
            return leads_hold(tiny, reality, trial, 40)

        for label in np.unique(step.hints["cover"].integers()[:, 0]).tolist():
            rest = step.hints["lead_rest"].integers()[label]
            covered += rest > step.hints["lead_length"].integers()[label] // 4
            for name, index in (("lead_rest", (label,)), ("unembed_rest", (label - 1,)), ("unembed_square", (label - 1,))):
                step = pushed(step, name, index, -1, leads)
            step = pushed(step, "log_gain", (label,), 1, leads)
    assert covered > 3


@pytest.mark.parametrize("part", parts(4))
def test_leads_and_scores_hold_for_random_hints(part):
    """Large and small random changes of several hints at once: most are refused, and what is believed is true."""
    believed = 0
    for seed in range(100 + 10 * part, 110 + 10 * part):
        rng, precision = random.Random(seed), max(PRECISIONS[seed % len(PRECISIONS)], 20)
        tiny = noisy_model(seed) if seed % 2 else capable_model(seed)
        reality, step = Reality.of(tiny), proved_step(as_model(tiny), precision)
        for _ in range(40):
            trial = step
            for name in rng.sample(LEAD_HINTS + SCORE_HINTS + ("cover", "order", "runs"), rng.randint(1, 3)):
                trial = with_hint(trial, name, scrambled(rng, trial.hints[name].integers()))
            if rng.random() < 0.3:
                name = rng.choice(LEAD_PARAMETERS)
                changed = trial.parameters[name] + rng.choice((-1, 1)) * (1 << rng.randrange(20))
                trial = replace(trial, parameters=dict(trial.parameters) | {name: changed})
            for held in (
                leads_hold(tiny, reality, trial, precision),
                scores_hold(tiny, reality, trial, precision, every_band(tiny.vocab)),
            ):
                assert held is not False
                believed += held is True
    assert believed > 100


def scrambled(rng: random.Random, values: np.ndarray) -> np.ndarray:
    """Integers changed somewhere."""
    values = values.copy()
    if not values.size:
        return values
    index = tuple(rng.randrange(n) for n in values.shape)
    what = rng.randrange(6)
    if what == 0:
        values[index] += rng.choice((-1, 1)) * (1 << rng.randrange(32))
    elif what == 1:
        values[index] = -values[index]
    elif what == 2:
        values[index] = rng.choice((0, 1, -1))
    elif what == 3:
        values = values[np.array([rng.randrange(len(values)) for _ in values])]
    elif what == 4:
        values = values * 2
    else:
        values = values // 2
    return values


# --- the theorem, by the oracle --------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", parts(6))
def test_what_the_prover_writes_is_accepted_and_true(part):
    """Also with the same count and operations in the other arithmetic."""
    shares = []
    for seed in range(24 * part, 24 * part + 24):
        tiny = capable_model(1000 + seed) if seed % 2 else oracle.random_model(seed, largest=130)
        model, precision = as_model(tiny), PRECISIONS[seed % len(PRECISIONS)]
        switches = {"rank": 1 + seed % 5, "bands": 1 + seed % 3, "profiles": 1 + seed % 4, "slack": 20 * (seed % 2)}
        try:
            certificate, evidence = prove(SequenceProblem(model, CPU, precision), ATTENTION_STRATEGIES[RULE](**switches))
        except DoesNotFit:
            assert tiny.kind == "wild" or precision < 16
            continue
        proof = check_proof(certificate, model)
        assert proof.result.correct == evidence.correct == sum(map(int, evidence.cells.reshape(-1)))
        shares.append(proof.result.correct / max(assert_true_of(proof.result, tiny), 1))
        if seed % 4 == 1:
            slow = check_proof(certificate, model, arithmetic=ARITHMETICS["mpmath"])
            assert (slow.result.correct, slow.operations) == (proof.result.correct, proof.operations)
    assert sum(share > 0.5 for share in shares) >= 4
    assert any(0 < share < 1 for share in shares)


def assert_true_of(fact: CertifiedInputs, tiny: oracle.TinyModel) -> int:
    truth = oracle.truth(tiny)
    assert_true(fact, truth)
    return truth.count


@pytest.mark.parametrize("part", parts(4))
def test_claims_enlarged_greedily_are_true(part):
    """With shares drawn anew so that they leave nothing, each class gets the longest prefixes that the checker accepts."""
    enlarged = 0
    for seed in range(8 * part, 8 * part + 8):
        rng, tiny, precision = random.Random(seed), capable_model(2000 + seed), PRECISIONS[seed % 4]
        model, truth = as_model(tiny), oracle.truth(tiny)
        step = proved_step(model, precision, bands=1 + seed % 2, profiles=1 + seed % 2)
        before = applied(model, step, precision).correct
        step = with_shares_drawn(rng, step)
        numbers = step.hints["numbers"].integers()
        vocab, bands, profiles = step.hints["own"].shape
        step = with_hint(step, "size", np.full(step.hints["size"].shape, -1))
        own = np.zeros((vocab, bands, profiles), np.int64)
        step = with_hint(step, "own", own)
        for _ in range(24):
            m, b, p, c = (rng.randrange(n) for n in (vocab, bands, profiles + 1, tiny.n_ctx))
            m = rng.choice((m, vocab - 1))
            b = step.hints["band"].integers()[m] if p == profiles else b
            if p < profiles:  # as many queries as there can be
                trial = step.hints["own"].integers().copy()
                trial[m, b, p:] = max(int(trial[m, b, -1]), rng.randint(0, m))
                step = with_hint(step, "own", trial) if applied(model, with_hint(step, "own", trial), precision) else step
            depth = int((numbers[c] > 0).sum())
            chains = [
                chain for chain in itertools.product(range(m, -1, -1), repeat=max(depth, 1)) if list(chain) == sorted(chain)
            ]
            chains.sort(key=lambda chain: -sum(chain))
            for chain in chains[:6]:
                size = step.hints["size"].integers().copy()
                size[m, b, p, c] = [*chain, *[chain[-1]] * (numbers.shape[1] - len(chain))]
                fact = applied(model, with_hint(step, "size", size), precision)
                if fact is not None:
                    assert_true(fact, truth)
                    step = with_hint(step, "size", size)
                    break
        fact = applied(model, step, precision)
        enlarged += assert_true(fact, truth) > before / 2 > 0
    assert enlarged > 0


def with_shares_drawn(rng: random.Random, step: Step) -> Step:
    """Shares that leave all but nothing, for random parts."""
    numbers, log_own, log_share = (step.hints[name].integers() for name in ("numbers", "log_own", "log_share"))
    unit = float(1 << UNIT_BITS)
    log_own = np.floor(np.log([rng.uniform(0.05, 0.95) for _ in log_own]) * unit).astype(np.int64)
    log_share = log_share.copy()
    for p, c in itertools.product(range(len(log_share)), range(len(numbers))):
        budget = c + 1 if p == len(log_own) else c - math.exp(log_own[p] / unit)
        if budget > 0:
            parts = np.array([rng.uniform(0.1, 1) for _ in numbers[c]])
            parts *= budget * (1 - 1e-2) / max((parts * numbers[c]).sum(), 1e-9)
            log_share[p, c] = np.floor(np.log(np.minimum(parts, 20.0)) * unit)
    return with_hint(with_hint(step, "log_own", log_own), "log_share", log_share)


def test_shares_must_leave_something():
    """Accepted with 0.1% to spare, refused with 0.1% too much, for every profile and number of copies by itself."""
    model, step = small_step()
    hints, unit = integers(step), float(1 << UNIT_BITS)
    numbers, profiles = hints["numbers"], hints["own"].shape[2]
    for p, c in itertools.product(range(profiles + 1), range(len(numbers))):
        own = 0.0 if p == profiles else math.exp(hints["log_own"][p] / unit)
        if numbers[c].sum() == 0 or (c == 0 and p < profiles):
            continue
        for factor in (0.999, 1.001):
            changed = hints["log_share"].copy()
            share = factor * (c + (p == profiles) - own) / numbers[c].sum()
            changed[p, c] = round(math.log(share) * unit)
            setting = setting_for(model, 30)
            if factor < 1:
                _Shares.of(setting, hints | {"log_share": changed})
            else:
                with pytest.raises(CheckError):
                    _Shares.of(setting, hints | {"log_share": changed})


def test_sizes_must_stay_within_their_shares():
    """With risks and bases written by hand: the largest size that holds for every level and profile, and one more."""
    model, step = small_step()
    setting, hints = setting_for(model, 30), integers(step)
    vocab, _, profiles = hints["own"].shape
    task, label, band, unit = setting.task, vocab - 1, int(hints["band"][vocab - 1]), 1 << UNIT_BITS
    shares = _Shares.of(setting, hints)
    base = hinted(setting, np.zeros((vocab, 1), np.int64), 0)
    for allowed, p, c in itertools.product(range(label + 1), range(profiles + 1), range(1, task.n_ctx)):
        numbers = hints["numbers"][c]
        for level in [i for i in range(len(numbers)) if numbers[i]] + ([-1] if p < profiles else []):
            limit = int(hints["log_own"][p] if level == -1 else hints["log_share"][p, c, level])
            low = int(min(hints["log_own"].min(), hints["log_share"].min())) - unit
            risk = hinted(setting, np.where(np.arange(vocab) < allowed, low, limit + unit).reshape(-1, 1), UNIT_BITS)
            for more in (0, 1):
                if allowed + more > label or (numbers.any() and allowed + min(level + 1, more) == 0):
                    continue  # nothing can be taken from no tokens
                size, own = np.full(hints["size"].shape, -1), np.zeros_like(hints["own"])
                size[label, band, p, c] = int(numbers.any())
                if level == -1:
                    own[label, band, p:] = allowed + more
                else:
                    size[label, band, p, c, level:] = allowed + more
                    if any(
                        numbers[i] and hints["log_share"][p, c, i] < limit + 2 * unit and i != level for i in range(level, 3)
                    ):
                        continue  # levels above are tried by themselves
                claims = Claims.of(task, hints | {"size": size, "own": own}, setting.meter)
                if more:
                    with pytest.raises(CheckError):
                        _check_band(claims, shares, band, risk, base)
                else:
                    _check_band(claims, shares, band, risk, base)


def test_smaller_tokens_through_min_of_k():
    """Min-of-K on a model with its tokens renumbered is Max-of-K: the same figures."""
    for seed in range(8):
        tiny = capable_model(3000 + seed)
        weights = {name: np.array([float(x) for x in tiny.numbers(name)]).reshape(tiny.shapes[name]) for name in tiny.tensors}
        turned = dict(weights)
        turned["embed.W_E"] = weights["embed.W_E"][::-1]
        for name in ("unembed.W_U", "unembed.b_U"):
            if name in weights:
                turned[name] = weights[name].copy()
                turned[name][..., : tiny.vocab] = weights[name][..., : tiny.vocab][..., ::-1]
        results = []
        for model, task in (
            (as_model(tiny), "max-of-k"),
            (as_model(oracle.pack(turned, "F64"), {"name": "min-of-k"}), "min-of-k"),
        ):
            certificate, _ = prove(SequenceProblem(model, CPU, 30), ATTENTION_STRATEGIES[RULE]())
            proof = check_proof(certificate, model, pins=Pins(task={"name": task}))
            results.append((proof.result.correct, proof.operations))
        assert results[0] == results[1]


# --- refusals --------------------------------------------------------------------------------------------------------


def small_step() -> tuple[Model, Step]:
    tiny = next(tiny for tiny in map(capable_model, range(99)) if tiny.n_ctx >= 4 and tiny.vocab >= 4)
    model = as_model(tiny)
    return model, proved_step(model, 30, bands=2, profiles=2)


@pytest.mark.parametrize(
    "name", [*LEAD_HINTS, *SCORE_HINTS, "order", "runs", "cover", "log_own", "log_share", "band", "own", "size"]
)
def test_hints_of_another_shape_or_beyond_53_bits_are_refused(name):
    model, step = small_step()
    values = step.hints[name].integers()
    for changed in (values[:-1], values[..., None], values[:0], values.reshape(-1)[:, None, None, None, None, None]):
        fact = applied(model, with_hint(step, name, changed), 30)
        assert fact is None or name in ("cover", "runs")  # fewer covers prove less, but may prove something
    for huge in (2**53, -(2**53), 2**62, -(2**63)):
        values = step.hints[name].integers().copy()
        values.reshape(-1)[0] = huge
        assert applied(model, with_hint(step, name, values), 30) is None or name in ("log_loss", "size")


def test_profiles_have_tokens_below_the_label_only():
    """Others would be counted as queries below it."""
    model, step = small_step()
    own = step.hints["own"].integers()
    for label in range(len(own)):
        for places, size in ((slice(-1, None), label + 1), (slice(0, 1), -1)):
            changed = own.copy()
            changed[label, :, places] = size
            with pytest.raises(Refused, match="the sizes of profiles"):
                RULES[RULE](setting_for(model, 30), with_hint(step, "own", changed), ())


def test_risks_are_those_of_all_tokens_up_to_one():
    """Of a prefix the largest, whichever token has it: here the first one."""
    model, step = small_step()
    setting, hints = setting_for(model, 30), integers(step)
    scores = _Scores.of(setting, FactoredLogits.of(setting), dict(step.parameters), hints)
    steep = hinted(setting, (np.arange(len(hints["band"]), 0, -1) * 50 << UNIT_BITS).reshape(-1, 1), UNIT_BITS)
    risk, _ = scores.of_band(np.flatnonzero(hints["band"] == hints["band"][-1]), steep, steep)
    highest = endpoints(risk)[1][:, 0]
    assert len(highest) > 2 and np.all(highest == highest[0])


def test_classes_without_inputs_are_refused():
    """A query below the label without copies of it, and a query that is the label in a band that is not its own."""
    model, step = small_step()
    setting, hints = setting_for(model, 30), integers(step)
    label, (_, bands, profiles) = len(hints["own"]) - 1, hints["own"].shape
    band = int(hints["band"][label])
    for of_band, profile, copies in ((band, 0, 0), ((band + 1) % bands, profiles, 1)):
        size = np.full(hints["size"].shape, -1)
        size[label, of_band, profile, copies] = 1
        with pytest.raises(Refused, match="a class is claimed that has no inputs"):
            Claims.of(setting.task, hints | {"size": size}, setting.meter)


def test_it_is_about_the_largest_token_only():
    model, step = small_step()
    setting = setting_for(model, 30)
    second = parse_task({"n": 2, "name": "nth-max-of-k"}, model.config, {}, setting.meter)
    with pytest.raises(Refused, match="low-rank-chains"):
        RULES[RULE](replace(setting, task=second), step, ())


def test_sizes_of_profiles_do_not_decrease():
    """Else a query could get a profile whose tokens it is not among."""
    model, step = small_step()
    own = step.hints["own"].integers()
    for label in range(1, len(own)):
        changed = own.copy()
        changed[label, :, 0], changed[label, :, 1:] = label, label - 1
        with pytest.raises(Refused, match="the sizes of profiles must not decrease"):
            RULES[RULE](setting_for(model, 30), with_hint(step, "own", changed), ())


def test_looking_for_profiles_takes_memory():
    """Inputs by profiles, however few of these are of use."""
    model, step = small_step()
    for name, axis in {"own": 2, "log_own": 0, "log_share": 0, "size": 2}.items():
        values = step.hints[name].integers()
        step = with_hint(step, name, np.repeat(values, [5000, *[1] * (values.shape[axis] - 1)], axis=axis))
    step = with_hint(step, "size", np.full_like(step.hints["size"].integers(), -1))
    setting = setting_for(model, 30)
    fact = RULES[RULE](setting, step, ())
    assert not fact.may_count(np.zeros((10, model.config.n_ctx), np.int64)).any()
    with pytest.raises(OverBudget):
        fact.may_count(np.zeros((10**5, model.config.n_ctx), np.int64))


def test_balls_bound_linear_functions_of_all_other_outputs():
    """Random balls, rests, squares and rows: whatever passes is an upper bound, for covers with and without the label."""
    setting, passed, refused = setting_for(small_step()[0], 40), 0, 0
    unit = 1 << 20
    for seed in range(300):
        rng, gen = random.Random(seed), np.random.default_rng(seed)
        outputs, rank = rng.randint(2, 9), rng.randint(1, 3)
        vocab = rng.randint(1, outputs)
        points = gen.integers(-3 * unit, 3 * unit, (outputs, rank))
        rest, square = gen.integers(0, unit, outputs), gen.integers(0, 2 * unit, outputs)
        order = gen.permutation(outputs)
        cuts = sorted({0, outputs, *(rng.randrange(outputs) for _ in range(2))})
        tiles = list(itertools.pairwise(cuts))
        runs = tiles + [(i, i + 1) for i in range(outputs)]
        centre = np.array([points[order[b:e]].mean(axis=0).astype(np.int64) for b, e in runs])
        away = [np.abs(points[order[b:e]] - c).astype(np.float64) for (b, e), c in zip(runs, centre, strict=True)]
        radius = np.array([math.ceil(math.sqrt((a**2).sum(axis=1).max())) + 4 for a in away])
        radius[rng.randrange(len(radius))] -= rng.choice((0, 0, 0, 8, unit))
        rows = gen.integers(-2 * unit, 2 * unit, (vocab, rank + 3))
        length = np.ceil(np.sqrt((rows[:, :rank].astype(np.float64) ** 2).sum(axis=1))).astype(np.int64) + 1
        rows[:, rank], rows[:, rank + 1 :] = length, np.abs(rows[:, rank + 1 :])
        cover = []
        for m in range(vocab):
            place = int(np.flatnonzero(order == m)[0])
            for ball, (b, e) in enumerate(tiles):
                if b <= place < e and rng.random() < 0.7:  # single outputs instead, without m
                    cover += [(m, len(tiles) + i) for i in range(b, e) if i != place or rng.random() < 0.1]
                else:
                    cover.append((m, ball))
        if rng.random() < 0.2 and cover:
            del cover[rng.randrange(len(cover))]
        hints = {"order": order, "runs": np.array(runs), "centre": centre, "radius": radius}
        try:
            balls = Balls.of(setting, hinted(setting, points, 20), rest, square, hints, 20)
            labels, largest = balls.largest(setting, hinted(setting, rows, 20), np.array(cover).reshape(-1, 2))
        except CheckError:
            refused += 1
            continue
        passed += 1
        numbers = np.concatenate([points, rest[:, None], square[:, None]], axis=1).astype(np.float64) / unit
        found = numbers @ (np.delete(rows, rank, axis=1).astype(np.float64) / unit).T  # o m
        for m, bound in zip(labels.tolist(), endpoints(largest)[0][:, 0], strict=True):
            others = np.delete(found[:, m], m)
            assert bound >= others.max() - 1e-4
    assert passed > 100 and refused > 30


@pytest.mark.parametrize(
    ("cover", "why"),
    [
        ([(0, 0), (1, 0), (2, 0)], "a label or a ball that does not exist"),
        ([(0, 0), (-1, 0)], "a label or a ball that does not exist"),
        ([(0, 0), (1, 3)], "a label or a ball that does not exist"),
        ([(0, 0), (1, -1)], "a label or a ball that does not exist"),
        ([(1, 0), (0, 0)], "in the order of their labels"),
        ([(0, 0), (0, 0)], "do not cover all other outputs"),
        ([(0, 1), (0, 2)], "do not cover all other outputs"),  # they overlap
    ],
)
def test_covers_have_one_form(cover: list[tuple[int, int]], why: str) -> None:
    """Of three outputs, by a ball that holds all, and two that overlap; for two labels."""
    setting = setting_for(small_step()[0], 40)
    points, zeros = np.zeros((3, 1), np.int64), np.zeros(3, np.int64)
    hints = {"order": np.arange(3), "runs": np.array([(0, 3), (0, 2), (1, 3)]), "centre": points, "radius": zeros + 4}
    balls = Balls.of(setting, hinted(setting, points, 20), zeros, zeros, hints, 20)
    rows = hinted(setting, np.ones((2, 4), np.int64), 20)
    assert balls.largest(setting, rows, np.array([(0, 0), (1, 0)]))[0].tolist() == [0, 1]
    with pytest.raises(Refused, match=why):
        balls.largest(setting, rows, np.array(cover))


def test_rests_bound_what_coordinates_leave_out():
    """Random bases, some far from orthonormal, and rests as small as the checker lets them be."""
    setting, passed = setting_for(small_step()[0], 40), 0
    for seed in range(some(80)):
        rng, gen = random.Random(seed), np.random.default_rng(seed)
        width = rng.randint(1, 5)
        rank, tilt = rng.randint(1, width), rng.choice((2, 2, 3, 6, 20))
        columns = np.linalg.qr(gen.standard_normal((width, rank)))[0]
        columns = columns + rng.choice((0, 2.0**-tilt)) * gen.standard_normal(columns.shape) / width
        try:
            basis = Basis.of(setting, np.rint(columns * 2.0**UNIT_BITS).astype(np.int64), tilt)
        except CheckError:
            continue
        passed += 1
        vectors = [gen.integers(-(1 << 20), 1 << 20, (6, width)) for _ in range(2)]
        for part in vectors:  # some all but in the range of the basis, where the rests are smallest
            part[:4] = np.rint(gen.standard_normal((4, rank)) @ columns.T * 2**18).astype(np.int64)
        rests = []
        for part in vectors:
            rest = np.full(len(part), 1 << 24)
            for bit, row in itertools.product(range(23, -1, -1), range(len(part))):
                trial = rest.copy()
                trial[row] -= 1 << bit
                with contextlib.suppress(CheckError):
                    basis.coordinates(setting, hinted(setting, part, 20), trial, 20, "a vector")
                    rest = trial
            rests.append(rest / 2.0**20)
        left, right = (part / 2.0**20 for part in vectors)
        error = np.abs(left @ right.T - (left @ columns) @ (right @ columns).T)
        assert np.all(error <= np.outer(*rests) + 1e-6)
    assert passed > some(32)


def test_parameters_out_of_range_are_refused():
    model, step = small_step()
    for name in step.parameters:
        for value in (-1, -(2**60), 2**53, 2**70, 10**30):
            changed = replace(step, parameters=dict(step.parameters) | {name: value})
            assert applied(model, changed, 30) is None, (name, value)
    assert applied(model, replace(step, parameters={}), 30) is None


def test_leads_and_losses_are_about_the_margin():
    """Proofs without one say nothing of a large one: neither of what is lost nor, if far more is lost, of what is gained."""
    model, step = small_step()
    assert applied(model, step, 30) is not None
    lossy = with_hint(step, "log_loss", np.full_like(step.hints["log_loss"].integers(), 2**43))
    for changed, what in ((step, "log_loss"), (lossy, "log_gain")):
        with pytest.raises(Refused, match=f"{what} is not proved"):
            RULES[RULE](setting_for(model, 30, margin=Fraction(1000)), changed, ())


def test_pull_and_allowance_stand_for_the_radius():
    """Twice their product may not be less than its square, by however little."""
    model, step = small_step()
    nu, kappa = (step.parameters[name] for name in ("direct_radius", "pull"))
    allowance = (nu * nu - 1) // (2 * kappa)
    changed = replace(step, parameters=dict(step.parameters) | {"allowance": allowance})
    assert 2 * kappa * allowance < nu * nu <= 2 * kappa * (allowance + 1)
    with pytest.raises(Refused, match="twice pull"):
        RULES[RULE](setting_for(model, 30), changed, ())


def test_nearly_orthonormal_means_what_it_says():
    model, _ = small_step()
    setting = setting_for(model, 30)
    unit = 1 << UNIT_BITS
    Basis.of(setting, np.array([[unit], [0]]), 20)
    Basis.of(setting, np.array([[unit * 11 // 10], [0]]), 2)
    for basis, tilt in (
        ([[unit * 12 // 10], [0]], 2),
        ([[unit, unit], [0, unit // 100]], 2),
        ([[0], [0]], 2),
        ([[unit], [0]], 1),
    ):
        with pytest.raises(CheckError):
            Basis.of(setting, np.array(basis), tilt)


def test_a_model_on_which_nothing_holds():
    """The prover writes a certificate that claims nothing, and the checker accepts it."""
    weights = {name: np.zeros(shape) for name, shape in oracle.shapes(3, 2, 2, 2, 4).items()}
    model = as_model(oracle.pack(weights, "F32"))
    certificate, evidence = prove(SequenceProblem(model, CPU, 30), ATTENTION_STRATEGIES[RULE]())
    assert evidence.correct == 0
    assert check_proof(certificate, model).result.correct == 0


def test_goals_on_a_shipped_model():
    from certificates import read_model  # noqa: PLC0415

    path = __import__("pathlib").Path(__file__).parents[2] / "certificates" / "models" / "max-of-4-seed123.safetensors"
    model = read_model(path)
    certificate, evidence = prove(SequenceProblem(model, CPU, 30), ATTENTION_STRATEGIES[RULE]())
    proof = check_proof(certificate, model)
    assert proof.result.correct == evidence.correct >= 0.85 * 64**4
    assert proof.operations <= 1_000_000
    claimed = Certificate(replace_statement(certificate.statement, evidence.correct + 1), 30, certificate.steps)
    with pytest.raises(CheckError):
        check_proof(claimed, model)


def replace_statement(statement: Statement, correct: int) -> Statement:
    return replace(statement, correct=correct)
