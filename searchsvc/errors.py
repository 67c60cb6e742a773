"""Everything that can go wrong, in one tree.

    SearchError
      InvalidRequest            the caller's to mend                              422
      UnknownIndex              no index of that name                             404
      Unauthenticated           credentials are missing or wrong                  401
      Forbidden                 the caller may not                                403
      Conflict                  somebody else changed it in the meantime          409
      InvalidDocuments          a line of a JSONL file cannot be loaded           (CLI)
      ConfigurationError        a setting or a collection folder is wrong         (CLI)
      StageError                a backend failed; an optional stage degrades
        BackendTimeout          no answer in time                                 504
        BackendUnavailable      no answer at all                                  503
        BackendRejected         it answered and refused: configuration            502
        BadModelOutput          it answered nonsense                              502
        Overloaded              it is busy                                        503 + Retry-After
          QuotaExceeded         a limit of the account is reached                 (degrades)
        ExpansionLate           not there in time; its work goes on               (pending)
        QueryRefused            it refuses this query alone                       (degrades)
        CircuitOpen             it failed so often that it is left alone          (degrades)
        ExternalForbidden       queries may not be sent there                     (degrades)
        Defect                  a bug of ours in an optional stage                (degrades)

Third-party exceptions are turned into these in the adapters and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a stage was skipped, is pending or degraded; the words are those of Azure AI Search where it has them."""

    NOT_CONFIGURED = "notConfigured"
    SWITCHED_OFF = "switchedOff"
    POLICY_SKIPPED = "policySkipped"
    NOTHING_TO_DO = "nothingToDo"
    MAX_WAIT_EXCEEDED = "maxWaitExceeded"
    CAPACITY_OVERLOADED = "capacityOverloaded"
    TRANSIENT = "transient"
    REJECTED = "rejected"
    BAD_MODEL_OUTPUT = "badModelOutput"
    PARTIAL_RESULTS = "partialResults"
    SORTED_BY_FIELD = "sortedByField"
    MAPPING_CHANGED = "mappingChanged"
    EXPANSION_LATE = "expansionLate"
    QUERY_REFUSED = "queryRefused"
    CIRCUIT_OPEN = "circuitOpen"
    QUOTA_EXCEEDED = "quotaExceeded"
    EXTERNAL_FORBIDDEN = "externalForbidden"
    DEFECT = "defect"


class SearchError(Exception):
    """The root: a sentence on what is wrong, and one on what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """`message` names the thing and the value; `hint` the next step."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Both sentences."""
        return f"{self.message} {self.hint}".strip()


def json_pointer(*parts: str) -> str:
    """The JSON pointer (RFC 6901) to a field, without what cannot be sent as text."""
    escaped = (part.replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join(f"/{part}" for part in escaped).encode("utf-8", "replace").decode()


class InvalidRequest(SearchError):
    """The request cannot be run as it is."""

    def __init__(self, message: str, *, pointer: str, hint: str = "") -> None:
        """`pointer` is the JSON pointer (RFC 6901) of the field that is wrong."""
        super().__init__(message, hint=hint)
        self.pointer = pointer


class UnknownIndex(SearchError):
    """There is no index of that name."""


class Unauthenticated(SearchError):
    """Searches run in the caller's name, and the caller gave no credentials or wrong ones."""


class Forbidden(SearchError):
    """The caller may not do this."""


class Conflict(SearchError):
    """It was changed by somebody else since it was read: nothing was written."""


class InvalidDocuments(SearchError):
    """A document cannot be loaded; the message names file and line."""


class ConfigurationError(SearchError):
    """A setting, a file of settings or a collection folder is wrong."""


class StageError(SearchError):
    """A backend failed in a stage."""

    reason = Reason.TRANSIENT


class BackendTimeout(StageError):
    """No answer in time; the outcome is unknown."""

    reason = Reason.MAX_WAIT_EXCEEDED


class BackendUnavailable(StageError):
    """No answer: refused, reset, unresolvable, or no shard to ask."""

    reason = Reason.TRANSIENT


class BackendRejected(StageError):
    """It answered and refused: credentials, a missing index, a wrong flag. Never retried."""

    reason = Reason.REJECTED


class BadModelOutput(StageError):
    """It answered with something that cannot be used."""

    reason = Reason.BAD_MODEL_OUTPUT


class Defect(StageError):
    """A bug of this service in an optional stage; its log holds the traceback."""

    reason = Reason.DEFECT


class Overloaded(StageError):
    """It is busy; trying again at once makes it worse."""

    reason = Reason.CAPACITY_OVERLOADED

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        """`retry_after_s`: how long it asks to be left alone, in seconds; None: it does not say."""
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class QuotaExceeded(Overloaded):
    """A limit of the account is reached: calls a minute, tokens a minute, or money; the message names it."""

    reason = Reason.QUOTA_EXCEEDED


class ExpansionLate(StageError):
    """The expansion was not there in time; its work goes on and will serve the next caller."""

    reason = Reason.EXPANSION_LATE


class QueryRefused(StageError):
    """The server refuses this query alone, by moderation or for its length: others may pass."""

    reason = Reason.QUERY_REFUSED


class CircuitOpen(StageError):
    """The endpoint failed so often that it is left alone for a while."""

    reason = Reason.CIRCUIT_OPEN


class ExternalForbidden(StageError):
    """Queries may not be sent to an endpoint outside."""

    reason = Reason.EXTERNAL_FORBIDDEN
