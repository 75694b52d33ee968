"""What errors of the Kafka client mean: to a task, by what has to follow; to an operator, in one line."""

import ssl

import aiokafka.errors as kafka

from streams.errors import Refused, Silent
from streams.state import StateContradiction

# What the operator has to look at, by the class of error; the first class that fits counts.
_MEANING: tuple[tuple[type[BaseException], str], ...] = (
    (kafka.SaslAuthenticationFailed, "Kafka refused the SASL user name or password"),
    (kafka.UnsupportedSaslMechanismError, "Kafka does not offer this SASL mechanism"),
    (kafka.TopicAuthorizationFailedError, "Kafka's ACLs do not allow this on the topic"),
    (kafka.GroupAuthorizationFailedError, "Kafka's ACLs do not allow the consumer group"),
    (kafka.TransactionalIdAuthorizationFailed, "Kafka's ACLs do not allow the transactional id"),
    (kafka.ClusterAuthorizationFailedError, "Kafka's ACLs do not allow this on the cluster"),
    (kafka.KafkaConnectionError, "Kafka cannot be reached"),
    (kafka.NodeNotReadyError, "Kafka cannot be reached"),
    (kafka.KafkaTimeoutError, "Kafka did not answer in time"),
    (kafka.InvalidTimestampError, "Kafka takes no records of the time that this machine's clock has"),
    (kafka.KafkaError, "Kafka refused"),
    (ssl.SSLCertVerificationError, "the broker's certificate is not trusted"),
    (ssl.SSLError, "no TLS connection to the broker"),
    (TimeoutError, "Kafka did not answer in time"),
)

KNOWN: tuple[type[BaseException], ...] = (Refused, *(each for each, _ in _MEANING))


def one_line(error: BaseException) -> str:
    """The message for an error of one of the KNOWN classes: what it means, then what was said."""
    if isinstance(error.__cause__, ssl.SSLError):  # such as that the broker asks for a certificate
        error = error.__cause__
    said = " ".join(str(error).split())
    if isinstance(error, Refused):
        return said
    meaning = next(meaning for each, meaning in _MEANING if isinstance(error, each))
    return f"{meaning}: {said}" if said else meaning


class Fenced(Exception):
    """Another producer has taken the transactional id: this one's partition is someone else's, or was."""


class OutcomeUnknown(Exception):
    """The transaction may have been committed or not; only the log knows."""


# What starting over cannot mend: the operator has to.
_FATAL = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.ClusterAuthorizationFailedError,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTopicError,
    kafka.OffsetOutOfRangeError,
    kafka.CorruptRecordException,
    kafka.UnsupportedVersionError,
    kafka.UnsupportedCodecError,
    kafka.InvalidTransactionTimeout,
)
_FENCED = (kafka.ProducerFenced, kafka.InvalidProducerEpoch, AssertionError)

# What a client and the logs may bring. Anything else is a bug and ends the worker. A TimeoutError is an OSError.
TROUBLE = (kafka.KafkaError, kafka.IllegalOperation, OSError, AssertionError, StateContradiction, Refused)


def classify(error: BaseException) -> Exception:
    """What TROUBLE means: Fenced, OutcomeUnknown, or Refused with one line for the operator."""
    if isinstance(error, Silent):  # the broker may come back
        return OutcomeUnknown(str(error))
    if isinstance(error, Refused):
        return error
    if isinstance(error, StateContradiction):
        return Refused(str(error))
    if isinstance(error, _FATAL):
        return Refused(one_line(error))
    if isinstance(error, _FENCED):  # the state machine inside aiokafka is made of assertions
        return Fenced(repr(error))
    return OutcomeUnknown(repr(error))
