"""What a study says in one line at its end: worked out by hand on tables of a few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from asen_study.report import finding

SCORES = "method,embedding,seed,attribute,map\n"
PAIRS = "method_a,method_b,attribute,difference,ci_low,ci_high\n"
RANDOM = "random,-,0,overall,20\n"
ASEN_V2 = "asen_v2,global,0,overall,50\nasen_v2,global,1,overall,54\nasen_v2,global,0,macro,99\n"
ASEN_PP = "asen_pp,global,0,overall,90\nasen_pp,fused,0,overall,{}\n"


@pytest.mark.parametrize(
    ("scores", "pairs", "said"),
    [
        (  # the mean over seeds, the last embedding; "macro" plays no part
            RANDOM + ASEN_V2 + ASEN_PP.format(55),
            "asen_pp,asen_v2,macro,1,8,9\nasen_pp,asen_v2,overall,3,0.5,5.5\n",
            "ASEN++ is ahead with 55.0 overall, 35.0 above a random ranking and 3.0 above ASEN_v2 "
            "(95% interval 0.5 to 5.5; significant).",
        ),
        (  # the pair stands the other way round in the table
            RANDOM + ASEN_V2 + ASEN_PP.format(51),
            "asen_pp,asen_v2,overall,-1,-3,1\n",
            "ASEN_v2 is ahead with 52.0 overall, 32.0 above a random ranking and 1.0 above ASEN++ "
            "(95% interval -1.0 to 3.0; open: it may be chance).",
        ),
        (
            RANDOM + ASEN_V2 + ASEN_PP.format(51),
            None,
            "ASEN_v2 is ahead with 52.0 overall, 32.0 above a random ranking and 1.0 above "
            "ASEN++, of which no interval is known.",
        ),
        (
            RANDOM + ASEN_V2,
            "asen_v2,random,overall,32,30,34\n",
            "ASEN_v2 is ahead with 52.0 overall, 32.0 above a random ranking; there is no other "
            "method to compare.",
        ),
        (RANDOM, None, "Only the random ranking is there: nothing was trained."),
    ],
)
def test_it_names_the_method_ahead_and_how_sure_that_is(
    tmp_path: Path, scores: str, pairs: str | None, said: str
) -> None:
    (tmp_path / "map.csv").write_text(SCORES + scores)
    if pairs is not None:
        (tmp_path / "pairs.csv").write_text(PAIRS + pairs)
    assert finding(tmp_path) == said
