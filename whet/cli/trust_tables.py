"""How far predictions can be relied on, as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from whet.cli.tables import console, figure, interval, plain_table
from whet.intervals import interval_text

_FIGURES = {"calibration error (ECE)": "ece", "Brier score": "brier", "loss": "nll"}


def print_trust(metrics: Mapping[str, Any]) -> None:
    """Calibration, selective prediction and label sets of one file."""
    out = console()
    if metrics.get("prediction_intervals"):
        _print_intervals(out, metrics["prediction_intervals"])
    if "decisions" in metrics:
        _print_decisions(out, metrics["decisions"])
    if "calibration" not in metrics:
        return
    _print_calibration(out, metrics)
    _print_levels(out, metrics["selective"], metrics["label_sets"])
    _print_answered(out, metrics["selective"]["answered"], metrics["n"])
    rows = metrics["calibration"]["fitted_rows"]
    if rows:
        what = "Temperature and label sets" if metrics["calibration"]["temperature"] != 1 else "Label sets"
        out.print(f"{what} were fitted on {rows:,} dev rows, and on those rows look too good.")


def print_decision(results: Mapping[str, Any]) -> None:
    """What was fitted on dev at the end of training; runs of earlier versions have nothing."""
    for line in decision_lines(results["decision"]) if "decision" in results else ():
        console().print(line, soft_wrap=True)


def decision_lines(decision: Mapping[str, Any]) -> list[str]:
    """What there is to say of it, in words."""
    lines = []
    rows = f"fitted on {decision['n_rows']:,} dev rows" if "n_rows" in decision else ""
    if decision.get("null_threshold") is not None:
        least = f"{decision['null_threshold']:.3g}"
        lines.append(f"No answer where that scores more than {least} above the best one ({rows}).")
    if "temperature" not in decision:
        return lines
    if decision["temperature"] != 1:
        lines.append(f"Probabilities: at temperature {decision['temperature']:.3g}, {rows}.")
    thresholds = decision.get("thresholds") or {}
    if thresholds:
        shown = list(thresholds.items())[:5]
        words = ", ".join(f"{label} {'never' if t is None else f'{t:.3g}'}" for label, t in shown)
        more = ", ..." if len(thresholds) > len(shown) else ""
        lines.append(f"Thresholds: {words}{more} ({decision['goal']}, {rows}).")
    never = [label for label, t in thresholds.items() if t is None]
    if never:
        names = ", ".join(never[:5]) + (", ..." if len(never) > 5 else "")
        lines.append(f"WARNING No threshold reaches {decision['goal']} on dev for: {names}. Never given.")
    return lines


def _print_calibration(out: Console, metrics: Mapping[str, Any]) -> None:
    calibration = metrics["calibration"]
    ends = calibration["intervals"] | {"nll": metrics["intervals"]["nll"]}
    is_changed = calibration["temperature"] != 1
    headers = ("at temperature 1", f"at {calibration['temperature']:.3g}") if is_changed else ("figure",)
    table = plain_table("probabilities", *headers, "95% interval")
    for name, key in _FIGURES.items():
        kinds = ("before", "after") if is_changed else ("after",)
        table.add_row(name, *(figure(calibration[kind][key]) for kind in kinds), interval(ends[key]))
    out.print(table)
    mean, most = ends["ece_if_calibrated"]
    out.print(
        f"On {metrics['n']:,} rows even true probabilities show an ECE of about {mean:.3f}, by chance "
        f"(95%: up to {most:.3f}).{_judged(calibration['after']['ece'], most)}",
        soft_wrap=True,
    )


def _print_decisions(out: Console, found: Mapping[str, Any]) -> None:
    """How true the probabilities of all labels are, each for itself."""
    shown = f"{found['temperature']:.3g}"
    is_changed = shown != "1"
    headers = ("at temperature 1", f"at {shown}") if is_changed else ("figure",)
    table = plain_table("probabilities of all labels", *headers)
    for name, key in (_FIGURES | {"loss": "bce"}).items():
        kinds = ("before", "after") if is_changed else ("after",)
        table.add_row(name, *(figure(found[kind][key]) for kind in kinds))
    out.print(table)
    if found["fitted_rows"]:
        what = "Temperature and thresholds" if is_changed else "Thresholds"
        out.print(
            f"{what} were fitted on {found['fitted_rows']:,} dev rows, and on those rows look too good."
        )


def _judged(error: float, most: float) -> str:
    if error <= most:
        return ""
    return " These are further off than chance explains: do not take them at their word."


def _print_intervals(out: Console, found: list[Mapping[str, Any]]) -> None:
    """How often intervals around predicted numbers hold the true one."""
    table = plain_table("prediction intervals", "plus or minus", "hold", "95% interval")
    for one in found:
        width, held = f"{one['half_width']:.4g}", figure(one["coverage"])
        table.add_row(f"{one['level']:.0%}", width, held, interval(one["interval"]))
    out.print(table)
    out.print(f"Fitted on {found[0]['fitted_rows']:,} dev rows, and on those rows look too good.")


def _print_levels(out: Console, selective: Mapping[str, Any], sets: list[Mapping[str, Any]]) -> None:
    """The surest rows, and label sets beside them where there are some."""
    out.print("The surest 80, 90 and 95% of these rows" + (", and the label sets for each:" if sets else ":"))
    more = ("sets hold", "95% interval", "labels") if sets else ()
    table = plain_table("", "accuracy", "95% interval", "from P", *more)
    for i, one in enumerate(selective["at"]):
        row = [figure(one["accuracy"]), interval(one["interval"]), f"{one['confidence']:.2f}"]
        if sets:
            row += [
                figure(sets[i]["coverage"]),
                interval(sets[i]["interval"]),
                f"{sets[i]['mean_size']:.2f}",
            ]
        table.add_row(f"{one['coverage']:.0%}", *row)
    out.print(table)


def _print_answered(out: Console, answered: Mapping[str, Any], n: int) -> None:
    """What abstaining does, where it does anything."""
    if answered["n"] == n and answered["abstain_below"] is None:
        return
    accuracy = "-" if answered["accuracy"] is None else f"{answered['accuracy']:.4f}"
    ends = "" if answered["interval"] is None else f" ({interval_text(answered['interval'])})"
    out.print(
        f"Abstaining: {answered['n']:,} of {n:,} rows ({answered['share']:.1%}) get an answer, accuracy on "
        f"them {accuracy}{ends}. If all got one: {answered['accuracy_of_all']:.4f}. In the figures above, a "
        "row without an answer counts as not right.",
        soft_wrap=True,
    )
