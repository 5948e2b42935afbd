"""The score card of a rehearsal: what was seen in each trial, points, and the forms in which others read it."""

import xml.etree.ElementTree as ET
from typing import Literal

import msgspec

Verdict = Literal["pass", "fail"]


class Outcome(msgspec.Struct, kw_only=True):
    """One trial. `blind_seconds`: real time from the end of the trouble until every line flowed again, None if that
    never came. `why` is one sentence; `rule` and `source` are those of IB's that the verdict is by."""

    name: str
    title: str
    verdict: Verdict
    why: str
    rule: str
    source: str
    points: int
    of: int
    blind_seconds: float | None
    seconds: float
    lines: int
    connections: int
    peak_messages_per_second: int
    remarks: list[str]


class Card(msgspec.Struct, kw_only=True):
    """`points` of `of`: the weights of the trials that passed, and of all that were run."""

    program: str
    points: int
    of: int
    outcomes: list[Outcome]

    @property
    def full(self) -> bool:
        return self.points == self.of


def card(program: str, outcomes: list[Outcome]) -> Card:
    return Card(
        program=program,
        points=sum(one.points for one in outcomes),
        of=sum(one.of for one in outcomes),
        outcomes=outcomes,
    )


def junit(made: Card) -> bytes:
    """One test case a trial, as JUnit's readers in CI systems expect it."""
    failed = sum(one.verdict == "fail" for one in made.outcomes)
    seconds = f"{sum(one.seconds for one in made.outcomes):.3f}"
    counts = {"tests": str(len(made.outcomes)), "failures": str(failed), "errors": "0", "time": seconds}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "ibstream rehearse", **counts})
    for one in made.outcomes:
        attributes = {"classname": "ibstream.rehearse", "name": one.name, "time": f"{one.seconds:.3f}"}
        case = ET.SubElement(suite, "testcase", attributes)
        if one.verdict == "fail":
            failure = ET.SubElement(case, "failure", {"message": one.why, "type": "rule"})
            failure.text = f"{one.rule} ({one.source})"
        if one.remarks:
            ET.SubElement(case, "system-out").text = "\n".join(one.remarks)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written
