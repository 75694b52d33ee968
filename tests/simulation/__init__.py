"""A Kafka in virtual time: a broker that knows transactions and fencing, aiokafka's clients on it, and
every fault.

Reading order: loop, faults, log, transactions, groups, broker, requests, wire, settings, consumer,
group_consumer, clients.
"""

from .broker import SimBroker
from .clients import SimClients, SimProducer
from .consumer import SimConsumer
from .faults import OPERATIONS, Fault, Kind, RandomFaults, ScriptedFaults
from .group_consumer import SimGroupConsumer
from .log import Record
from .loop import EPOCH_MS, Deadlock, Livelock, OutOfTime, VirtualLoop, Worker, current_loop, run
from .settings import ClientSettings

__all__ = [
    "EPOCH_MS",
    "OPERATIONS",
    "ClientSettings",
    "Deadlock",
    "Fault",
    "Kind",
    "Livelock",
    "OutOfTime",
    "RandomFaults",
    "Record",
    "ScriptedFaults",
    "SimBroker",
    "SimClients",
    "SimConsumer",
    "SimGroupConsumer",
    "SimProducer",
    "VirtualLoop",
    "Worker",
    "current_loop",
    "run",
]
