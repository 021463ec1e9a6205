"""Why a certificate was not accepted. Each refusal carries its reason; the exit code of the command is part of it."""


class CheckError(Exception):
    """Base of every refusal. `exit_code` is what `checker verify` returns."""

    exit_code = 2


class Refused(CheckError):
    """A rule's hypothesis does not hold (or its hints are not what the rule needs)."""

    exit_code = 1


class StepRefused(Refused):
    """A `Refused`, with the place in the proof where it happened."""

    def __init__(self, step: int, rule: str, reason: str) -> None:
        super().__init__(f"step {step} ({rule}): {reason}")


class OtherNumber(Refused):
    """The proof holds, but shows another number of correct inputs than the statement claims."""

    def __init__(self, claimed: int, shown: int) -> None:
        super().__init__(f"the statement claims {claimed} correct inputs, but its proof shows {shown}")
        self.shown = shown


class ClaimNotMet(CheckError):
    """Perhaps a proof, but not one of what the verifier asked for, or by other rules (--task, --at-least, --allow-rules)."""

    exit_code = 1


class InvalidInput(CheckError):
    """A file is missing, malformed, of an unknown version, or does not belong to the other one."""


class OverBudget(CheckError):
    """The check would take more operations or memory than the budget allows."""
