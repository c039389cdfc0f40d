"""The comparison of two builds: its figures, and what it refuses. Nothing is timed here."""

import subprocess
import sys

import pytest

from .against import Comparison, compared
from .processes import ROOT


def test_pairs_are_summarized_by_medians_and_by_the_ratio_within_each_pair() -> None:
    summary = compared([(100.0, 50.0), (330.0, 110.0), (60.0, 60.0)])
    assert summary == Comparison(
        this=100.0,  # The median ratio is not the ratio of the medians, which is 100/60.
        that=60.0,
        ratio=2.0,
        least=1.0,
        most=3.0,
        variation=0.5,  # The sample's standard deviation, 1, by the mean, 2.
    )


def test_equal_builds_have_a_ratio_of_one_that_does_not_vary() -> None:
    summary = compared([(10.0, 10.0), (20.0, 20.0)])
    assert (summary.ratio, summary.variation) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["no-such-commit"], "'no-such-commit' is no commit here"),
        ([""], "'' is no commit here"),
        (["HEAD", "--tls"], "--against does not go with --tls"),
        (["HEAD", "--rounds", "1"], "--against needs 2 rounds or more"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[str], why: str) -> None:
    command = [sys.executable, "-m", "tests.bench", "--against", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
