"""What providers of chat models differ in: how thinking is switched off, and what their refusals mean.

Codes: DashScope https://help.aliyun.com/en/model-studio/error-code-start, OpenAI
https://platform.openai.com/docs/guides/error-codes; vLLM and llama.cpp tell by their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from yarl import URL

from searchsvc.errors import BackendRejected, QueryRefused, QuotaExceeded, StageError
from searchsvc.inference.words import Words

Provider = Literal["auto", "dashscope", "openai", "vllm", "generic"]

_THINKING_FIELD = {"enable_thinking": False}
_THINKING_TEMPLATE = {"chat_template_kwargs": {"enable_thinking": False}}

_CONFIGURATION = frozenset(
    {
        *("accessdenied", "accessdenied.unpurchased", "model.accessdenied", "workspace.accessdenied"),
        *("access_denied", "allocationquota.freetieronly", "arrearage", "commoditynotpurchased"),
        *("postpaidbilloverdue", "prepaidbilloverdue", "invalidapikey", "invalid_api_key"),
        *("modelnotfound", "model_not_found", "model_not_supported"),
    }
)
"""Nothing will pass until somebody changes the key, the model's name or the account."""
_QUERY = frozenset(
    {
        *("datainspectionfailed", "data_inspection_failed", "content_filter", "content_policy_violation"),
        *("responsibleaipolicyviolation", "context_length_exceeded", "exceed_context_size_error"),
    }
)
_QUERY_WORDS = (
    *("inappropriate content", "maximum context length", "context window", "available context size"),
    *("range of input length", "input length exceeds", "input is too long", "prompt is too long"),
)
_QUOTA = ("throttling", "limit_", "rate_limit", "insufficient_quota")
"""How the codes begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One provider's ways."""

    name: str
    thinking_off: Mapping[str, Any]
    """Request fields that switch thinking off; none where the provider knows none."""
    max_tokens: str = "max_tokens"
    """The field that bounds the answer."""
    credit: bool = False
    """`insufficient_quota` is about money, not about a limit that passes within a minute."""

    def error(self, message: str, words: Words) -> StageError | None:
        """What a refusal means; None: what its status says."""
        if words.codes & _CONFIGURATION:
            return BackendRejected(message, hint="Check the key, the name of the model, and the account's balance.")
        if words.codes & _QUERY or words.status == 413 or (400 <= words.status < 500 and _is_of_query(words.said)):
            return QueryRefused(message)
        if words.status == 429 or any(code.startswith(_QUOTA) for code in words.codes):
            return QuotaExceeded(message, hint=self._quota_hint(words), retry_after_s=words.retry_after_s)
        return None

    def _quota_hint(self, words: Words) -> str:
        if self.credit and "insufficient_quota" in words.codes:
            return "The account's credit is used up."
        return "Ask less often (--rpm, --tpm), or have the limit raised."


PRESETS: Mapping[str, Preset] = {
    "dashscope": Preset(name="dashscope", thinking_off=_THINKING_FIELD),
    "openai": Preset(name="openai", thinking_off={}, max_tokens="max_completion_tokens", credit=True),
    "vllm": Preset(name="vllm", thinking_off=_THINKING_TEMPLATE),
    "generic": Preset(name="generic", thinking_off={**_THINKING_FIELD, **_THINKING_TEMPLATE}),
}
"""`vllm` holds for llama.cpp too; `generic` asks in both ways, and leaves both out where they are refused."""


def preset_for(base: URL, provider: Provider = "auto") -> Preset:
    """The named preset; `auto` goes by the host, and is generic for one that is not known."""
    if provider != "auto":
        return PRESETS[provider]
    host = f".{base.host or ''}"
    if host.endswith(".aliyuncs.com"):
        return PRESETS["dashscope"]
    return PRESETS["openai" if host.endswith((".openai.com", ".openai.azure.com")) else "generic"]


def _is_of_query(said: str) -> bool:
    lowered = said.lower()
    return any(words in lowered for words in _QUERY_WORDS)
