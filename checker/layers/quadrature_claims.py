"""Statements about an MLP: the fact that proves one, and what a verifier may pin of it."""

from dataclasses import dataclass

from certificates.mlp_statement import FrequencyClaim, MLPStatement
from checker.core.errors import ClaimNotMet, Refused
from checker.core.facts import Fact
from checker.core.pins import Pins


@dataclass(frozen=True)
class MLPQuadrature(Fact):
    """The claims hold: each frequency's part of what the neurons add is the quadrature's, within the error (see the rule)."""

    scale: int
    claims: tuple[FrequencyClaim, ...]
    unexplained_dimension: int


def require_quadrature(statement: MLPStatement, result: Fact, pins: Pins) -> None:
    """Refuse unless the claims of the last fact are the statement's, and the statement is what the verifier pinned."""
    if not isinstance(result, MLPQuadrature):
        raise Refused("the statement is about an MLP, but the last step does not establish anything about one")
    if (result.scale, result.claims) != (statement.scale, statement.claims):
        raise Refused("the statement's claims about the MLP are not those that its proof shows")
    if (pins.at_least, pins.margin_at_least, pins.deployed) != (None, None, None):
        raise ClaimNotMet(
            "the certificate is about what an MLP adds to the logits: no accuracy, margin or execution can be pinned"
        )
    claims = {claim.frequency: claim for claim in statement.claims}
    for frequency, most in pins.error_at_most.items():
        claim = claims.get(frequency)
        if claim is None:
            raise ClaimNotMet(f"the certificate proves nothing about an MLP at the pinned frequency {frequency}")
        if claim.amplitude == 0 or claim.error > most * claim.amplitude:
            found = f"{claim.error} / {claim.amplitude}" if claim.amplitude else "unbounded"
            raise ClaimNotMet(
                f"the relative error that the certificate proves at frequency {frequency} is {found}, "
                f"which is more than the pinned {most}"
            )
