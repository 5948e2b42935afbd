// What the card knows, outside React: the connection, the status, each symbol's quote. Listeners subscribe by
// topic and are told at most once per animation frame, so a hundred symbols that change several times a second
// cost one pass a frame, and only the rows that changed render again.

import { type Api, ApiError } from './api'
import { type ConnectionState, openConnection } from './connection'
import { BUCKET_MS, BUCKETS, priceOf, SERIES_MINUTES, Series } from './series'
import type { Gap, LinkPoint, Plan, Quote, Status, SymbolStatus } from './types'

export type Topic =
  | 'connection'
  | 'status'
  | 'symbols'
  | 'record'
  | 'plan'
  | 'beat'
  | `quote:${string}`
  | `state:${string}`
  | `series:${string}`

export interface LinkRecord {
  gaps: readonly Gap[]
  link: readonly LinkPoint[]
}

const BEAT_MS = 1_000
const RECORD_MS = 60_000
const SETTLE_MS = 1_500
const SKEW_MS = 2_000 // a Date header has whole seconds: less than this is not a clock's fault
const SEEDS_AT_ONCE = 2
const LEAST_SPAN = 12 // steps of a sparkline

interface Held {
  quote: Quote
  at: number // when it came, in this page's clock
}

export class StreamStore {
  connection: ConnectionState = { phase: 'connecting' }
  status: Status | undefined
  plan: Plan | undefined
  record: LinkRecord = { gaps: [], link: [] }
  /** Symbols to show, in the plan's order. A new array only when the set or its order changes. */
  symbols: readonly string[] = []
  /** Whether the quotes were asked for and came: an empty table is then truly empty. */
  loaded = false

  private readonly api: Api
  private readonly schedule: (flush: () => void) => void
  private readonly listeners = new Map<Topic, Set<() => void>>()
  private readonly quotes = new Map<string, Held>()
  private readonly states = new Map<string, SymbolStatus>()
  private readonly series = new Map<string, Series>()
  private readonly dirty = new Set<Topic>()
  private readonly dirtySeries = new Set<string>()
  private readonly seedsWanted: string[] = []
  private readonly seeded = new Set<string>()
  private seedsRunning = 0
  private flushing = false
  private skew = 0
  private firstBucket = Number.POSITIVE_INFINITY
  private line: ReturnType<typeof openConnection> | undefined
  private timers: ReturnType<typeof setInterval>[] = []
  private settle: ReturnType<typeof setTimeout> | undefined
  private planKey = ''

  constructor(
    api: Api,
    schedule: (flush: () => void) => void = (flush) => void requestAnimationFrame(() => flush()),
  ) {
    this.api = api
    this.schedule = schedule
  }

  /** Opens the stream; the function returned closes it. */
  open(): () => void {
    this.line = openConnection({
      url: this.api.eventsUrl,
      headers: () => this.api.headers(),
      onState: (state) => {
        this.connection = state
        this.touch('connection')
      },
      onOpen: (serverNow) => {
        const skew = serverNow === undefined ? 0 : Date.now() - serverNow
        this.skew = Math.abs(skew) < SKEW_MS ? 0 : skew
        void this.resync()
      },
      onEvent: (event, data) => this.receive(event, data),
    })
    this.timers = [
      setInterval(() => this.beat(), BEAT_MS),
      setInterval(() => this.connection.phase === 'open' && void this.loadRecord(), RECORD_MS),
    ]
    return () => {
      this.line?.close()
      this.line = undefined
      for (const timer of this.timers) clearInterval(timer)
      clearTimeout(this.settle)
    }
  }

  retryNow(): void {
    this.line?.retryNow()
  }

  /** The server's clock, UTC milliseconds: ages count in it. */
  now(): number {
    return Date.now() - this.skew
  }

  subscribe(topic: Topic, listener: () => void): () => void {
    const set = this.listeners.get(topic) ?? new Set()
    this.listeners.set(topic, set.add(listener))
    return () => {
      set.delete(listener)
      if (set.size === 0) this.listeners.delete(topic)
    }
  }

  quote(symbol: string): Quote | undefined {
    return this.quotes.get(symbol)?.quote
  }

  state(symbol: string): SymbolStatus | undefined {
    return this.states.get(symbol)
  }

  samples(symbol: string): Series['samples'] | undefined {
    return this.series.get(symbol)?.samples
  }

  /** How many steps the sparklines span: all of them, or as many as there were since the first price. */
  span(): number {
    return Math.min(BUCKETS, Math.max(LEAST_SPAN, Math.floor(this.now() / BUCKET_MS) - this.firstBucket))
  }

  /** A row came into view: fetch the minutes before this page was opened, a few symbols at a time. */
  wantSeries(symbol: string): void {
    if (this.seeded.has(symbol)) return
    this.seeded.add(symbol)
    this.seedsWanted.push(symbol)
    this.nextSeed()
  }

  /** The caller asked for something that changes the plan: look at it soon. */
  expectChange(): void {
    clearTimeout(this.settle)
    this.settle = setTimeout(() => {
      void this.loadRecord()
      void this.loadPlan()
    }, SETTLE_MS)
  }

  // --- what comes in ---

  receive(event: string, data: string): void {
    if (event !== 'status' && event !== 'quotes') return
    let value: unknown
    try {
      value = JSON.parse(data)
    } catch {
      return // cut short by a proxy: the next event is whole
    }
    if (event === 'status') this.takeStatus(value as Status)
    else this.takeQuotes(value as Quote[], Date.now())
  }

  takeStatus(status: Status): void {
    const before = this.status
    this.status = status
    this.touch('status')
    for (const [symbol, next] of Object.entries(status.symbols ?? {})) {
      if (sameState(this.states.get(symbol), next)) continue
      this.states.set(symbol, next)
      this.touch(`state:${symbol}`)
    }
    for (const symbol of this.states.keys()) {
      if (status.symbols?.[symbol]) continue
      this.states.delete(symbol)
      this.touch(`state:${symbol}`)
    }
    this.order()
    if (before?.status !== status.status || (before.reason ?? null) !== (status.reason ?? null)) {
      this.noteChange(status)
      if (before) this.expectChange()
    }
    const planKey = JSON.stringify([status.project_id, status.decision_snapshot_id, this.symbols])
    if (planKey !== this.planKey && this.planKey !== '') this.expectChange()
    this.planKey = planKey
  }

  /** Takes quotes as they were at `asOf` (this page's clock): what came since then is newer and stays. */
  takeQuotes(quotes: readonly Quote[], asOf: number): void {
    const at = Date.now()
    let added = false
    for (const quote of quotes) {
      const held = this.quotes.get(quote.symbol)
      if (held && (held.at > asOf || older(quote, held.quote))) continue
      this.quotes.set(quote.symbol, { quote, at })
      this.touch(`quote:${quote.symbol}`)
      added ||= !held
      this.draw(quote)
    }
    if (added) this.order()
  }

  private draw(quote: Quote): void {
    const price = priceOf(quote)
    const time = Date.parse(quote.timestamp ?? '')
    if (price === undefined || Number.isNaN(time)) return
    const series = this.series.get(quote.symbol) ?? new Series()
    this.series.set(quote.symbol, series)
    if (series.add(time, price)) this.dirtySeries.add(quote.symbol)
    this.noteFirst(series)
  }

  private noteFirst(series: Series): void {
    this.firstBucket = Math.min(this.firstBucket, series.samples[0]?.bucket ?? this.firstBucket)
  }

  private order(): void {
    const planned = [...this.states.entries()]
      .filter(([, state]) => state.state !== 'removed')
      .sort(([a, x], [b, y]) => (x.priority ?? 1e9) - (y.priority ?? 1e9) || (a < b ? -1 : 1))
      .map(([symbol]) => symbol)
    const symbols = planned.length > 0 ? planned : [...this.quotes.keys()].sort()
    if (symbols.length === this.symbols.length && symbols.every((s, i) => s === this.symbols[i])) return
    this.symbols = symbols
    this.touch('symbols')
  }

  private noteChange(status: Status): void {
    const last = this.record.link.at(-1)
    const reason = status.reason ?? null
    if (last && last.status === status.status && (last.reason ?? null) === reason) return
    const point = { time: new Date(this.now()).toISOString(), status: status.status, reason }
    this.record = { ...this.record, link: [...this.record.link, point] }
    this.touch('record')
  }

  // --- what is asked for ---

  private async resync(): Promise<void> {
    const asked = Date.now()
    await Promise.all([
      this.api
        .quotes()
        .then((quotes) => {
          this.takeQuotes(quotes, asked)
          this.loaded = true
          this.touch('symbols')
        })
        .catch(ignoreApi),
      this.status ? undefined : this.api.status().then((s) => this.status ?? this.takeStatus(s), ignoreApi),
      this.loadRecord(),
      this.loadPlan(),
    ])
  }

  private async loadRecord(): Promise<void> {
    const record = await this.api.gaps().catch(ignoreApi)
    if (!record) return
    this.record = record
    if (this.status) this.noteChange(this.status)
    this.touch('record')
  }

  private async loadPlan(): Promise<void> {
    const plan = await this.api.plan().catch(ignoreApi)
    if (!plan) return
    this.plan = plan
    this.touch('plan')
  }

  private nextSeed(): void {
    while (this.seedsRunning < SEEDS_AT_ONCE) {
      const symbol = this.seedsWanted.shift()
      if (symbol === undefined) return
      this.seedsRunning += 1
      this.api
        .history(symbol, SERIES_MINUTES)
        .then((points) => {
          const series = this.series.get(symbol) ?? new Series()
          this.series.set(symbol, series)
          series.seed(points)
          this.noteFirst(series)
          this.touch(`series:${symbol}`)
        })
        .catch((error) => {
          ignoreApi(error)
          this.seeded.delete(symbol)
        })
        .finally(() => {
          this.seedsRunning -= 1
          this.nextSeed()
        })
    }
  }

  // --- telling ---

  private beat(): void {
    for (const symbol of this.dirtySeries) this.touch(`series:${symbol}`)
    this.dirtySeries.clear()
    this.touch('beat')
  }

  private touch(topic: Topic): void {
    this.dirty.add(topic)
    if (this.flushing) return
    this.flushing = true
    this.schedule(() => {
      this.flushing = false
      const topics = [...this.dirty]
      this.dirty.clear()
      for (const name of topics) for (const listener of this.listeners.get(name) ?? []) listener()
    })
  }
}

function older(quote: Quote, held: Quote): boolean {
  return quote.epoch < held.epoch || (quote.epoch === held.epoch && quote.seq < held.seq)
}

/** The age in a status counts up all the time; the card counts its own, from the quote's time. */
function sameState(a: SymbolStatus | undefined, b: SymbolStatus): boolean {
  return (
    a !== undefined &&
    a.state === b.state &&
    a.source === b.source &&
    a.reason === b.reason &&
    a.code === b.code &&
    a.message === b.message &&
    a.why === b.why &&
    a.priority === b.priority &&
    a.market_data_type === b.market_data_type &&
    a.streaming === b.streaming
  )
}

/** The connection's state already tells that the backend is away or refuses: other errors are bugs. */
function ignoreApi(error: unknown): undefined {
  if (!(error instanceof ApiError)) throw error
  return undefined
}
