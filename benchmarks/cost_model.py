"""What a large cohort costs: hours, core-hours, terabytes and money, from what one study takes.

    python -m benchmarks.cost_model --seconds 8.4 --studies 100000 --nodes 10
    python -m benchmarks.cost_model --seconds 8.4 --node mem1_ssd1_v2_x16,16,32,0.80

Assumptions, in the order of their weight:
- ``--seconds`` are those of one warm worker of one thread on a physical core that is otherwise idle, all stages.
  Measure them on your own nodes with ``benchmarks/cohort.py throughput``.
- A virtual core is one hyper-thread: two workers on one physical core take ``HYPERTHREAD`` times as long each as one.
- Workers need ``GIB_FOR_EACH_WORKER``; a node with less memory runs fewer of them than it has cores.
- ``WASTED`` of the time is lost: start of nodes, the end of a run when few studies are left, studies done twice.
- Reading and writing keep up. A worker reads 150 MB in ``--seconds``: 10 nodes of 32 workers read 0.6 GB/s together.
- The prices of the two named nodes are an input, not a fact: list prices on demand of AWS for Linux in us-east-1, as
  https://aws.amazon.com/ec2/pricing/on-demand/ had them when this was written. They change.
  Give your own with ``--node``, in any currency. Interruptible nodes cost about a third.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["NODES", "Cost", "Node", "cost"]

HYPERTHREAD = 1.6
GIB_FOR_EACH_WORKER = 2.5
WASTED = 0.10


@dataclass(frozen=True)
class Node:
    """A type of machine.

    Attributes
    ----------
    name : str
    virtual_cores : int
        Two of them are one physical core.
    memory_gib : float
    usd_an_hour : float
        Or another currency.
    """

    name: str
    virtual_cores: int
    memory_gib: float
    usd_an_hour: float


# Prices: see above.
NODES = (Node("m6i.xlarge", 4, 16.0, 0.192), Node("c6i.8xlarge", 32, 64.0, 1.36))


@dataclass(frozen=True)
class Cost:
    """What a cohort costs on one type of node.

    Attributes
    ----------
    workers : int
        On each node.
    studies_an_hour : float
        Of one node.
    node_hours, core_hours : float
        Core-hours are those of virtual cores.
    hours : float
        With the given number of nodes.
    usd : float
    read_tb, written_tb : float
    """

    workers: int
    studies_an_hour: float
    node_hours: float
    core_hours: float
    hours: float
    usd: float
    read_tb: float
    written_tb: float


def cost(studies: int, seconds: float, input_mb: float, output_mb: float, node: Node, nodes: int) -> Cost:
    """Compute the cost.

    Parameters
    ----------
    studies : int
    seconds : float
        Of one study by a worker that has a physical core.
    input_mb, output_mb : float
        Of one study, in 10^6 bytes.
    node : Node
    nodes : int

    Examples
    --------
    >>> one = cost(1000, 10.0, 150.0, 20.0, Node("example", 2, 16.0, 1.0), 1)
    >>> one.workers, round(one.studies_an_hour), round(one.node_hours, 2)
    (2, 405, 2.47)
    """
    workers = min(node.virtual_cores, math.floor(node.memory_gib / GIB_FOR_EACH_WORKER))
    # Up to one worker for each physical core, nobody shares one.
    shared = max(0, 2 * workers - node.virtual_cores)
    slots = (workers - shared) + shared / HYPERTHREAD
    an_hour = slots * 3600.0 / seconds * (1.0 - WASTED)
    node_hours = studies / an_hour
    return Cost(
        workers=workers,
        studies_an_hour=an_hour,
        node_hours=node_hours,
        core_hours=node_hours * node.virtual_cores,
        hours=node_hours / nodes,
        usd=node_hours * node.usd_an_hour,
        read_tb=studies * input_mb / 1e6,
        written_tb=studies * output_mb / 1e6,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of docs/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--input-mb", type=float, default=150.0)
    parser.add_argument("--output-mb", type=float, default=60.0, help="kept of each study")
    parser.add_argument("--node", type=_node, action="append", metavar="NAME,VCPU,GIB,PRICE", help="repeatable")
    options = parser.parse_args(argv)
    print("| node | workers | studies/h | node-hours | core-hours | hours with "
          f"{options.nodes} nodes | USD | read, TB | written, TB |")  # fmt: skip
    print("|" + "---|" * 9)
    for node in options.node or NODES:
        one = cost(options.studies, options.seconds, options.input_mb, options.output_mb, node, options.nodes)
        print(
            f"| {node.name}: {node.virtual_cores} vCPU, {node.memory_gib:g} GiB, {node.usd_an_hour:g} USD/h "
            f"| {one.workers} | {one.studies_an_hour:,.0f} | {one.node_hours:,.0f} | {one.core_hours:,.0f} "
            f"| {one.hours:,.1f} | {one.usd:,.0f} | {one.read_tb:.1f} | {one.written_tb:.1f} |"
        )
    return 0


def _node(text: str) -> Node:
    name, cores, memory_gib, price = text.split(",")
    return Node(name, int(cores), float(memory_gib), float(price))


if __name__ == "__main__":
    sys.exit(main())
