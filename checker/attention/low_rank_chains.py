"""Rule `low-rank-chains`: chains of harmless prefixes, proved without any table of size V x V.

Notation of factored_logits. All else is hinted: a centre of the u_o; centres x, z of the f_q and z_j; a centre e of the
E[t]; numbers nu > |f_q - x|, pi > |z_j - z|, U > |u_o|, kappa, mu >= 0 with 2 kappa mu >= nu^2; bands of queries.

*Leads.* Let a_t = y_t + x + z, followed by f's 1. For a label m and all queries q, positions j and rivals o other than m

    (f_q + y_m + z_j) . (u_m - u_o) - margin  >=  gain_m  =  a_m . u_m - (kappa / 2) |u_m|^2 - mu - lead_m - behind_m - margin,
    lead_m    =  max over o other than m of  (a_m - kappa u_m) . u_o + (kappa / 2) |u_o|^2,
    behind_m  =  max over j of  (max over all o of (z_j - z) . u_o) - (z_j - z) . u_m.

*Proof.* f_q + y_m + z_j = a_m + (f_q - x) + (z_j - z). As nu y <= sqrt(kappa y^2) sqrt(2 mu) <= (kappa / 2) y^2 + mu,
(f_q - x) . (u_m - u_o) >= -nu |u_m - u_o| >= -(kappa / 2) |u_m - u_o|^2 - mu. Multiply out |u_m - u_o|^2.

lead_m is bounded by rules/projections and ball_covers: a linear function of the coordinates of u_o, plus the product
of two rests, plus kappa / 2 times |u_o|^2.

*Losses.* (f_q + y_t + z_j) . (u_m - u_o) - margin >= -loss_t, where loss_t = 2 U (|a_t| + nu + pi) + margin: the vector on
the left is a_t + (f_q - x) + (z_j - z), and |u_m - u_o| <= 2 U.

*Scores.* By rules/projections with a single column, k_q . (E[t] - e) differs from alpha_q beta_t by at most rho_q n_t (alpha,
beta: coordinates; rho, n: rests). In a band b let alpha_q lie in [A, A'], rho_q <= rho, and the numbers k_q . P[j], over
all j, differ by at most psi. Let peak_m be the largest beta_s, s <= m. Then for t <= m, all q in b and all positions i and j

    log w_j(q, t) - log w_i(q, m)  <=  A (beta_t - beta_m) + (A' - A) (peak_m - beta_m) + rho (n_t + n_m) + psi.

*Proof.* The left-hand side is k_q . (E[t] - e) - k_q . (E[m] - e) + k_q . P[j] - k_q . P[i]. And alpha_q (beta_t - beta_m) =
A (beta_t - beta_m) + (alpha_q - A) (beta_t - beta_m), where 0 <= alpha_q - A <= A' - A, beta_t <= peak_m and peak_m >=
beta_m.

*Theorem.* Let risk_b(t) = A beta_t + rho n_t + log loss_t and, where gain_m > 0, base_b(m) = log gain_m + A beta_m - rho n_m
- (A' - A) (peak_m - beta_m) - psi. Let an input with label m and a query q in band b contain m at c free positions, so at C =
c + [q = m] >= 1 positions in all, and let K-1-c = k_1 + .. + k_r. Let its other free tokens be those of a class (see classes)
whose L_i are prefixes, the tokens below sizes s_1 <= .. <= s_r <= m, and let lambda_1 .. lambda_r be such that

    the largest risk_b(t) over t < s_i is below base_b(m) + lambda_i, wherever k_i > 0.

If q < m, let also q < s_0 <= m, lambda_0 such that the largest risk_b(t) over t < s_0 is below base_b(m) + lambda_0, and
own = exp(lambda_0); if q = m, own = 0. If sum_i k_i exp(lambda_i) + own < C, the input is classified correctly.

*Proof.* Let W > 0 be the least w_i(q, m) over the positions i of m, the last one among them if q = m. As gain_m > 0, they
contribute W gain_m or more each to the sum of factored_logits. A token t < s_i, k_i > 0, at position j contributes at least
-w_j(q, t) loss_t >= -W gain_m exp(risk_b(t) - base_b(m)) >= -W gain_m exp(lambda_i); likewise the query, if q < m, with
lambda_0. By the lemma of classes the sum is at least W gain_m (C - sum_i k_i exp(lambda_i) - own) > 0.

*Classes.* For label m and band b the *profile* of a query q < m is the first p whose size s_0 = own[m, b, p] exceeds q, and
that of q = m is the last one. A class (m, b, p, c) with sizes s_1, .., s_r holds the members of the classes with these sizes
in all its cells (q, m, c): every query of the band has one profile at most.

*Hints* beside those named: integers in units of 2**-scale, or 2**-30 for logarithms and bases. `log_gain`: at most log
gain_m, `log_loss`: at least log loss_t, `log_own` "p" and `log_share` "p c r": lambda_0 and lambda_i, `numbers` "c r": k_i,
`own` "m b p" and `size` "m b p c r": s_0 and s_i, or -1 throughout where nothing is claimed. *Checked:* every inequality
above (for `log_gain`: of labels with a cover; for shares: of all profiles and copies); that claims are such classes, for
labels with a cover and bands with a query; that own[m, b, .] does not decrease and lies within 0 .. m, so that every query
has one profile.
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.ball_covers import Balls
from checker.attention.classes import Classes, Numbers, bytes_to_hold
from checker.attention.factored_logits import FactoredLogits
from checker.attention.order_statistic import OrderStatistic, attention_only, order_statistic
from checker.attention.prefixes import GATHERED_PER_TOKEN, tokens_below
from checker.core.enclosed_weights import plus_margin
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.meter import Meter
from checker.rules.projections import UNIT_BITS, Basis, hinted, inner, require, require_lengths

_PARAMETERS = (
    "scale",
    "value_tilt",
    "key_tilt",
    "direct_radius",  # nu
    "position_radius",  # pi
    "unembed_radius",  # U
    "pull",  # kappa
    "allowance",  # mu
)


@dataclass(frozen=True)
class Claims:
    """The classes a step claims, and the hints that say so. label, of_band, profile, copies "x": their keys, in order."""

    band: IntArray
    own: IntArray
    size: IntArray
    label: IntArray
    of_band: IntArray
    profile: IntArray
    copies: IntArray
    classes: Classes

    @staticmethod
    def of(task: OrderStatistic, hints: dict[str, IntArray], meter: Meter) -> "Claims":
        """From the hints; refuses claims that are no classes."""
        numbers, band, own, size = (
            Numbers.hinted(task, hints["numbers"][:, None]),
            *(hints[name] for name in ("band", "own", "size")),
        )
        (vocab, bands, profiles), levels = own.shape, numbers.table.shape[2]
        if size.shape != (vocab, bands, profiles + 1, task.n_ctx, levels):
            raise Refused("`size` must fit `own` and `numbers`")
        if np.any(band < 0) or np.any(band >= bands):
            raise Refused("a query is in a band that does not exist")
        if np.any(own < 0) or np.any(own > np.arange(vocab).reshape(-1, 1, 1)) or np.any(np.diff(own, axis=2) < 0):
            raise Refused("the sizes of profiles must not decrease, and lie between 0 and the label")
        meter.allocate(2 * size.size)
        claimed = (size != -1).any(axis=4)
        classes = int(np.count_nonzero(claimed))
        meter.hold(bytes_to_hold(classes, levels))
        meter.gathering(size.size + 8 * classes * (levels + 6) + classes * min(bands, vocab))  # each band looks for its own
        meter.sorting(4 * classes)
        label, of_band, profile, copies = np.nonzero(claimed)
        if np.any((profile < profiles) & (copies == 0)) or np.any((profile == profiles) & (band[label] != of_band)):
            raise Refused("a class is claimed that has no inputs: no copies of the label, or a band without it")
        if not np.isin(of_band, band).all():
            raise Refused("a class is claimed for a band without queries")
        of_classes = size[label, of_band, profile, copies][:, None]
        claims = Classes.of(task, numbers, (label, copies, 0), copies, of_classes)
        return Claims(band, own, size, label, of_band, profile, copies, claims)

    def certified(self, setting: Setting, dimension: int) -> CertifiedInputs:  # constructs a fact: only after all checks
        """The fact that all claimed classes are classified correctly."""
        task, queries = order_statistic(setting), self._queries()
        setting.meter.charge(len(queries))
        correct = self.classes.count(task, setting.meter, queries)
        cells, tokens = no_cells(setting), np.arange(task.d_vocab)
        setting.meter.gathering(cells.size * (self.own.shape[2] + self.size.shape[4]))
        for label in np.unique(self.label).tolist():
            query = tokens[: label + 1]
            profile, has_one = self._profile(setting.meter, query, np.full(len(query), label, np.int64))
            claimed = (self.size[label, self.band[query], profile] != -1).any(axis=2)
            cells[query, label] = claimed & has_one[:, None]

        def covers(tokens: IntArray) -> BoolArray:
            setting.meter.gathering(GATHERED_PER_TOKEN * (tokens.size + 1000) * (self.own.shape[2] + self.size.shape[4]))
            query, label, copies = task.cells_of(tokens)
            profile, _ = self._profile(setting.meter, query, label)
            within = tokens_below(tokens, label, self.size[label, self.band[query], profile, copies])
            return cells[query, label, copies] & self.classes.numbers.fit(copies, within)

        return CertifiedInputs(correct, cells, covers, covers, dimension)

    def _queries(self) -> IntArray:
        """The number of queries of each class, "x"."""
        count = np.ones(len(self.label), np.int64)
        for number in np.unique(self.of_band).tolist():
            members = np.flatnonzero(self.band == number)
            below = np.flatnonzero((self.of_band == number) & (self.profile < self.own.shape[2]))
            sizes = np.concatenate([np.zeros((len(self.own), 1), np.int64), self.own[:, number]], axis=1)
            queries = np.diff(np.searchsorted(members, sizes), axis=1)
            count[below] = queries[self.label[below], self.profile[below]]
        return count

    def _profile(self, meter: Meter, query: IntArray, label: IntArray) -> tuple[IntArray, BoolArray]:
        """Profiles of queries that are at most the label, and whether they have one."""
        meter.allocate(9 * len(query) * self.own.shape[2])
        meter.gathering(len(query) * self.own.shape[2])
        profile = (query[:, None] >= self.own[label, self.band[query]]).sum(axis=1)
        profiles = self.own.shape[2]
        return np.where(query == label, profiles, profile), np.asarray((query == label) | (profile < profiles), np.bool_)


def low_rank_chains(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule. Takes no premises; parameters and hints as in the module's docstring."""
    task, config = order_statistic(setting), attention_only(setting)
    values = dict(zip(_PARAMETERS, take_parameters(step, *_PARAMETERS), strict=True))
    vocab, outputs, width, n_ctx = config.d_vocab, config.d_vocab_out, config.d_model, config.n_ctx
    biased = width + ("unembed.b_U" in setting.model.tensors)
    hints = take_hints(
        setting,
        step,
        unembed_centre=(biased,),
        direct_centre=(width,),
        position_centre=(width,),
        token_centre=(width,),
        value_basis=(biased, None),
        key_basis=(width, 1),
        value_length=(vocab,),
        lead_length=(vocab,),
        lead_rest=(vocab,),
        unembed_rest=(outputs,),
        unembed_square=(outputs,),
        query_rest=(vocab,),
        token_rest=(vocab,),
        order=(outputs,),
        runs=(None, 2),
        centre=(None, None),
        radius=(None,),
        cover=(None, 2),
        log_gain=(vocab,),
        log_loss=(vocab,),
        log_own=(None,),
        log_share=(None, n_ctx, None),
        numbers=(n_ctx, None),
        band=(vocab,),
        own=(vocab, None, None),
        size=(vocab, None, None, n_ctx, None),
    )
    if premises:
        raise Refused(f"{step.rule} takes no premises")
    task.require_largest(step.rule)
    claims = Claims.of(task, hints, setting.meter)
    factors = FactoredLogits.of(setting)
    labels = _check_leads(setting, factors, values, hints)
    if not np.isin(claims.label, labels).all():
        raise Refused("a class is claimed for a label whose lead has no cover")
    shares = _Shares.of(setting, hints)
    scores = _Scores.of(setting, factors, values, hints)
    log_gain = hinted(setting, hints["log_gain"].reshape(-1, 1), UNIT_BITS)
    log_loss = hinted(setting, hints["log_loss"].reshape(-1, 1), UNIT_BITS)
    for number in np.unique(claims.of_band).tolist():
        risk, base = scores.of_band(np.flatnonzero(claims.band == number), log_gain, log_loss)
        _check_band(claims, shares, number, risk, base)
    coordinates, scalars = hints["value_basis"].shape[1] * (vocab + outputs), 7 * vocab + 2 * outputs
    return claims.certified(setting, coordinates + n_ctx * (vocab + outputs) + scalars)


def _check_leads(setting: Setting, factors: FactoredLogits, values: dict[str, int], hints: dict[str, IntArray]) -> IntArray:
    """Check `log_gain` for the labels with a cover, which are returned, and `log_loss` for all tokens."""
    scale, vocab = values["scale"], factors.token.shape[0]
    nu, pi, kappa, mu = (values[name] for name in ("direct_radius", "position_radius", "pull", "allowance"))
    reach = values["unembed_radius"]
    if not all(0 <= number < 1 << 53 for number in (nu, pi, kappa, mu, reach)) or 2 * kappa * mu < nu * nu:
        raise Refused("radii lie between 0 and 2**53, and twice pull * allowance is at least direct_radius squared")

    def row(name: str) -> Enclosure:
        return hinted(setting, hints[name].reshape(1, -1), scale)

    def number(value: int) -> Enclosure:
        return hinted(setting, np.full((1, 1), value, np.int64), scale)

    unembed = factors.unembed - row("unembed_centre")
    square = inner(setting, unembed, unembed)
    squares = hints["unembed_square"]
    require((hinted(setting, squares.reshape(-1, 1), scale) - square).positive(), "the square of an unembedding vector")
    setting.meter.charge(len(squares))
    require((number(reach) * number(reach) - hinted(setting, squares.max().reshape(1, 1), scale)).positive(), "unembed_radius")
    direct, positions = factors.direct - row("direct_centre"), factors.position_value - row("position_centre")
    require_lengths(setting, direct, np.full(vocab, nu, np.int64), scale, "direct_radius")
    require_lengths(setting, positions, np.full(positions.shape[0], pi, np.int64), scale, "position_radius")

    value = factors.followed(setting, factors.values.vectors + (row("direct_centre") + row("position_centre")), 1)
    require_lengths(setting, value, hints["value_length"], scale, "the length of a value")
    length = hinted(setting, hints["value_length"].reshape(-1, 1), scale) + number(nu) + number(pi)
    loss = length * (number(reach) + number(reach))
    log_loss = hinted(setting, hints["log_loss"].reshape(-1, 1), UNIT_BITS)
    require(plus_margin(setting, log_loss.exp() - loss, -1).positive(), "log_loss")

    of_tokens = unembed[:vocab]
    lead = value - of_tokens * number(kappa)
    basis = Basis.of(setting, hints["value_basis"], values["value_tilt"])
    points = basis.coordinates(setting, unembed, hints["unembed_rest"], scale, "an unembedding vector")
    inside = basis.coordinates(setting, lead, hints["lead_rest"], scale, "a lead")
    require_lengths(setting, inside, hints["lead_length"], scale, "the length of a lead")
    lengths = np.stack([hints["lead_length"], hints["lead_rest"]], 1)
    half = hinted(setting, np.full((vocab, 1), kappa, np.int64), scale + 1)
    rows = inside.concatenate([hinted(setting, lengths, scale), half], axis=1)
    balls = Balls.of(setting, points, hints["unembed_rest"], squares, hints, scale)
    labels, largest = balls.largest(setting, rows, hints["cover"])

    at_positions = positions @ unembed[:, : positions.shape[1]].T  # j o
    behind = (at_positions.max(1).reshape(-1, 1) - at_positions[:, :vocab]).max(0).reshape(vocab, 1)
    own = inner(setting, value, of_tokens) - square[:vocab] * half[:1] - number(mu) - behind
    log_gain = hinted(setting, hints["log_gain"][labels].reshape(-1, 1), UNIT_BITS)
    require(plus_margin(setting, own[labels] - largest - log_gain.exp(), -1).positive(), "log_gain")
    return labels


@dataclass(frozen=True)
class _Shares:
    """Logarithms of the shares, checked: own "p 1", levels "p*c*r 1"."""

    own: Enclosure
    levels: Enclosure

    @staticmethod
    def of(setting: Setting, hints: dict[str, IntArray]) -> "_Shares":
        """Check that the shares of every profile and number of copies leave something."""
        numbers, log_own, log_share = hints["numbers"], hints["log_own"], hints["log_share"]
        profiles, (n_ctx, levels) = hints["own"].shape[2], numbers.shape
        if log_own.shape != (profiles,) or log_share.shape != (profiles + 1, n_ctx, levels) or profiles == 0:
            raise Refused("`log_own` and `log_share` must fit `own` and `numbers`, with one profile at least")
        own = hinted(setting, log_own.reshape(-1, 1), UNIT_BITS)
        share = hinted(setting, log_share.reshape(-1, 1), UNIT_BITS)
        costs = share.exp().reshape(profiles + 1, n_ctx * levels).times(numbers.reshape(1, -1))
        for copies in range(n_ctx):
            left = hinted(
                setting, np.full((profiles + 1, 1), copies, np.int64) + (np.arange(profiles + 1) == profiles)[:, None], 0
            )
            for level in range(levels):
                left = left - costs[:, copies * levels + level].reshape(-1, 1)
            require(left[profiles:].positive(), "that the shares of a label's own query leave something")
            if copies > 0:
                require((left[:profiles] - own.exp()).positive(), "that the shares of a profile leave something")
        return _Shares(own, share)


@dataclass(frozen=True)
class _Scores:
    """alpha "q 1", beta "t 1", query_rest "q", token_rest "t 1", ahead "m 1": peak_m - beta_m, spread "q": of k_q . P[j]."""

    setting: Setting
    scale: int
    alpha: Enclosure
    beta: Enclosure
    query_rest: IntArray
    token_rest: Enclosure
    ahead: Enclosure
    spread: Enclosure

    @staticmethod
    def of(setting: Setting, factors: FactoredLogits, values: dict[str, int], hints: dict[str, IntArray]) -> "_Scores":
        """Check the coordinate and the rests of queries and tokens."""
        scale, basis = values["scale"], Basis.of(setting, hints["key_basis"], values["key_tilt"])
        token = factors.token - hinted(setting, hints["token_centre"].reshape(1, -1), scale)
        alpha = basis.coordinates(setting, factors.queries.vectors, hints["query_rest"], scale, "a query")
        beta = basis.coordinates(setting, token, hints["token_rest"], scale, "a token")
        position = factors.queries.vectors @ factors.position.T
        return _Scores(
            setting=setting,
            scale=scale,
            alpha=alpha,
            beta=beta,
            query_rest=hints["query_rest"],
            token_rest=hinted(setting, hints["token_rest"].reshape(-1, 1), scale),
            ahead=beta.running_max(0) - beta,
            spread=position.max(1) - position.min(1),
        )

    def of_band(self, members: IntArray, log_gain: Enclosure, log_loss: Enclosure) -> tuple[Enclosure, Enclosure]:
        """For the queries `members`: the largest risk of tokens up to t, "t 1", and the base of label m, "m 1"."""
        alpha = self.alpha[members]
        low = alpha.min(0).reshape(1, 1)
        width = alpha.max(0).reshape(1, 1) - low
        self.setting.meter.charge(len(members))
        rest = self.token_rest * hinted(self.setting, self.query_rest[members].max().reshape(1, 1), self.scale)
        score = self.beta * low
        risk = (score + rest + log_loss).running_max(0)
        base = log_gain + score - rest - self.ahead * width - self.spread[members].max(0).reshape(1, 1)
        return risk, base


def _check_band(claims: Claims, shares: _Shares, number: int, risk: Enclosure, base: Enclosure) -> None:
    """Check that the sizes claimed for a band stay within their shares."""
    part = np.flatnonzero(claims.of_band == number)
    label, profile, copies = claims.label[part], claims.profile[part], claims.copies[part]
    sizes, numbers = claims.classes.sizes[part, 0], claims.classes.numbers.table[copies, 0]
    (n_ctx, _, depth), profiles = claims.classes.numbers.table.shape, claims.own.shape[2]
    for level in range(depth):
        used = numbers[:, level] > 0
        share = ((profile[used] * n_ctx) + copies[used]) * depth + level
        left = base[label[used]] + shares.levels[share] - risk[sizes[used, level] - 1]
        require(left.positive(), f"that a prefix of level {level} in band {number} is harmless")
    pairs = np.unique(np.stack([label, profile], 1)[profile < profiles], axis=0)
    size = claims.own[pairs[:, 0], number, pairs[:, 1]]
    pairs, size = pairs[size > 0], size[size > 0]
    left = base[pairs[:, 0]] + shares.own[pairs[:, 1]] - risk[size - 1]
    require(left.positive(), f"that the queries of band {number} are harmless")
