"""No change of one operator or statement of the firmware's rule goes unnoticed."""

from __future__ import annotations

import pytest

from tests.support import mutants

pytestmark = pytest.mark.hil


@pytest.mark.timeout(1200)
def test_no_mutant_of_the_rule_survives_that_is_not_listed_with_its_reason(request, tmp_path):
    if not request.config.getoption("--emulated"):
        pytest.skip("the mutants are part of `make hil`")
    library, made = mutants.generate(tmp_path)

    alive = {mutant.name for mutant in mutants.survivors(library, made)}

    assert len(made) > 400
    assert alive == set(mutants.listed())
