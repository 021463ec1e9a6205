"""What report pages share."""

import pytest

from prover.studies.page import log_axis


@pytest.mark.parametrize(
    ("values", "texts", "ends"),
    [
        ([216, 240], ["200", "500"], [200, 500]),
        ([1.2e5, 9e5], ["1e5", "2e5", "5e5", "1e6"], [1e5, 1e6]),
        ([0.06, 1.0], ["0.05", "0.1", "0.2", "0.5", "1", "2"], [0.05, 2]),
        ([], ["0.5", "1", "2"], [0.5, 2]),
    ],
)
def test_short_logarithmic_axes_have_ticks_around_the_values(values: list[float], texts: list[str], ends: list[float]) -> None:
    axis = log_axis(values)
    assert axis["ticktext"] == texts and [10**end for end in axis["range"]] == pytest.approx(ends)
    assert [axis["tickvals"][0], axis["tickvals"][-1]] == pytest.approx(ends)


def test_long_logarithmic_axes_have_powers_of_ten() -> None:
    assert log_axis([10, 10**5])["dtick"] == 1 and log_axis([0, 1e-6, 1e2])["dtick"] == 2
