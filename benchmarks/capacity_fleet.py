"""How many machines so many callers need, what that costs, and what breaks first: arithmetic on a few figures.

Every figure that is not measured here is a field of `Assumptions` with its source, or with the word "assumed"; each of
them is a flag of `python -m benchmarks.capacity`.
"""

import heapq
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SIZES = (1, 100, 1_000, 10_000, 100_000, 1_000_000)
"""Callers at once, in the busiest hour."""

HOURS_A_MONTH = 730.0

DAY = (
    *(0.10, 0.07, 0.05, 0.05, 0.06, 0.10, 0.20, 0.40, 0.70, 0.92, 1.00, 1.00),
    *(0.92, 0.90, 0.95, 0.95, 0.90, 0.80, 0.65, 0.50, 0.40, 0.30, 0.22, 0.15),
)
"""Callers in each hour of the day as a share of those in the busiest: assumed, an office's hours with an evening."""

UNLUCKY = 3.1
"""Standard deviations over the mean number of callers that there is room for: exceeded one time in a thousand."""

PLACES = 10
"""Calls that a process of the busy hour takes."""

BITS = 8e-9
"""Gbit in a byte."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not measured by this project; each field's metadata says what it is and where it comes from."""

    node_cores: int = field(default=32, metadata={"help": "cores of a node (assumed)"})
    process_cores: int = field(default=2, metadata={"help": "cores of a server process: the size that was measured"})
    cell_nodes: int = field(default=100, metadata={"help": "nodes of a cell, spare ones included (chosen)"})
    room: float = field(default=1.1, metadata={"help": "room for calls, as a multiple of their mean number (chosen)"})
    call_s: float = field(default=180.0, metadata={"help": "mean length of a call (assumed)"})
    caller_mb: float = field(
        default=6.7,
        metadata={"help": "memory of a caller, MB: a turn of 60 s and 30 s of reply, float32 (upper bound)"},
    )
    core_hour: float = field(
        default=0.0425, metadata={"help": "$ for a core an hour: c5, AWS's list price, us-east-1 [1]; m7g: 0.0408 [2]"}
    )
    gpu_hour: float = field(
        default=1.006, metadata={"help": "$ for an A10G with 4 cores an hour: g5.xlarge, AWS's list price [2]"}
    )
    committed: float = field(
        default=0.6,
        metadata={"help": "share of the list price with a commitment of 1 to 3 years (assumed; down to 0.28 [3])"},
    )
    gpu_streams_low: int = field(default=160, metadata={"help": "recognition streams of one GPU, least of [4]"})
    gpu_streams_high: int = field(default=270, metadata={"help": "recognition streams of one GPU, most of [4]"})
    trunk_minute: float = field(default=0.004, metadata={"help": "$ for a minute of a telephone trunk (assumed)"})
    database_writes: float = field(
        default=5_000.0, metadata={"help": "turns a second that one PostgreSQL takes (assumed)"}
    )
    database_connections: int = field(
        default=97, metadata={"help": "PostgreSQL's default max_connections, less 3 reserved"}
    )
    series_most: float = field(default=10e6, metadata={"help": "time series that one Prometheus keeps (assumed)"})
    ray_nodes: int = field(default=2_000, metadata={"help": "nodes of a Ray cluster that others have tested [5]"})
    ray_actors: int = field(default=10_000, metadata={"help": "actors of a Ray cluster, the least published [6]"})
    balancer_gbit: float = field(default=50.0, metadata={"help": "Gbit/s through one address of a load balancer [7]"})
    balancer_connections: float = field(default=5e6, metadata={"help": "connections of one such address [7]"})
    balancer_targets: int = field(default=400, metadata={"help": "machines behind one load balancer [7]"})
    proxy_caller_s: float = field(
        default=0.011,
        metadata={"help": "of a core for a caller's messages through one Python proxy (assumed: our loop's own)"},
    )
    proxy_most: float = field(default=0.8, metadata={"help": "of its core that a proxy or a loop may use (assumed)"})


EGRESS = ((10e3, 0.09), (40e3, 0.085), (100e3, 0.07), (math.inf, 0.05))
"""GB a month and $ for each of them: AWS's list price, us-east-1 [8]."""


@dataclass(frozen=True, slots=True)
class Process:
    """What one server process carries, from the simulation and the load test."""

    n_callers: int
    n_elsewhere: int
    """The same when GPUs recognize for it."""
    memory_mb: float
    loop_s: float
    turn_s: float
    replying: float
    """Share of the time in which a caller hears a reply."""
    n_series: int = 433
    """Of its metrics, with four doors in use (counted)."""
    n_ports: int = 200
    """UDP ports for telephone calls, as the settings have them."""


@dataclass(frozen=True, slots=True)
class Door:
    """What a caller's audio takes on the wire, with all headers."""

    name: str
    in_bytes_s: float
    """From the caller, all the time."""
    out_bytes_s: float
    """To the caller while a reply is heard."""
    always_out: bool = False
    """Whether silence is sent, too."""

    def gbit(self, n_callers: float, replying: float) -> tuple[float, float]:
        """Gbit/s in and out."""
        out = self.out_bytes_s * (1.0 if self.always_out else replying)
        return n_callers * self.in_bytes_s * BITS, n_callers * out * BITS


TCP, UDP = 20 + 32, 20 + 8
"""Bytes of IPv4's and the transport's header, TCP's with its timestamps."""


def _websocket(message_s: float) -> float:
    """Bytes a second of 24 kHz PCM as base64 in JSON; the mask and length of a frame are 8 bytes, the JSON about 60."""
    return (math.ceil(2 * 24_000 * message_s / 3) * 4 + 60 + 8 + TCP) / message_s


def _rtp(payload_s: float, *, secure: bool = False) -> float:
    """Bytes a second of so many a second, in packets of 20 ms."""
    return (payload_s * 0.02 + 12 + UDP + (10 if secure else 0)) / 0.02


DOORS = (
    Door("Realtime, 24 kHz PCM in JSON", _websocket(0.04), _websocket(0.1)),
    Door("telephone, G.711", _rtp(8_000), _rtp(8_000), always_out=True),
    Door("page, Opus at 24 kbit/s", _rtp(3_000, secure=True), _rtp(3_000, secure=True), always_out=True),
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What so many callers need."""

    n_callers: int
    n_processes: int
    n_nodes: int
    """One spare in each cell included; for one caller, one small machine and no spare."""
    n_cells: int
    n_cores: int
    memory_gb: float
    dollars: tuple[float, float]
    """A month: machines that follow the day at a committed price, and those of the busiest hour at the list price."""


def fleet(n_callers: int, process: Process, given: Assumptions) -> Fleet:
    """The machines for so many callers in the busiest hour."""
    room = 1.0 if n_callers == 1 else max(given.room * n_callers, n_callers + UNLUCKY * math.sqrt(n_callers))
    n_processes = math.ceil(room / max(1, process.n_callers))
    if n_callers == 1:
        n_nodes, n_cells, n_cores = 1, 1, given.process_cores
    else:
        working = math.ceil(n_processes * given.process_cores / given.node_cores)
        n_cells = math.ceil(working / (given.cell_nodes - 1))
        n_nodes = working + n_cells
        n_cores = n_nodes * given.node_cores
    memory_gb = (n_cores // given.process_cores * process.memory_mb + n_callers * given.caller_mb) / 1000
    most = n_cores * given.core_hour * HOURS_A_MONTH
    follows = 1.0 if n_callers == 1 else sum(DAY) / len(DAY)
    return Fleet(n_callers, n_processes, n_nodes, n_cells, n_cores, memory_gb, (most * follows * given.committed, most))


@dataclass(frozen=True, slots=True)
class WithGpus:
    """A fleet whose recognition is done by GPUs; ranges come from what one GPU was published to do."""

    n_cores: int
    """Besides those that come with the GPUs."""
    n_gpus: tuple[int, int]
    dollars: tuple[float, float]
    """A month at list price."""


def gpus(n_callers: int, process: Process, given: Assumptions) -> WithGpus:
    """The machines when GPUs recognize."""
    rest = fleet(n_callers, replace(process, n_callers=process.n_elsewhere), given)
    streams = (given.gpu_streams_high, given.gpu_streams_low)
    low, high = (math.ceil(given.room * n_callers / n) + rest.n_cells for n in streams)
    dollars = given.gpu_hour * HOURS_A_MONTH
    return WithGpus(rest.n_cores, (low, high), (rest.dollars[1] + low * dollars, rest.dollars[1] + high * dollars))


def egress_dollars(gbit_s: float) -> float:
    """A month's traffic out at list price, when the busiest hour has so much."""
    left = gbit_s / 8 * 3600 * HOURS_A_MONTH * sum(DAY) / len(DAY)
    total = 0.0
    for most, price in EGRESS:
        total += min(left, most) * price
        left -= min(left, most)
    return total


def trunk_dollars(n_callers: int, given: Assumptions) -> float:
    """A month's minutes of telephone trunks."""
    return n_callers * HOURS_A_MONTH * 60 * sum(DAY) / len(DAY) * given.trunk_minute


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that there is no more of from so many callers on."""

    what: str
    n_callers: float
    remedy: str


def limits(process: Process, given: Assumptions) -> list[Limit]:
    """What breaks first, in the order in which it does, as callers become more and nothing is done about it."""
    node = process.n_callers * given.node_cores // given.process_cores
    pcm_in, pcm_out = DOORS[0].gbit(1, process.replying)
    found = {
        "a process of two cores (95% of the turns within 500 ms)": (process.n_callers, "more processes"),
        "`max_sessions`, by default": (32, "set it to what a process carries, so that one too many is refused"),
        "the event loop of a process": (
            given.proxy_most / process.loop_s,
            "more processes: cores that one is given beyond about four only wait for its loop",
        ),
        "one Python proxy through which all audio goes": (
            given.proxy_most / given.proxy_caller_s,
            "a proxy on every node, the load balancer in front of them; or callers straight to the replica",
        ),
        "`rtp_ports` of one address, by default": (process.n_ports, "a wider range: a port for each call"),
        f"a node of {given.node_cores} cores; all of its calls are lost with it": (
            node,
            "one node more than needed; state outside the process; callers call again",
        ),
        "PostgreSQL's connections (one a process)": (
            given.database_connections * process.n_callers,
            "a pooler, such as pgbouncer; a database for each cell",
        ),
        "turns a second into one PostgreSQL": (
            given.database_writes * process.turn_s,
            "a database for each cell; several turns in one transaction",
        ),
        "Gbit/s through one address of a load balancer, PCM": (
            given.balancer_gbit / (pcm_in + pcm_out),
            "more addresses, a balancer for each cell; Opus or G.711 in place of PCM",
        ),
        "time series in one Prometheus": (
            given.series_most / process.n_series * process.n_callers,
            "a Prometheus for each cell, sums of it in one for all",
        ),
        "machines behind one load balancer": (given.balancer_targets * node, "a balancer for each cell"),
        "actors of a Ray cluster (one a process, a proxy a node)": (
            given.ray_actors / (1 + given.process_cores / given.node_cores) * process.n_callers,
            f"cells of {given.cell_nodes} nodes, each a cluster of its own",
        ),
        "nodes of a Ray cluster": (
            given.ray_nodes * node,
            "cells: far below the limit, so that one lost is a small part",
        ),
        "connections of one address of a load balancer": (given.balancer_connections, "more addresses"),
    }
    return sorted((Limit(what, *rest) for what, rest in found.items()), key=lambda limit: limit.n_callers)


@dataclass(frozen=True, slots=True)
class Hour:
    """A busy hour of arriving calls."""

    n_most: int
    """Calls at once, at most."""
    refused: float
    """Share of the calls that found no room where they were sent."""


def busy_hour(n_callers: int, room: float, *, call_s: float, tries: int, seed: int = 0) -> Hour:
    """Calls arrive at random, last exponentially long, and go to the emptier of two processes, as Serve sends them.

    There is room for `room` times the mean number of calls, in processes of `PLACES`. Where both are full two others
    are tried, `tries` times in all; then the call is refused. The hour begins with no call, and is counted after
    ten mean lengths of a call, when the beginning no longer shows.
    """
    rng = random.Random(seed)
    rate, now_s, ends = n_callers / call_s, 0.0, list[tuple[float, int]]()
    inside = [0] * math.ceil(round(n_callers * room / PLACES, 6))
    n_most = n_refused = n_calls = 0
    from_s = 10 * call_s
    while (now_s := now_s + rng.expovariate(rate)) < from_s + 3600.0:
        while ends and ends[0][0] <= now_s:
            inside[heapq.heappop(ends)[1]] -= 1
        n_calls += now_s >= from_s
        for _ in range(tries):
            chosen = min(rng.randrange(len(inside)), rng.randrange(len(inside)), key=inside.__getitem__)
            if inside[chosen] < PLACES:
                inside[chosen] += 1
                heapq.heappush(ends, (now_s + rng.expovariate(1 / call_s), chosen))
                break
        else:
            n_refused += now_s >= from_s
        n_most = max(n_most, len(ends))
    return Hour(n_most, n_refused / max(1, n_calls))


SOURCES: Mapping[int, str] = {
    1: "c5.4xlarge $0.68: docs.amazonaws.cn/en_us/autoscaling/ec2/userguide/"
    "weights-spot-price-per-unit-hour-example.html"
    " (AWS's example prices for us-east-1; no date)",
    2: "m7g.large $0.0816, g5.xlarge $1.006: factualminds.com/blog/amazon-ec2-on-demand-pricing-instance-families-2026/"
    " (June 2026)",
    3: "savings plans up to 72%: amnic.com/blogs/everything-about-aws-ec2-pricing (2024 or later)",
    4: "160 and 270 streams at chunks of 160 ms, p95 85 and 55 ms with 64 streams:"
    " docs.nvidia.com/nim/riva/asr/1.4.0/asr-performance-table.html (2025)."
    " The stored copy does not name the GPU of either",
    5: "2,000 nodes, the head with 10 busy cores: github.com/skypilot-org/skypilot/pull/9192 (March 2026), and"
    " github.com/ray-project/ray/issues/30113 (November 2022)",
    6: "250+ nodes, 10k+ actors: github.com/ray-project/ray, release/benchmarks/README.md, an older version (tests with"
    " trivial work; a later one says 3k+ and 20k+)",
    7: "50 Gbit/s and 5 million connections an address, 400 machines:"
    " alibabacloud.com/help/en/document_detail/2382698.html (February 2026)",
    8: "0.09, 0.085, 0.07 and 0.05 $ a GB: atonementlicensing.com/blog/aws-egress-negotiation/ and"
    " cloud-cost-557.pages.dev/blog/estimate-aws-data-transfer-bill/ (June 2026)",
}
"""Of the figures in `Assumptions` and `EGRESS`, by the numbers there."""
