"""What a study says in words: which method is ahead, whether ASEN++ pays, and what comes next."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from asen_study.matrix import LABELS, PAYS_ABOVE, name_of
from asen_study.runs import DRAWN


def show(place: Path) -> None:
    """Print a study's overall MAP by method and embedding, where its files are, and what is next.

    A study of listed triplets has no MAP: the share of triplets ranked correctly stands for it.

    Args:
        place: the study's directory.
    """
    file, table = _scores(place)
    what = "Mean average precision (MAP) on the test split"
    if file.stem == "triplets":
        what = "Triplets of the test split ranked correctly"
    overall = table[table["attribute"].isin(["overall", "macro"])]
    wide = overall.pivot_table(
        index=["method", "embedding"], columns="attribute", values="map", sort=False
    )
    print(f"\n{what}, percent\n{wide.round(2).to_string()}\n")
    if "features" in set(table["method"]):  # is training worth it, attribute by attribute?
        beside = _means(table, "attribute").unstack()
        print(f"Beside features without training, by attribute\n{beside.round(2).to_string()}\n")
    print("\n".join(filter(None, (finding(place), pays(place, measured=True)))), end="\n\n")
    for model in sorted(place.glob("[!.]*/model.keras")):
        print(f"model:  {model}")
    print(f"table:  {file}\nreport: {place / 'report.html'}\n\nNext:")
    for command, purpose in _next_commands(place):
        print(f"  {command}\n      {purpose}", flush=True)


def _scores(place: Path) -> tuple[Path, pd.DataFrame]:
    """Return the table of a study's scores, and its rows; without MAP, `map` is the accuracy."""
    if (place / "map.csv").exists():
        return place / "map.csv", pd.read_csv(place / "map.csv")
    file = place / "triplets.csv"
    return file, pd.read_csv(file).rename(columns={"accuracy": "map"})


def _means(table: pd.DataFrame, *keys: str) -> pd.Series:
    """Return means over seeds or folds, of the embedding that each method retrieves with."""
    means = table.groupby([*keys, "method", "embedding"], sort=False)["map"].mean()
    return means.groupby([*keys, "method"], sort=False).last()


def finding(place: Path) -> str:
    """Say in one sentence which method of a study is ahead, by how much, and how sure that is.

    Args:
        place: the study's directory, with `map.csv` and, for the interval, `pairs.csv`.
    """
    if not (place / "map.csv").exists():
        return "Triplets were predicted, no ranking was measured: see triplets.csv."
    table = pd.read_csv(place / "map.csv").query("attribute == 'overall'")
    best = _means(table).sort_values(ascending=False, kind="stable")
    chance = best.pop("random") if "random" in best else 0.0
    if best.empty:
        return "Only the random ranking is there: nothing was trained."
    first = f"{name_of(best.index[0])} is ahead with a mean average precision "
    first += (
        f"(MAP) of {best.iloc[0]:.1f} overall, {best.iloc[0] - chance:.1f} above a random ranking"
    )
    if len(best) == 1:
        return f"{first}; there is no other method to compare."
    gap, other = best.iloc[0] - best.iloc[1], name_of(best.index[1])
    said = f"{first} and {gap:.1f} above {other}"
    if (place / "pairs.csv").exists():
        pairs = pd.read_csv(place / "pairs.csv").query("attribute == 'overall'")
        pairs = pairs.set_index(["method_a", "method_b"])
        for sign, names in ((1, tuple(best.index[:2])), (-1, tuple(best.index[1::-1]))):
            if names in pairs.index:
                low, high = sorted(sign * end for end in pairs.loc[names, ["ci_low", "ci_high"]])
                sure = "significant" if low > 0 else "open: it may be chance"
                return f"{said} (95% interval {low:.1f} to {high:.1f}; {sure})."
    return f"{said}; no interval is available."


def pays(place: Path, *, measured: bool = False) -> str:
    """Return `whether_it_pays` for a study whose pairs are written, else "".

    Args:
        place: the study's directory, with `pairs.csv` and `provenance.json`.
        measured: leave out a form of ASEN++ that one of its controls was not measured for.
    """
    if not all((place / name).exists() for name in ("pairs.csv", "provenance.json")):
        return ""
    pairs = pd.read_csv(place / "pairs.csv")
    if measured:
        held = set(pairs[["method_a", "method_b"]].itertuples(index=False, name=None))
        for row, controls in PAYS_ABOVE.items():
            if not {(row, control) for control in controls} <= held:
                pairs = pairs[pairs["method_a"] != row]
    origin = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    drawn = origin["settings"]["dataset"] in DRAWN
    return whether_it_pays(pairs, on="on drawn garments" if drawn else "on photographs")


def whether_it_pays(pairs: pd.DataFrame, *, on: str) -> str:
    """Say whether ASEN++ pays, which takes being above its controls with certainty.

    That is above ASEN_v2, above two fused ASEN_v2, and above the same ASEN++ whose local branch
    sees the whole frame, each in macro MAP with an interval that excludes zero.

    Args:
        pairs: of `asen_study.tables.compare`.
        on: which data that is said of, such as "on photographs".

    Returns:
        A sentence for each of ASEN++ and its adapted form that the pairs hold; "" for neither.
    """
    found = pairs.set_index(["method_a", "method_b", "attribute"])
    sentences = []
    for row, controls in PAYS_ABOVE.items():
        said: dict[str, list[str]] = {"above": [], "open": [], "below": [], "missing": []}
        for control in controls:
            name = LABELS[control]
            if (row, control, "macro") not in found.index:
                said["missing"].append(name)
                continue
            gap = found.loc[(row, control, "macro")]
            overall = found.loc[(row, control, "overall"), "difference"]
            interval = f"{gap.difference:+.2f} points, {gap.ci_low:+.2f} to {gap.ci_high:+.2f}"
            clear = "above" if gap.ci_low > 0 else "below" if gap.ci_high < 0 else "open"
            said[clear].append(f"{name} ({interval}; overall {overall:+.2f})")
        if row not in set(pairs["method_a"]):
            continue
        parts = [
            (several if len(said[kind]) > 1 else one).format(" and ".join(said[kind]))
            for kind, one, several in (
                ("above", "it is above {}", "it is above {}"),
                ("open", "the difference from {} is open", "the differences from {} are open"),
                ("below", "it is below {}", "it is below {}"),
                ("missing", "{} was not measured", "{} were not measured"),
            )
            if said[kind]
        ]
        ahead = len(said["above"]) == len(controls)
        opening = f"{LABELS[row]} pays {on}"
        opening = opening if ahead else f"It cannot be said that {opening}"
        sentences.append(f"{opening}: in macro MAP {'; '.join(parts)}.")
    return " ".join(sentences)


def _next_commands(place: Path) -> list[tuple[str, str]]:
    """Return three commands, the first about one's own photographs, each with its purpose."""
    explore = (f"make explore STUDY={place.name}", "look at this study in the browser")
    settings = json.loads((place / "provenance.json").read_text(encoding="utf-8"))["settings"]
    if settings.get("dataset") in DRAWN:
        return [
            ("make study DATASET=Shop RAW=IMAGES CSV=shop.csv", "the same on your own photographs"),
            explore,
            ("make notebooks", "00_method explains what was trained; README.md says what else"),
        ]
    model = _model_to_use(place)
    index = f".venv/bin/asen index {model} --csv TABLE --images FOLDER --out catalogue"
    return [
        (index, "make your own photographs searchable; docs/search.md says what comes next"),
        explore,
        (f".venv/bin/asen attributes {model}", "which attributes you can ask for"),
    ]


def _model_to_use(place: Path) -> Path:
    """Return the study's folder, which stands for ASEN++; without that, the best row's model."""
    runs = json.loads((place / "provenance.json").read_text(encoding="utf-8"))["runs"]
    folders = {run["row"]: place / run["run"] for run in runs[::-1]}
    best = _scores(place)[1].query("attribute == 'overall'").sort_values("map")
    saved = [
        row for row in best["method"][::-1] if (folders.get(row, place) / "model.keras").exists()
    ]
    one_form = folders.keys() & PAYS_ABOVE.keys()
    return folders[saved[0]] / "model.keras" if saved and not one_form else place
