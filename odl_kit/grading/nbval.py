"""Every lab from top to bottom, by pytest and nbval, and what that costs: processor time, memory, time on the clock."""
import json
import tempfile
from pathlib import Path

import odl_kit

# Lax: an exception fails, outputs are compared in cells tagged nbval-check-output only. A kernel that dies is noticed by the timeout alone.
# --dist loadscope keeps the cells of a notebook in one kernel; without it xdist deals them out.
OPTIONS = ("--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", "--continue-on-collection-errors", "-q")
WORKERS = ("-n", "2", "--dist", "loadscope")
CPU_LIMIT_S, RSS_LIMIT_MB, MEAN_S = 60, 1024, 20    # of a lab; MEAN_S over the course


def run(pytest, notebooks=None, *, workers=WORKERS):
    """Run notebooks, each once, strictly (ODL_TEST=1: claims raise, no network; an empty ledger), then print what each cost.

    pytest(*arguments, **environment) -> exit status: how to call it. notebooks: paths, all of labs/ if None. Returns the exit status:
    pytest's, or 1 if a lab exceeds CPU_LIMIT_S or RSS_LIMIT_MB or left no measurement; time on the clock is only marked.
    The measurements stay in build/labs.json.
    """
    labs = (odl_kit.home() / "labs").glob("[0-9][0-9]_*.ipynb")
    notebooks = sorted(labs if notebooks is None else map(Path, notebooks))
    if not notebooks:
        print("no notebook in labs/: run `odl build` first")
        return 1
    with tempfile.TemporaryDirectory(prefix="odl-nbval-", ignore_cleanup_errors=True) as scratch:
        measure = Path(scratch) / "measure"
        measure.mkdir()
        status = pytest(*map(str, notebooks), *OPTIONS, *workers, ODL_TEST="1", ODL_LEDGER=f"{scratch}/ledger", ODL_MEASURE=str(measure),
                        IPYTHONDIR=f"{scratch}/ipython")
        found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in measure.glob("*.json")}
    measured = {path.stem: found.get(path.stem) for path in notebooks}
    print(table(measured))
    over = excess(measured)
    print("\n".join(over))
    (odl_kit.home() / "build").mkdir(exist_ok=True)
    (odl_kit.home() / "build" / "labs.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return max(status, 1 if over else 0)


def excess(measured):
    """What fails the run: list of sentences. measured: {lab: {"seconds", "cpu_s", "peak_rss_mb"}, None for a lab without measurement}."""
    found = []
    for lab, cost in measured.items():
        if cost is None:
            found.append(f"{lab}: no measurement, so lab.start did not run")
            continue
        if cost["cpu_s"] > CPU_LIMIT_S:
            found.append(f"{lab}: {cost['cpu_s']:.0f} s of processor time, the limit is {CPU_LIMIT_S} s: compute less, or record it")
        if cost["peak_rss_mb"] > RSS_LIMIT_MB:
            found.append(f"{lab}: {cost['peak_rss_mb']:.0f} MB at its peak, the limit is {RSS_LIMIT_MB} MB")
    return found


def table(measured):
    """The measurements as text: a row a lab, then the mean processor time beside what the course aims at. Slow clocks are marked."""
    rows = [f"{'lab':<28} {'CPU s':>7} {'clock s':>8} {'peak MB':>8}"]
    known = {lab: cost for lab, cost in measured.items() if cost}
    for lab, cost in known.items():
        mark = f"   more than {CPU_LIMIT_S} s on this clock" if cost["seconds"] > CPU_LIMIT_S else ""
        rows.append(f"{lab:<28} {cost['cpu_s']:>7.1f} {cost['seconds']:>8.1f} {cost['peak_rss_mb']:>8.0f}{mark}")
    if known:
        mean = sum(cost["cpu_s"] for cost in known.values()) / len(known)
        rows.append(f"{f'mean of {len(known)} labs':<28} {mean:>7.1f}  (aim {MEAN_S} s; a lab may have {CPU_LIMIT_S} s, {RSS_LIMIT_MB} MB)")
    return "\n".join(rows)
