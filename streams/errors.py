"""What the shell says when the world is at fault: one exception, one line, no traceback."""


class Refused(Exception):
    """The program cannot do what it was asked to; the message is one line that says why."""


class Silent(Refused):
    """Kafka has sent nothing for too long: a command gives up, a worker tries again."""


class BadOption(Refused):
    """What is wrong is nothing but the value of an option: wrong usage."""
