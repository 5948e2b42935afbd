// What the card knows, outside React: the connection, the status, each symbol's quote. Listeners subscribe by topic.

import {
  type Api,
  ApiError,
  type Candle,
  type Connection,
  type ConnectionState,
  type Gap,
  isGood,
  type LinkPoint,
  openConnection,
  type Plan,
  type Quote,
  type ServerClock,
  type Status,
  type SymbolStatus,
} from '@ibstream/client'
import { heedAttention } from './attention'
import { CandleEars } from './candleEars'
import { SILENT_SECONDS } from './health'
import { type Memory, recall } from './memory'
import { Sparklines } from './sparklines'
import { type Topic, Topics } from './topics'

export interface LinkRecord {
  gaps: readonly Gap[]
  link: readonly LinkPoint[]
}

const BEAT_MS = 1_000
const RECORD_MS = 60_000
const SETTLE_MS = 1_500
const EXPIRE_MS = 250 // between two looks at what is good no longer
const CANDLES_REFUSED: ReadonlySet<string> = new Set(['invalid_request', 'invalid_symbol'])

interface Held {
  quote: Quote
  at: number // when it came, in this page's clock
  until: number // good before this, in the server's clock; 0 when it is not
  good: boolean // as listeners were told
}

export class StreamStore {
  connection: ConnectionState = { phase: 'connecting' }
  status: Status | undefined
  plan: Plan | undefined
  record: LinkRecord = { gaps: [], link: [] }
  /** Symbols to show, in the plan's order. A new array only when the set or its order changes. */
  symbols: readonly string[] = []
  /** Who has candles pushed. */
  readonly candles = new CandleEars(() => this.line?.reopen())
  readonly sparklines: Sparklines
  /** Whether the quotes were asked for and came: an empty table is then truly empty. */
  loaded = false

  private readonly api: Api
  private readonly clock: ServerClock
  private readonly topics: Topics
  private readonly memory: Memory | undefined
  private readonly quotes = new Map<string, Held>()
  private readonly states = new Map<string, SymbolStatus>()
  private readonly names = new Map<number, string>()
  private statusUntil = 0
  private statusIsGood = false
  private asking = false
  private line: Connection | undefined
  private timers: ReturnType<typeof setInterval>[] = []
  private settle: ReturnType<typeof setTimeout> | undefined
  private planKey = ''

  constructor(
    api: Api,
    schedule: (flush: () => void) => void = (flush) => void requestAnimationFrame(() => flush()),
    memory?: Memory,
  ) {
    this.memory = memory
    this.api = api
    this.clock = api.clock
    this.topics = new Topics(schedule)
    this.sparklines = new Sparklines(api, (symbol) => this.touch(`series:${symbol}`))
  }

  /** Opens the stream; the function returned closes it. */
  open(): () => void {
    this.line = openConnection({
      url: () => this.api.eventsUrl(this.candles.names()),
      headers: () => this.api.headers(),
      onState: (state) => {
        if (state.phase === 'away' && CANDLES_REFUSED.has(state.code)) this.candles.leave()
        this.connection = inTime(state, this.now() - Date.now())
        this.touch('connection')
      },
      onOpen: (again) => {
        if (!again) void this.resync()
        this.candles.lookBack()
      },
      clock: this.clock,
      fetch: this.api.fetch,
      onEvent: (event, data) => this.receive(event, data),
    })
    this.timers = [
      setInterval(() => this.beat(), BEAT_MS),
      setInterval(() => this.expire(), EXPIRE_MS),
      setInterval(() => this.connection.phase === 'open' && void this.loadRecord(), RECORD_MS),
    ]
    const woken = () => this.expire()
    for (const [target, event] of WAKING) target().addEventListener(event, woken)
    const ignore = heedAttention(this.line)
    return () => {
      ignore()
      for (const [target, event] of WAKING) target().removeEventListener(event, woken)
      this.line?.close()
      this.line = undefined
      for (const timer of this.timers) clearInterval(timer)
      clearTimeout(this.settle)
      this.candles.close()
      this.sparklines.close()
      this.topics.close()
    }
  }

  retryNow(): void {
    this.line?.retryNow()
  }

  /** The server's clock, UTC milliseconds: ages count in it. */
  now(): number {
    return this.clock.now()
  }

  subscribe(topic: Topic, listener: () => void): () => void {
    return this.topics.subscribe(topic, listener)
  }

  /** A person scrolls: new prices are told of less often for a moment. */
  scrolled(): void {
    this.topics.scrolled()
  }

  quote(symbol: string): Quote | undefined {
    return this.quotes.get(symbol)?.quote
  }

  /** Whether somebody vouches for the symbol's price at this moment, as listeners were last told. */
  good(symbol: string): boolean {
    return this.quotes.get(symbol)?.good ?? false
  }

  /** Until when the price may be used, in the server's UTC milliseconds; 0 when it may not. */
  goodUntil(symbol: string): number {
    return this.quotes.get(symbol)?.until ?? 0
  }

  /** Whether the status may still be believed. */
  statusGood(): boolean {
    return this.statusIsGood
  }

  state(symbol: string): SymbolStatus | undefined {
    return this.states.get(symbol)
  }

  /** The project's name, where a plan or a list ever told it. */
  projectName(id: number): string | undefined {
    return this.names.get(id)
  }

  learnNames(projects: readonly { id: number; name: string }[]): void {
    for (const { id, name } of projects) this.names.set(id, name)
    this.touch('plan')
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
    if (event !== 'status' && event !== 'quotes' && event !== 'candles') return
    let value: unknown
    try {
      value = JSON.parse(data)
    } catch {
      return // cut short by a proxy: the next event is whole
    }
    if (event === 'status') this.takeStatus(value as Status)
    else if (event === 'candles') this.candles.take(value as Candle[])
    else this.takeQuotes(value as Quote[], Date.now())
  }

  takeStatus(status: Status): void {
    const before = this.status
    this.status = status
    this.clock.heard(timeOf(status.last_heartbeat))
    this.statusUntil = timeOf(status.good_until) || timeOf(status.last_heartbeat) + SILENT_SECONDS * 1000
    this.statusIsGood = this.vouched(this.statusUntil)
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
      const until = quote.stale ? 0 : timeOf(quote.good_until)
      const good = this.vouched(until)
      if (held?.good === good && renewed(quote, held.quote)) {
        Object.assign(held, { at, until })
        continue
      }
      this.quotes.set(quote.symbol, { quote, at, until, good })
      if (held?.good === good) this.topics.touchEased(`quote:${quote.symbol}`)
      else this.touch(`quote:${quote.symbol}`) // whether it may be used is never told late
      added ||= !held
      this.sparklines.add(quote)
    }
    if (added) this.order()
  }

  /** Good at least until the next look: a row is over before its time, and never after it. */
  private vouched(until: number): boolean {
    return this.clock.known && isGood(until, this.clock.now() + EXPIRE_MS)
  }

  /** Takes the word of everything whose time is up, whoever has fallen silent: server, network or this page. */
  expire(): void {
    for (const [symbol, held] of this.quotes) {
      if (held.good === this.vouched(held.until)) continue
      held.good = !held.good
      this.touch(`quote:${symbol}`)
    }
    if (this.statusIsGood !== this.vouched(this.statusUntil)) {
      this.statusIsGood = !this.statusIsGood
      this.touch('status')
    }
    if (this.clock.jumped && this.connection.phase === 'open') void this.askTheTime()
  }

  private async askTheTime(): Promise<void> {
    if (this.asking) return
    this.asking = true
    await this.api.status().catch(ignoreApi) // any answer carries it
    this.asking = false
  }

  private order(): void {
    const planned = [...this.states.entries()]
      .filter(([, state]) => state.state !== 'removed')
      .sort(([a, x], [b, y]) => (x.priority ?? 1e9) - (y.priority ?? 1e9) || (a < b ? -1 : 1))
      .map(([symbol]) => symbol)
    const symbols = planned.length > 0 ? planned : this.asBefore([...this.quotes.keys()].sort())
    if (symbols.length === this.symbols.length && symbols.every((s, i) => s === this.symbols[i])) return
    this.symbols = symbols
    if (planned.length > 0) this.memory?.write('order', JSON.stringify(symbols))
    this.touch('symbols')
  }

  /** With what was shown before in its old order, so that neither a stop nor a visit after it shuffles the rows. */
  private asBefore(symbols: readonly string[]): string[] {
    const before = this.symbols.length > 0 ? this.symbols : (recall(this.memory, 'order', asNames) ?? [])
    const place = new Map(before.map((symbol, i) => [symbol, i]))
    const last = before.length
    return [...symbols].sort((a, b) => (place.get(a) ?? last) - (place.get(b) ?? last))
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
    if (plan.project_id != null && plan.project_name) this.names.set(plan.project_id, plan.project_name)
    this.touch('plan')
  }

  // --- telling ---

  private beat(): void {
    this.sparklines.beat()
    this.touch('beat')
  }

  private touch(topic: Topic): void {
    this.topics.touch(topic)
  }
}

const WAKING: [() => EventTarget, string][] = [
  [() => document, 'visibilitychange'],
  [() => document, 'resume'],
  [() => window, 'pageshow'],
  [() => window, 'focus'],
]

/** The same state with its times in the server's clock, which is `ahead` milliseconds of this machine's. */
function inTime(state: ConnectionState, ahead: number): ConnectionState {
  if (state.phase === 'away') {
    return { ...state, since: state.since + ahead, retryAt: state.retryAt + ahead }
  }
  return state.phase === 'open' ? { ...state, since: state.since + ahead } : state
}

function asNames(kept: unknown): string[] | undefined {
  return Array.isArray(kept) && kept.every((name) => typeof name === 'string') ? kept : undefined
}

function timeOf(time: string | null | undefined): number {
  return (time && Date.parse(time)) || 0
}

/** The same quote as before, vouched for once more. */
function renewed(quote: Quote, held: Quote): boolean {
  const same = quote.epoch === held.epoch && quote.seq === held.seq
  return same && quote.stale === held.stale && quote.reason === held.reason && quote.gateway === held.gateway
}

function older(quote: Quote, held: Quote): boolean {
  return quote.epoch < held.epoch || (quote.epoch === held.epoch && quote.seq < held.seq)
}

/** The age in a status counts up all the time; the card counts its own, from the quote's time. */
function sameState(a: SymbolStatus | undefined, b: SymbolStatus): boolean {
  const names = Object.keys({ ...a, ...b }) as (keyof SymbolStatus)[]
  return names.every((name) => name === 'age' || String(a?.[name]) === String(b[name]))
}

/** The connection's state already tells that the backend is away or refuses: other errors are bugs. */
function ignoreApi(error: unknown): undefined {
  if (!(error instanceof ApiError)) throw error
  return undefined
}
