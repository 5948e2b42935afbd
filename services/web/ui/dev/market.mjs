// Invented prices and health for the development backend: seeded, so that two runs show the same market.

const NAMES = `SPY QQQ AAPL MSFT NVDA AMZN GOOGL META TSLA AVGO BRK.B JPM V UNH XOM LLY MA JNJ PG HD COST MRK ABBV
CVX KO PEP ADBE WMT BAC CRM TMO MCD CSCO ACN LIN ABT AMD NFLX TLT GLD IWM EEM XLE XLF XLK XLV VNQ HYG EUR.USD DIA`
const SYMBOLS = NAMES.split(/\s+/)
const STEP_MS = 1000
const DAY_MINUTES = 480

/** A small seeded generator (mulberry32): numbers from 0 up to 1. */
export function randomFrom(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = a
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export class Market {
  constructor({ count = 24, seed = 7, ticking = 0.45, now = Date.now() } = {}) {
    this.ticking = ticking
    this.random = randomFrom(seed)
    this.seq = 1000
    this.epoch = now * 1e6
    this.books = new Map()
    for (let i = 0; i < count; i++) {
      const symbol = SYMBOLS[i] ?? `SYM${i}`
      this.books.set(symbol, this.open(symbol, now))
    }
  }

  open(symbol, now) {
    const tick = symbol === 'EUR.USD' ? 0.00005 : 0.01
    const close = symbol === 'EUR.USD' ? 1.0845 : round(20 + this.random() ** 2 * 700, tick)
    const points = []
    let price = close * (1 + (this.random() - 0.5) * 0.02)
    for (let at = now - DAY_MINUTES * 60_000; at < now; at += 5 * STEP_MS) {
      price = this.step(price, close, 0.00022)
      points.push([at, round(price, tick)])
    }
    const prices = points.map(([, p]) => p)
    const last = round(price, tick)
    return {
      tick,
      points,
      price,
      quote: {
        symbol,
        timestamp: new Date(now).toISOString(),
        source: 'ib_stream',
        ...this.around(last, tick),
        last,
        close,
        open: prices[0],
        high: Math.max(...prices),
        low: Math.min(...prices),
        last_size: 100,
        volume: Math.round(this.random() * 4e7) + 5000,
        currency: 'USD',
        exchange: 'SMART',
        market_data_type: 'realtime',
        exchange_time: new Date(now).toISOString(),
        halted: false,
        stale: false,
        generic: { mark_price: last, rt_volume: { vwap: close }, trade_count: 1200, shortable_shares: 4e6 },
        greeks: { model: { implied_volatility: 0.21, delta: 0.52, gamma: 0.013, vega: 0.4, theta: -0.06 } },
        local_symbol: `${symbol}  260320C00500000`,
        epoch: this.epoch,
        seq: this.seq++,
      },
    }
  }

  step(price, close, volatility) {
    const pull = (close - price) / close
    return price * (1 + (this.random() - 0.5) * 2 * volatility + pull * 0.0004)
  }

  around(last, tick) {
    const spread = tick * (1 + Math.floor(this.random() * 3))
    const bid = round(last - (this.random() < 0.5 ? spread : 0), tick)
    return {
      bid,
      ask: round(bid + spread, tick),
      bid_size: 100 * (1 + Math.floor(this.random() * 12)),
      ask_size: 100 * (1 + Math.floor(this.random() * 12)),
    }
  }

  /** Moves some symbols; returns the quotes that changed. */
  tick(now, wanted = () => true) {
    const changed = []
    for (const book of this.books.values()) {
      if (!wanted(book.quote) || this.random() > this.ticking) continue
      book.price = this.step(book.price, book.quote.close, 0.00016)
      const last = round(book.price, book.tick)
      const size = 100 * (1 + Math.floor(this.random() * 4))
      book.quote = {
        ...book.quote,
        ...this.around(last, book.tick),
        last,
        last_size: size,
        high: Math.max(book.quote.high, last),
        low: Math.min(book.quote.low, last),
        volume: book.quote.volume + size,
        timestamp: new Date(now).toISOString(),
        exchange_time: new Date(now).toISOString(),
        seq: this.seq++,
      }
      book.points.push([now, last])
      changed.push(book.quote)
    }
    return changed
  }
}

function round(price, tick) {
  return Number((Math.round(price / tick) * tick).toFixed(5))
}

const SECONDS = { '1s': 1, '5s': 5, '1m': 60, '5m': 300, '15m': 900, '1h': 3600, '1d': 86_400 }

/** The candles of a book from `from` (UTC ms) on, with its gap as blind time. */
export function candlesOf(book, interval, from) {
  const length = (SECONDS[interval] ?? 60) * 1000
  const found = new Map()
  for (const [at, price] of book.points) {
    const start = at - (at % length)
    if (start < from - (from % length)) continue
    const known = found.get(start)
    if (!known) found.set(start, { open: price, high: price, low: price, close: price, trades: 1 })
    else {
      known.high = Math.max(known.high, price)
      known.low = Math.min(known.low, price)
      known.close = price
      known.trades += 1
    }
  }
  return [...found].slice(-500).map(([start, candle]) => {
    const [begins, ends] = book.gap ?? [0, 0]
    const blind = Math.max(0, Math.min(start + length, ends) - Math.max(start, begins))
    return {
      symbol: book.quote.symbol,
      interval,
      start: new Date(start).toISOString(),
      end: new Date(start + length).toISOString(),
      ...candle,
      volume: candle.trades * 100,
      vwap: (candle.high + candle.low + candle.close) / 3,
      coverage: 1 - blind / length,
      blind: blind > 0 ? [{ reason: 'farm_down', seconds: blind / 1000 }] : [],
      source: book.quote.source,
      complete: start + length < Date.now(),
    }
  })
}
