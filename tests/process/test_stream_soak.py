"""Half a minute of a vendor that fails in every way: nothing is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.process.stream_soak import Soak

SECONDS: Final = 30.0


@pytest.mark.timeout(240)
async def test_whatever_becomes_of_the_vendor_each_trade_comes_or_is_in_a_declared_gap(
    tmp_path: Path,
) -> None:
    soaked = await Soak(seconds=SECONDS, seed=7).run(tmp_path)

    told = "\n".join((*soaked.table, *soaked.defects))
    assert not soaked.defects, told
