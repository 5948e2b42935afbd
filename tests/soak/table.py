"""The figures of a soak as a table in Markdown."""

from tests.process.pipeline import ALL
from tests.soak.gauge import Growth
from tests.soak.run import PLACES, Soak


def table(done: Soak) -> str:
    """Processes first, then places, then what happened."""
    found = {(growth.whose, growth.figure): growth for growth in done.gauge.growths()}
    lines = [
        "|  | lives | measured s | memory MB, first third | last third | highest | handles | threads |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name in (*ALL, *(f"keeper of {name}" for name in ALL)):
        memory = found.get((name, "memory"))
        if memory is None:
            continue
        handles, threads = found[name, "handles"], found[name, "threads"]
        lines.append(
            f"| {name} | {done.lives.get(name, 1)} | {memory.seconds:.0f} | {memory.first:.1f} | {memory.last:.1f}"
            f" | {memory.highest:.1f} | {_two(handles)} | {_two(threads)} |"
        )
    lines += ["", "|  | first third | last third | highest |", "| :-- | --: | --: | --: |"]
    for (whose, figure), growth in found.items():
        if whose == PLACES:
            lines.append(f"| {figure} | {growth.first:.1f} | {growth.last:.1f} | {growth.highest:.1f} |")
    lines += [f"| {what}, MB | | | {size:.1f} |" for what, size in done.gauge.most.items()]
    lines += [
        "",
        f"{done.seconds:.0f} s, {done.ticks:,} ticks, journal {done.journal:.0f} MB"
        f" ({done.journal * 1e6 / max(1, done.ticks):.0f} bytes a tick), {done.gaps} gaps bridged.",
        f"Faults: {', '.join(f'{count} x {what}' for what, count in sorted(done.faults.items()))}.",
    ]
    return "\n".join(lines)


def _two(growth: Growth) -> str:
    return f"{growth.first:.0f} to {growth.last:.0f}"
