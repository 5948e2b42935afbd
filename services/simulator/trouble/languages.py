"""The gateway's messages in other languages: a gateway speaks its user's, and only codes and the names of farms and
symbols stay. Used by the core for every error text while a scenario says so.
"""

from services.simulator.trouble.faults import Language

_FARMS: dict[Language, tuple[str, str, str]] = {
    "de": (
        "Verbindung zur {kind}farm ist unterbrochen:{name}",
        "Verbindung zur {kind}farm ist in Ordnung:{name}",
        "Verbindung zur {kind}farm ruht, steht aber bei Bedarf bereit.{name}",
    ),
    "zh": ("{kind}农场连接已中断：{name}", "{kind}农场连接正常：{name}", "{kind}农场连接未激活，可按需使用。{name}"),
}
_KINDS: dict[Language, tuple[str, str, str]] = {
    "de": ("Marktdaten-", "HMDS-Daten-", "Wertpapierdaten-"),
    "zh": ("市场数据", "历史数据", "证券定义数据"),
}
_FARM_CODES = {2103: (0, 0), 2104: (0, 1), 2108: (0, 2), 2105: (1, 0), 2106: (1, 1), 2107: (1, 2), 2157: (2, 0),
               2158: (2, 1)}  # fmt: skip
_TEXTS: dict[Language, dict[int, str]] = {
    "de": {
        162: "Fehlermeldung des historischen Datendienstes:HMDS-Abfrage ergab keine Daten:{name}",
        200: "Zu dieser Anfrage wurde keine Wertpapierdefinition gefunden",
        354: "Die angeforderten Marktdaten sind nicht abonniert.",
        1100: "Die Verbindung zwischen IB und dem Gateway ist verloren.",
        1101: "Die Verbindung zwischen IB und dem Gateway ist wiederhergestellt - Daten verloren.",
        1102: "Die Verbindung zwischen IB und dem Gateway ist wiederhergestellt - Daten erhalten.",
        1300: "Der Socket-Port wurde geändert, diese Verbindung wird getrennt. Bitte verbinden Sie sich neu - {name}",
        10167: "Die angeforderten Marktdaten sind nicht abonniert. Es werden verzögerte Daten angezeigt.",
        10197: "Keine Marktdaten während einer konkurrierenden Sitzung",
    },
    "zh": {
        162: "历史市场数据服务错误消息：HMDS查询没有返回数据：{name}",
        200: "没有找到该请求的证券定义",
        354: "请求的市场数据没有订阅。",
        1100: "IB与网关之间的连接已断开。",
        1101: "IB与网关之间的连接已恢复 - 数据丢失。",
        1102: "IB与网关之间的连接已恢复 - 数据保持。",
        1300: "套接字端口已更改，此连接将被断开。请在新端口上重新连接 - {name}",
        10167: "请求的市场数据没有订阅。正在显示延迟的市场数据。",
        10197: "其他实时会话期间没有市场数据",
    },
}
_PACING: dict[Language, str] = {
    "de": "Fehlermeldung des historischen Datendienstes:Zu viele Anfragen nach historischen Daten",
    "zh": "历史市场数据服务错误消息：历史数据请求过于频繁",
}


def _name(code: int, text: str) -> str:
    """What an English message ends with: after its colon or its full stop, in 1300 after a dash."""
    if code == 1300:
        return text.rpartition(" - ")[2]
    return text.rpartition(":")[2] if ":" in text else text.partition(".")[2]


def localised(language: Language, code: int, text: str) -> str:
    """The message of this code in a language, with the name that its English text ends with; English for a code
    that is not translated."""
    if language == "en":
        return text
    name = _name(code, text)
    if code in _FARM_CODES:
        kind, state = _FARM_CODES[code]
        return _FARMS[language][state].format(kind=_KINDS[language][kind], name=name)
    if code == 162 and "pacing" in text:
        return _PACING[language]
    return _TEXTS[language].get(code, text).format(name=name)
