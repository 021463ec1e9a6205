"""Formats in floating point, and what all rules about executions in them conclude."""

from dataclasses import dataclass, replace
from fractions import Fraction

from certificates.certificate import Step
from certificates.model_file import Model
from checker.core.enclosed_weights import dyadic
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_parameters

_BITS_STORED = {"BF16": 8, "F16": 11, "F32": 24, "F64": 53}


@dataclass(frozen=True)
class Format:
    """u = 2**-bits, u' = 2**-operand_bits, and the exponent of the largest power of two; eta = 2**(1 - largest)."""

    name: str
    bits: int
    operand_bits: int
    largest: int

    @property
    def smallest(self) -> Fraction:
        """eta, the smallest normal number."""
        return Fraction(2) ** (1 - self.largest)

    def gamma(self, roundings: int, operands: int = 0) -> Fraction:
        """How far a product of so many factors 1 + e or 1 / (1 + e) is from 1 at most: |e| <= u, or u' if that is coarser."""
        x = Fraction(roundings, 2**self.bits)
        if self.operand_bits < self.bits:
            x += Fraction(operands, 2**self.operand_bits)
        if x > Fraction(1, 4):
            raise Refused(f"too many roundings for {self.name}")
        return Fraction(x.numerator, x.denominator - x.numerator)


FORMATS = (
    Format("float32", 24, 24, 127),
    Format("float64", 53, 53, 1023),
    Format("tf32", 24, 10, 127),
    Format("bfloat16", 24, 7, 127),
)


def take_format(step: Step, premises: tuple[Fact, ...]) -> tuple[Format, CertifiedInputs]:
    """The step's format, and the certified inputs that it is about."""
    (number,) = take_parameters(step, "format")
    if len(premises) != 1 or not isinstance(premises[0], CertifiedInputs):
        raise Refused(f"{step.rule} takes one premise, about certified inputs")
    return taken_format(number), premises[0]


def taken_format(number: int) -> Format:
    """The format with this number."""
    if not 0 <= number < len(FORMATS):
        raise Refused(f"format is a number below {len(FORMATS)}: {', '.join(form.name for form in FORMATS)}")
    return FORMATS[number]


def require_stored(model: Model, form: Format) -> None:
    """Refuse unless the model's weights are numbers of the format."""
    if any(_BITS_STORED[tensor.dtype] > form.bits for tensor in model.tensors.values()):
        raise Refused(f"the model's weights are stored with more bits than {form.name} has: {form.bits}")


def executed(setting: Setting, form: Format, inputs: CertifiedInputs, error: Enclosure, largest: Enclosure) -> CertifiedInputs:
    """The inputs, of executions too. error: by how much each logit may be off "1 o"; largest: what no number exceeds "1 1"."""
    if not (dyadic(setting, Fraction(2) ** (form.largest - 2)) - largest).positive().all():
        raise Refused(f"a number may overflow {form.name}")
    if not (dyadic(setting, setting.margin) - (error + error)).positive().all():
        raise Refused(f"the margin is not proved to exceed twice what {form.name} may be off: state a larger one")
    return replace(inputs, deployed=form.name, unexplained_dimension=0)
