"""Tasks that people train transformers for, as automata; `prover task` writes them to files."""

from collections.abc import Callable, Mapping

from certificates.automaton import Automaton
from prover.tasks import addition, automaton_from, read_automaton_from


def number_addition(digits: int) -> Automaton:
    """a, b, "=" (token 10) and the sum but for its highest digit, all from the lowest digit on: is the whole sum right?

    Read at "=" and at every digit of the sum that is given: 3 digits + 1 tokens, digits + 1 reads.
    """
    return addition(range(digits), range(digits, 2 * digits), range(2 * digits + 1, 3 * digits + 2), {2 * digits: 10})


def modular_addition(modulus: int) -> Automaton:
    """a, b, "=" (token `modulus`), read at "=": a + b mod `modulus`."""

    def step(total: int, token: int, position: int) -> int | None:
        if (token == modulus) != (position == 2):
            return None
        return total if position == 2 else (total + token) % modulus

    return automaton_from(0, step, lambda total: total, 3, modulus + 1)


def running_sum_sign(length: int, largest: int, every: int = 1) -> Automaton:
    """Token v mod (2 largest + 1) stands for the number v from -largest to largest: is their sum so far less than 0 (output 0),
    0 (1) or more (2)? Read at every position, or (every=0) at the last one.
    """
    tokens = 2 * largest + 1

    def step(total: int, token: int, position: int) -> int:
        return total + (token if token <= largest else token - tokens)

    def sign(total: int) -> int:
        return 1 + (total > 0) - (total < 0)

    if not every:
        return automaton_from(0, step, sign, length, tokens)
    return read_automaton_from(0, step, {place: (place + 1, sign) for place in range(length)}, tokens, range(length))


def parity(length: int, counted: int = 0) -> Automaton:
    """Bits: is the number of ones among the first `counted` of them (default: all) odd?"""
    first = counted or length
    return automaton_from(0, lambda odd, bit, place: odd ^ bit if place < first else odd, lambda odd: odd, length, 2)


def balanced_brackets(length: int, padded: int = 0) -> Automaton:
    """0 is an opening bracket, 1 a closing one: are they balanced? padded=1: of fewer, too, then token 2 is everywhere else."""
    if padded not in (0, 1):
        raise ValueError("padded is 0 or 1")

    def step(state: tuple[int, bool], token: int, position: int) -> tuple[int, bool] | None:
        """How many are open, -1: one was closed too early; and whether padding has begun."""
        opened, ended = state
        if token == 2:
            return (opened, True) if position else None
        return None if ended else (-1 if opened < 0 else opened + 1 - 2 * token, False)

    return automaton_from((0, False), step, lambda state: int(state[0] == 0), length, 2 + padded)


def _found(state: tuple[int, int]) -> int | None:
    """What was found for a token that is read first: the second of a state, unless it is negative."""
    return state[1] if state[1] >= 0 else None


def in_context_copying(length: int, vocab: int) -> Automaton:
    """The last token occurred once before, not right before: which token followed it? The last token is read first."""

    def step(state: tuple[int, int], token: int, position: int) -> tuple[int, int] | None:
        """(last token, what followed it); -1: it has not occurred yet, -2: it has just occurred."""
        last, followed = state
        if position == length - 1:
            return token, -1
        if token == last:
            return (last, -2) if followed == -1 and position < length - 2 else None
        return (last, token) if followed == -2 else state

    return automaton_from((-1, -1), step, _found, length, vocab, [length - 1, *range(length - 1)])


def first_occurrence(length: int, vocab: int) -> Automaton:
    """The last token occurred before: at which position first, counted from 0? The last token is read first."""

    def step(state: tuple[int, int], token: int, position: int) -> tuple[int, int]:
        if position == length - 1:
            return token, -1
        return (state[0], position) if state[1] < 0 and token == state[0] else state

    return automaton_from((-1, -1), step, _found, length, vocab, [length - 1, *range(length - 1)])


def sortedness(length: int, vocab: int) -> Automaton:
    """Is no token less than the one before it?"""
    return automaton_from(
        0, lambda most, token, _: token if 0 <= most <= token else -1, lambda most: int(most >= 0), length, vocab
    )


def kth_smallest(length: int, vocab: int, k: int) -> Automaton:
    """The k-th smallest of the tokens, equal ones counted separately. It remembers the k smallest so far: keep k small."""
    if not 1 <= k <= length:
        raise ValueError(f"k is 1 to {length}, the length")

    def step(smallest: tuple[int, ...], token: int, position: int) -> tuple[int, ...]:
        return tuple(sorted((*smallest, token))[:k])

    return automaton_from((), step, lambda smallest: smallest[-1], length, vocab)


def palindrome(length: int, vocab: int) -> Automaton:
    """Is it the same backwards? Tokens are read in pairs, from outside in."""
    order = [place for pair in range((length + 1) // 2) for place in dict.fromkeys((pair, length - 1 - pair))]

    def step(state: int, token: int, position: int) -> int:
        """The token to be met again, -1: none, -2: there is a difference."""
        if state == -2:
            return -2
        if position < length // 2:
            return token
        return -1 if state in (-1, token) else -2

    return automaton_from(-1, step, lambda state: int(state == -1), length, vocab, order)


KNOWN_TASKS: Mapping[str, Callable[..., Automaton]] = {
    "addition": number_addition,
    "balanced-brackets": balanced_brackets,
    "first-occurrence": first_occurrence,
    "in-context-copying": in_context_copying,
    "kth-smallest": kth_smallest,
    "modular-addition": modular_addition,
    "palindrome": palindrome,
    "parity": parity,
    "running-sum-sign": running_sum_sign,
    "sortedness": sortedness,
}
"""By their names for `prover task`; all parameters are integers."""
