"""Tables for readers: averaged over seeds, laid out, in Markdown, in LaTeX and in words.

Published numbers are kept apart from the project's own.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import display

from asen_study.matrix import name_of, repeat_of
from asen_study.runs import DRAWN, Selection
from asen_tf.config import ExperimentConfig
from asen_tf.data import label
from asen_tf.files import write_text


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Average a table of MAP over seeds.

    Args:
        table: as `map.csv`.

    Returns:
        `series, method, embedding, attribute, map, seeds, low, high`, in the order of the table;
        `series` names method and embedding. With one seed, low and high are the ends of the
        interval over queries; with several, the mean minus and plus the standard deviation over
        seeds. Empty for an empty table.
    """
    if table.empty:
        return table
    grouped = table.groupby(["method", "embedding", "attribute"], sort=False)
    means = grouped["map"].mean().to_frame().assign(seeds=grouped["seed"].nunique())
    spread = grouped["map"].std(ddof=1)
    alone = means["seeds"] == 1
    means["low"] = grouped["ci_low"].first().where(alone, means["map"] - spread)
    means["high"] = grouped["ci_high"].first().where(alone, means["map"] + spread)
    means = means.reset_index()
    several = means.groupby("method")["embedding"].transform("nunique") > 1
    names = means["method"].map(name_of)
    means.insert(0, "series", names.where(~several, names + " " + means["embedding"]))
    return means


def cells(summary: pd.DataFrame, costs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lay out a summary: a row per method and embedding, a column per attribute, text inside.

    A cell reads `50.1 (47.3 to 52.8)` with one seed, `50.1 ± 0.7` with several.

    Args:
        summary: of `summarise`.
        costs: `method, embedding, parameters, ms_per_image, images_seen`: three more columns.

    Returns:
        The table; an empty one for an empty summary.
    """
    if summary.empty:
        return summary

    def text(row: Any) -> str:
        if row.method == "random" or pd.isna(row.low):  # a single query has no interval
            return f"{row.map:.1f}"
        if row.seeds > 1:
            return f"{row.map:.1f} ± {row.high - row.map:.1f}"
        return f"{row.map:.1f} ({row.low:.1f} to {row.high:.1f})"

    shown = summary.assign(cell=[text(row) for row in summary.itertuples()])
    wide = shown.pivot(index="series", columns="attribute", values="cell")
    wide = wide.loc[summary["series"].unique(), summary["attribute"].unique()]
    if costs is not None:
        keys = ["method", "embedding"]
        names = summary.drop_duplicates("series").set_index("series")[keys]
        found = names.merge(costs, on=keys, how="left").set_index(names.index)
        for column, title, form in (
            ("parameters", "parameters", "{:,.0f}"),
            ("ms_per_image", "ms per image", "{:.1f}"),
            ("images_seen", "images seen", "{:,.0f}"),
        ):
            wide[title] = [
                "-" if pd.isna(number) else form.format(number) for number in found[column]
            ]
    wide.columns = wide.columns.str.replace("_", " ")
    return wide.rename_axis(index=None, columns=None)


def triplet_table(triplets: pd.DataFrame) -> pd.DataFrame:
    """Lay triplet prediction accuracy out as `cells` does MAP.

    Args:
        triplets: `triplets.csv`.

    Returns:
        Percent as text, `77.1 (75.2 to 78.9)` with one seed, the interval over triplets, and
        `77.1 ± 0.4` with several; empty for an empty table.
    """
    return cells(summarise(triplets.rename(columns={"accuracy": "map"})))


def show(table: pd.DataFrame, title: str = "", *, otherwise: str = "") -> None:
    """Display a table under its title, or say why there is none.

    Args:
        table: laid out; if it has no rows, it is left out.
        title: is printed above it.
        otherwise: is printed in place of an empty table.
    """
    if len(table) and title:
        print(title)
    if len(table):
        display(table)
    elif otherwise:
        print(otherwise)


def in_words(pairs: pd.DataFrame, *, attribute: str = "overall") -> list[str]:
    """Say which method of each pair is better, if the difference is significant.

    Args:
        pairs: of `asen_study.tables.compare`; significant where the interval excludes zero.
        attribute: whose rows to take.
    """
    sentences = []
    for row in pairs[pairs["attribute"] == attribute].itertuples():
        first, second = (name_of(name) for name in (row.method_a, row.method_b))
        interval = f"{row.difference:+.2f} points, {row.ci_low:+.2f} to {row.ci_high:+.2f}"
        if not (row.ci_low > 0.0 or row.ci_high < 0.0):  # of a single query, there is none
            sentences.append(f"{first} and {second} are not significantly different ({interval}).")
        else:
            verdict = "above" if row.difference > 0 else "below"
            sentences.append(f"{first} is {verdict} {second} ({interval}).")
    return sentences


def training_in_words(history: pd.DataFrame) -> str:
    """Say what a training has brought.

    Args:
        history: of a run; empty if nothing was trained.
    """
    if history.empty:
        return "There is no training to report: this model was not trained here."
    score = "val_map" if "val_map" in history else "val_accuracy"
    what = "MAP" if score == "val_map" else "share of triplets ranked correctly"
    kept = history.reset_index(drop=True)[history["best"].to_numpy(bool)]
    at, best = kept.index[-1] + 1, kept[score].iloc[-1]
    return (
        f"On the validation split the {what} was {history[score].iloc[0]:.1f}% after the first of "
        f"{len(history)} epochs and {best:.1f}% after epoch {at}, whose weights were kept."
    )


def scores_in_words(summary: pd.DataFrame) -> str:
    """Say how far a model is above chance, and in which attributes it is best and worst.

    Args:
        summary: of `summarise`; of several methods and embeddings the last one counts. Empty for
            datasets that list triplets.
    """
    if summary.empty:
        return "There is no MAP: this dataset lists triplets, whose accuracy is in the table above."
    last = summary[summary["series"] == summary["series"].iloc[-1]].set_index("attribute")["map"]
    random = summary[summary["method"] == "random"].set_index("attribute")["map"]
    said = f"{summary['series'].iloc[-1]} has a MAP of {last['overall']:.1f}% over all test queries"
    if len(random):
        said += f"; a random ranking has {random['overall']:.1f}%"
    return " ".join([f"{said}.", *extremes_in_words(summary)])


def extremes_in_words(summary: pd.DataFrame) -> list[str]:
    """Say in which attributes a model is best and worst; nothing of a single attribute.

    Args:
        summary: as for `scores_in_words`.
    """
    if summary.empty:
        return []
    parts = _by_attribute(summary)
    if len(parts) < 2:
        return []
    best, worst = parts.idxmax(), parts.idxmin()
    return [
        f"{summary['series'].iloc[-1]} is best in {label(best)} ({parts[best]:.1f}%), and worst in "
        f"{label(worst)} ({parts[worst]:.1f}%)."
    ]


def weakest(summary: pd.DataFrame) -> tuple[str, ...]:
    """Return the attribute in which a model is worst, and the embedding; of no scores, nothing.

    Args:
        summary: as for `scores_in_words`.
    """
    if summary.empty:
        return ()
    return str(_by_attribute(summary).idxmin()), str(summary["embedding"].iloc[-1])


def _by_attribute(summary: pd.DataFrame) -> pd.Series:
    """Return the MAP of the last method and embedding by attribute."""
    last = summary[summary["series"] == summary["series"].iloc[-1]].set_index("attribute")["map"]
    return last.drop(["overall", "macro"], errors="ignore")


def localisation_in_words(localisation: pd.DataFrame) -> str:
    """Say whether attention points at the parts, and regions cover them, better than the centre.

    Args:
        localisation: of runs, as `localisation.csv`; empty where no true boxes are known.
    """
    if localisation.empty:
        return "Whether it looks at the right place cannot be said: no true boxes are known."
    overall = localisation[localisation["attribute"] == "overall"]
    last = overall[overall["method"] == overall["method"].iloc[-1]].mean(numeric_only=True)
    return (
        f"The attention peaks inside the part in {last['pointing']:.1f}% of the images (the centre "
        f"of the frame lies inside in {last['centre_pointing']:.1f}%), and the region overlaps it "
        f"by {last['iou']:.1f}% (a square around the centre: {last['centre_iou']:.1f}%)."
    )


def starts_in_words(starts: pd.DataFrame) -> list[str]:
    """Say what each start leads to on the validation split, the best first.

    Args:
        starts: of `asen_study.tables.starts`; nothing is said of an empty table.
    """
    if starts.empty:
        return []
    best = starts.groupby("label", sort=False)["val_map"].max().sort_values(ascending=False)
    return [f"{name}: validation MAP {value:.1f}% at best" for name, value in best.items()]


def variations_in_words(pairs: pd.DataFrame) -> str:
    """Say how many variations of ASEN++ differ significantly from it, and which one the most.

    Args:
        pairs: of `asen_study.tables.compare`.
    """
    rows = pairs[(pairs["attribute"] == "overall") & (pairs["method_a"] == "asen_pp")]
    rows = rows[rows["method_b"].str.startswith("asen_pp/")]
    if rows.empty:
        return "No variation of ASEN++ is finished, so nothing can be said about its parts."
    better, worse = (rows["ci_low"] > 0).sum(), (rows["ci_high"] < 0).sum()
    most = rows.loc[rows["difference"].abs().idxmax()]
    changed = f"{abs(most['difference']):.1f} points {'less' if most['difference'] > 0 else 'more'}"
    return (
        f"Of {len(rows)} variations of ASEN++, it is significantly better than {better} and worse "
        f"than {worse}; for the other {len(rows) - better - worse} this study cannot tell. The "
        f"largest change is that of {name_of(most['method_b'])}: {changed}."
    )


def to_markdown(laid_out: pd.DataFrame, *, words: Collection[str] = ()) -> str:
    """Return a laid-out table as Markdown; the columns in `words` are left-aligned."""
    rules = ["---" if name in words else "---:" for name in laid_out.columns]
    rows = [["method", *laid_out.columns], ["---", *rules]]
    rows += [[str(row[0]), *row[1:]] for row in laid_out.itertuples()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_latex(laid_out: pd.DataFrame, note: str) -> str:
    """Return a laid-out table as LaTeX for `booktabs`, after the note on its sources."""
    styled = laid_out.style.format(escape="latex")
    for axis in ("index", "columns"):
        styled = styled.format_index(escape="latex", axis=axis)
    comment = "".join(f"% {line}\n" for line in note.splitlines())
    return comment + styled.to_latex(hrules=True, column_format="l" + "r" * laid_out.shape[1])


def source_note(selection: Selection, study: ExperimentConfig) -> str:
    """Return what the numbers are and which runs they come from, in Markdown."""
    first = selection.runs[0]
    versions = first.manifest["packages"].items()
    packages = ", ".join(f"{name} {version}" for name, version in versions)
    seeds = sorted({run.settings["seed"] for run in selection.runs})
    commits = sorted({_short(run.manifest["commit"]) for run in selection.runs})
    codes = dict.fromkeys(run.origin[0] for run in selection.runs)
    data = dict.fromkeys(run.origin[1][:16] for run in selection.runs)
    folds = sorted({run.settings.get("dataset", study.dataset) for run in selection.runs})
    tested = f"split{'s' if len(folds) > 1 else ''} of {', '.join(folds)}"
    repeats = f"{repeat_of(study.dataset)}s"
    return (
        f"MAP in percent on the test {tested}; in brackets the 95 % bootstrap "
        f"interval over queries, or after ± the standard deviation over {repeats}. "
        "`overall` is weighted by queries, `macro` is the mean of the attributes. "
        "Random is the exact expectation. Images seen: by the training of the method, counted "
        "as often as they were shown; the pretraining that all share is not in it.\n"
        f"{len(selection.runs)} runs, {repeats} {', '.join(map(str, seeds))}; settings, versions "
        "and times of each in `provenance.json`.\n"
        f"Code {', '.join(codes)}, data {', '.join(data)}, commit {', '.join(commits)}; "
        f"Python {first.manifest['python']}, {packages}.\n"
    )


def _short(commit: str) -> str:
    """Return ten digits of a commit, with its mark if files differed from it."""
    digits, *modified = commit.split("-")
    return "-".join([digits[:10], *modified])


_PAGE = """# Published results

Numbers from other people's papers, in percent, none of them made by this project: other images,
other networks. They are MAP on the test split, and for Zappos50k the share of triplets ranked
correctly. Our own numbers stand in the other tables of this folder, and never beside these.

The status says how a row was checked: `verified` was read in the source; `checksum` was not read
there, but its numbers, weighted by queries, give the row's overall number; `computed` is an exact
expectation. A dash is a number that is not published, or was not checked.

Written by `asen_study.tables.write_published` from `reference/published_results.csv`.
"""


def published_beside(path: Path | str, dataset: str, chosen: str | None = None) -> pd.DataFrame:
    """Lay out the published numbers that a dataset's own may be seen beside; empty if none are.

    Args:
        path: as for `published`.
        dataset: of the study; the drawn garments are modelled on FashionAI.
        chosen: whose numbers to show instead.

    Raises:
        ValueError: numbers of `chosen` are not in the table.
    """
    name = chosen or ("FashionAI" if dataset in DRAWN else dataset)
    known = name in set(pd.read_csv(path)["dataset"])
    return published(path, name) if known or chosen else pd.DataFrame()


def published(path: Path | str, dataset: str) -> pd.DataFrame:
    """Lay out the published MAP of a dataset: a row per method, a column per attribute.

    Args:
        path: the table of published results: `dataset, method, attribute, percent, source, status`.
            The status is "verified" (read in the source), "checksum" (the row's weighted mean
            reproduces the overall number) or "computed" (an exact expectation).
        dataset: whose rows to take.

    Returns:
        Percent as text, "-" where none is published, then `status` and `source`; indexed by method.

    Raises:
        ValueError: the table has no rows of the dataset.
    """
    table = pd.read_csv(path)
    rows = table[table["dataset"] == dataset]
    if rows.empty:
        known = ", ".join(table["dataset"].unique())
        raise ValueError(f"{path}: dataset must be one of {known}; got {dataset!r}")
    rows = rows.assign(attribute=rows["attribute"].str.replace("_", " "))
    wide = rows.pivot(index="method", columns="attribute", values="percent")
    wide = wide.loc[rows["method"].unique(), rows["attribute"].unique()]
    wide = wide.map(lambda number: "-" if pd.isna(number) else f"{number:.2f}")
    origin = rows.groupby("method")[["status", "source"]].first()
    return wide.join(origin).rename_axis(index=None, columns=None)


def write_published(path: Path | str, target: Path | str) -> None:
    """Write the published numbers of all datasets to a page of their own, with status and source.

    Args:
        path: the table of published results, as for `published`.
        target: the Markdown file, such as `results/published.md`.
    """
    pages = [_PAGE]
    for dataset in pd.read_csv(path)["dataset"].unique():
        laid_out = published(path, dataset)
        pages.append(f"## {dataset}\n\n{to_markdown(laid_out, words=('status', 'source'))}")
    write_text(Path(target), "\n".join(pages))
