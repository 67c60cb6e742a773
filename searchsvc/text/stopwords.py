"""A short stop list, Chinese and English, for expansion terms, neighbours and keywords; never for the index.

Words that carry no topic: pronouns, particles, prepositions, auxiliaries, question words, politeness.
"""

from __future__ import annotations

from searchsvc.text.words import stem

_ENGLISH = """
a about above after again against all almost along already also although always am among an and another any anyone
anything are aren't around as ask at away be because been before being below between both but by can can't cannot
could couldn't did didn't do does doesn't doing don't done down during each either else etc even ever every
everything few for from further get gets getting give go goes going got had hadn't has hasn't have haven't having he
hello help her here hers herself hi him himself his how however i i'm i've if in instead into is isn't it it's its
itself just know least less let like likely many may maybe me might mine more most much must my myself near need needs
neither never no nobody none nor not nothing now of off often oh ok on once one only onto or other others otherwise
ought our ours ourselves out over own per perhaps please possible quite rather really said same say see seem seems
several shall she should shouldn't since so some someone something sometimes soon still such sure than thank thanks
that that's the their theirs them themselves then there these they thing things this those though through thus to
together too toward towards try trying under unless until up upon us use used uses using usually very via want wants
was wasn't way we well were weren't what what's whatever when where whether which while who whole whom whose why will
with within without won't would wouldn't yes yet you your yours yourself yourselves
"""

_CHINESE = """
的 了 和 是 在 我 你 您 他 她 它 我们 你们 他们 她们 它们 咱们 自己 大家 别人 这 那 这个 那个 这些 那些 这样
那样 这种 那种 这里 那里 这么 那么 此 该 其 其他 其它 其中 某 某些 每 每个 各 各种 各个 另 另外 之 之前 之后
之间 以 以及 以后 以前 以上 以下 与 及 或 或者 还是 而 而且 并 并且 但 但是 不过 然而 可是 虽然 尽管 即使 如果
假如 要是 只要 只有 除非 否则 因为 由于 所以 因此 因而 于是 从而 既然 然后 接着 首先 其次 最后 同时 另一方面
例如 比如 譬如 等 等等 诸如 即 也就是 就是 也就是说 关于 对于 至于 根据 按照 通过 为 为了 为什么 什么 怎么
怎么办 怎样 怎么样 如何 哪 哪个 哪些 哪里 哪儿 谁 几 多少 多么 何 何时 是否 是不是 有没有 能否 可否 能不能
可不可以 吗 呢 吧 啊 呀 哦 嗯 哈 啦 嘛 么 着 过 地 得 所 把 被 让 使 给 向 往 从 到 自 由 对 跟 同 比 于 在于
当 当时 时候 时 的话 的时候 很 非常 十分 特别 更 更加 最 太 极 比较 相当 有点 有些 一些 一点 一下 一个 一种
一样 一般 一定 一直 一起 都 也 还 又 再 再次 就 才 只 只是 仅 仅仅 已 已经 曾 曾经 正 正在 将 将要 会 能 能够
可 可以 可能 应 应该 应当 必须 需要 要 想 想要 愿意 不 不是 不会 不能 没 没有 无 非 别 不要 不用 有 具有 进行
来 去 上 下 里 中 内 外 前 后 左右 起来 出来 下来 上去 请 请问 谢谢 求助 您好 你好 帮忙 知道 觉得 认为 表示 说
看 做 其实 当然 确实 真的 到底 究竟 居然 竟然 几乎 大概 也许 或许 大约 总是 经常 常常 往往 通常 有时 有时候
一再 一旦 一向 不断 不再 从来 从未 仍 仍然 依然 依旧 随后 随即 随时 立即 立刻 马上 尽快 赶紧 逐渐 逐步 渐渐
终于 毕竟 似乎 好像 尤其 甚至 甚至于 相对 较为 极其 极为 颇 略 稍 稍微 全都 均 皆 共 共同 一同 互相 相互 分别
各自 本来 原来 原先 早已 刚 刚刚 刚才 恰好 正好 反正 难道 简直 未必 必 必然 必定 未 尚未 暂时 故意 特意 顺便
重新 干脆 只好 只能 不得不 不少 不止 至少 最多 大致 完全 直接 基本上
"""

STOP_WORDS = frozenset(_CHINESE.split()) | {
    form for word in _ENGLISH.split() for form in (word, stem(word), word.replace("'", ""))
}
"""Lower case, stems besides the words."""


def is_stop_word(term: str) -> bool:
    """Whether an index term, or a word as it was written, carries no topic of its own."""
    return term.lower() in STOP_WORDS
