"""Which of IB's data farms may serve a symbol. IB never says which does: the names of the farms tell the region, the
contract tells its own, and a farm of an unknown name may serve anybody.
"""

from typing import Final

from messages.events import PlannedSymbol

_PLACES: Final = {
    "us": "AMERICAN AMEX ARCA BATS BEX BYX CBOE CHX DRCTEDGE EDGEA IEX ISLAND LTSE MEMX NASDAQ NYSE NYSENAT PEARL "
    "PHLX PINK",
    "usfut": "CBOT CFE CME COMEX ECBOT GLOBEX ICEUS NYBOT NYMEX",
    "ca": "AEQLIT ALPHA CHIX_CA OMEGA PURE TSE VENTURE CDE",
    "eu": "AEB BATEEN BATEUK BM BVL BVME BVME.ETF CHIXEN CHIXUK CPH DTB EBS EUREX EUREXUK FTA FWB FWB2 GETTEX HEX IBIS "
    "IBIS2 ICEEU ICEEUSOFT IPE LSE LSEETF LSEIOB1 MATIF MEFFRV MONEP N.RIGA OMS OSE.OSLO PRA SBF SFB SWB TGATE VIRTX "
    "VSE WSE",
    "asia": "ASX CHINEXT HKFE HKSE KSE NSE OSE.JPN OSE SEHK SEHKNTL SEHKSZSE SGX SNFE TSEJ TWSE",
    "crypto": "PAXOS ZEROHASH",
    "cash": "IDEALPRO",
}
_REGION_OF: Final = {exchange: region for region, exchanges in _PLACES.items() for exchange in exchanges.split()}
_EUROPE: Final = frozenset({"EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "HUF", "CZK"})
_ASIA: Final = frozenset({"HKD", "JPY", "CNH", "SGD", "KRW", "INR", "AUD", "NZD", "TWD"})
_ANYWHERE: Final = "anywhere"

_REGION_OF_FARM: Final = (
    ("cash", "cash"),
    ("cafarm", "ca"),
    ("crypto", "crypto"),
    ("usfut", "usfut"),
    ("usopt", "usopt"),
    ("us", "us"),
    ("eu", "eu"),
    ("uk", "eu"),
    ("hfarm", "asia"),
    ("jfarm", "asia"),
    ("apac", "asia"),
)


def region(planned: PlannedSymbol, primary_exchange: str = "") -> str:
    """Which of IB's data farms may serve it: cash, usfut, usopt, us, ca, eu, asia, crypto; or `anywhere`, of an
    exchange that this table does not know. The exchange decides, the primary one first (`primary_exchange`: as IB's
    details name it); the currency only where SMART is all that is known."""
    if planned.sec_type in ("CASH", "CMDTY"):
        return "cash"
    if planned.sec_type == "CRYPTO":
        return "crypto"
    exchange = planned.primary_exchange or (planned.exchange if planned.exchange != "SMART" else primary_exchange)
    if exchange and exchange != "SMART" and not (planned.sec_type == "OPT" and planned.exchange == "SMART"):
        return _REGION_OF.get(exchange, _ANYWHERE)
    if planned.currency in _EUROPE:
        return "eu"
    if planned.currency in _ASIA:
        return "asia"
    if planned.currency == "CAD":
        return "ca"
    if planned.sec_type == "OPT":
        return "usopt"
    return "usfut" if planned.sec_type in ("FUT", "CONTFUT", "FOP") else "us"


def served_by(farm: str, region: str) -> bool:
    """May this farm (`usfarm.nj`, `cashfarm`, `eufarm`, `hfarm` ...) serve a symbol of this region?"""
    lower = farm.lower()
    of_farm = next((name for prefix, name in _REGION_OF_FARM if lower.startswith(prefix)), None)
    return of_farm is None or region in (of_farm, "anywhere")
