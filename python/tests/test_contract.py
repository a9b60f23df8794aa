"""The contract, for every model."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract import CHECKS, Check

import elastirec as er
from elastirec._base import Recommender


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_model_keeps_the_contract(
    check: Check, any_model: Recommender, split: er.Split, tmp_path: Path
) -> None:
    check(any_model, split, tmp_path)
