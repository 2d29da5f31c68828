"""How far predictions can be relied on, as tables for people."""

from collections.abc import Mapping
from typing import Any

from whet.cli.tables import console, figure, interval, table
from whet.intervals import interval_text


def print_trust(metrics: Mapping[str, Any]) -> None:
    """Calibration, selective prediction and label sets of one file."""
    out = console()
    calibration, selective, sets = (metrics[name] for name in ("calibration", "selective", "label_sets"))
    rows, temperature = calibration["fitted_rows"], calibration["temperature"]
    after, ends = calibration["after"], calibration["intervals"]
    is_changed = temperature != 1
    first = ("at temperature 1",) if is_changed else ()
    probabilities = table("probabilities", *first, f"at {temperature:.3g}" if is_changed else "figure", "95% interval")
    loss_ends = metrics["intervals"]["nll"]
    for name, key, its_ends in (("calibration error (ECE)", "ece", ends["ece"]), ("Brier score", "brier", ends["brier"]), ("loss", "nll", loss_ends)):
        before = (figure(calibration["before"][key]),) if is_changed else ()
        probabilities.add_row(name, *before, figure(after[key]), interval(its_ends))
    out.print(probabilities)
    mean, most = ends["ece_if_calibrated"]
    out.print(
        f"True probabilities would show an ECE of about {mean:.3f} by chance on {metrics['n']:,} rows, and up to {most:.3f}.",
        soft_wrap=True,
    )
    if rows:
        fitted = "the temperature and the label sets were" if is_changed else "the label sets were"
        out.print(f"{fitted.capitalize()} fitted on {rows:,} dev rows; on those they look too good.", soft_wrap=True)
    headers = ("accuracy", "95% interval", "from P")
    more = ("sets hold", "95% interval", "labels a set") if sets else ()
    unsure = table("surest rows", *headers, *more)
    for i, one in enumerate(selective["at"]):
        cells = [figure(one["accuracy"]), interval(one["interval"]), f"{one['confidence']:.2f}"]
        if sets:
            found = sets[i]
            cells += [f"{found['coverage']:.1%}", interval(found["interval"]), f"{found['mean_size']:.2f}"]
        unsure.add_row(f"{one['coverage']:.0%}", *cells)
    out.print(unsure)
    answered = selective["answered"]
