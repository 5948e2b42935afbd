// A backend in memory: answers the card's requests, keeps its event streams open, and dies when told.

import type { AlertsView, Candle, Gap, LinkPoint, Plan, Quote, Status } from '@ibstream/client'
import { vi } from 'vitest'

export interface Call {
  method: string
  path: string
  url: string
  query: URLSearchParams
  headers: Headers
  body: unknown
}

type Answer = (call: Call) => Response | Promise<Response>

export class FakeBackend {
  alive = true
  tellsTime = true
  /** Its clock, UTC milliseconds. */
  now = () => Date.now()
  status: Status = statusOf('connected', ['SPY', 'QQQ', 'AAPL'])
  quotes: Quote[] = [quoteOf('SPY', 500), quoteOf('QQQ', 400), quoteOf('AAPL', 200)]
  plan = planOf({ project_id: 1, project_name: 'Demo project' })
  gaps: Gap[] = []
  link: LinkPoint[] = []
  candles: Candle[] = []
  live = true
  alerts: AlertsView = { alerts: [], recent: [] }
  calls: Call[] = []
  /** Answers in place of the ordinary ones, by `METHOD /path`. */
  readonly answers = new Map<string, Answer>()
  private readonly streams = new Set<ReadableStreamDefaultController<Uint8Array>>()
  private id = 0

  install(): this {
    vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => this.fetch(input, init))
    return this
  }

  called(route: string): Call[] {
    return this.calls.filter((call) => `${call.method} ${call.path}` === route)
  }

  /** Open event streams. */
  get listeners(): number {
    return this.streams.size
  }

  emit(event: 'status' | 'quotes' | 'candles', data: unknown): void {
    this.id += 1
    this.write(`id: ${this.id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }

  write(text: string): void {
    for (const stream of this.streams) stream.enqueue(new TextEncoder().encode(text))
  }

  setStatus(changes: Partial<Status>): void {
    this.status = { ...this.status, last_heartbeat: new Date().toISOString(), ...changes }
    this.emit('status', this.status)
  }

  kill(): void {
    this.alive = false
    for (const stream of this.streams) stream.error(new TypeError('network error'))
    this.streams.clear()
  }

  revive(): void {
    this.alive = true
  }

  private async fetch(input: string, init: RequestInit): Promise<Response> {
    if (!this.alive) throw new TypeError('connection refused')
    const url = new URL(input, 'http://backend')
    const call: Call = {
      method: init.method ?? 'GET',
      path: url.pathname.replace(/^.*\/api\/ib\/stream/, ''),
      url: input,
      query: url.searchParams,
      headers: new Headers(init.headers),
      body: typeof init.body === 'string' ? JSON.parse(init.body) : undefined,
    }
    this.calls.push(call)
    const answer = await this.answer(call, init)
    if (this.tellsTime) answer.headers.set('X-Server-Time', new Date(this.now()).toISOString())
    return answer
  }

  private async answer(call: Call, init: RequestInit): Promise<Response> {
    const route = `${call.method} ${call.path}`
    const special = this.answers.get(route)
    if (special) return special(call)
    if (route === 'GET /events') return this.events(init.signal ?? undefined)
    if (route === 'GET /status') return Response.json(this.status)
    if (route === 'GET /quotes') return Response.json({ quotes: this.quotes })
    if (route === 'GET /plan') return Response.json(this.plan)
    if (route === 'GET /gaps') return Response.json({ gaps: this.gaps, link: this.link })
    if (route === 'GET /sparklines') return Response.json({ series: [] })
    if (route === 'GET /candles') return Response.json({ symbol: '', candles: this.candles, live: this.live })
    if (route === 'GET /alerts') return Response.json(this.alerts)
    if (route === 'POST /start' || route === 'POST /stop') return Response.json({ seq: 1 })
    return Response.json({ detail: 'Not Found' }, { status: 404 })
  }

  private events(signal: AbortSignal | undefined): Response {
    let controller: ReadableStreamDefaultController<Uint8Array>
    const body = new ReadableStream<Uint8Array>({
      start: (own) => {
        controller = own
        this.streams.add(own)
        signal?.addEventListener('abort', () => this.streams.delete(own))
      },
      cancel: () => void this.streams.delete(controller),
    })
    queueMicrotask(() => this.alive && this.emit('status', this.status))
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
  }
}

export function planOf(changes: Partial<Plan> = {}): Plan {
  return { type: 'plan', epoch: 1, first_seq: 1, time: 0, started: true, symbols: [], ...changes }
}

export function refusal(status: number, code: string, message: string): Answer {
  return () => Response.json({ detail: { code, message } }, { status })
}

let seq = 0

export function quoteOf(symbol: string, last: number, more: Partial<Quote> = {}): Quote {
  seq += 1
  return {
    symbol,
    timestamp: new Date().toISOString(),
    source: 'ib_stream',
    bid: last - 0.01,
    ask: last + 0.01,
    last,
    close: 100,
    bid_size: 300,
    ask_size: 200,
    volume: 1000,
    market_data_type: 'realtime',
    stale: false,
    good_until: more.stale ? null : new Date(Date.now() + 60_000).toISOString(),
    epoch: 1,
    seq,
    ...more,
  }
}

export function statusOf(word: Status['status'], symbols: string[] = [], more: Partial<Status> = {}): Status {
  return {
    status: word,
    reason: null,
    last_heartbeat: new Date().toISOString(),
    subscribed_symbols: symbols,
    ib_error_count: 0,
    market_data_type: 'realtime',
    project_id: 1,
    api_mode: 'ib',
    services: { gateway: { state: 'up', pid: 1 } },
    symbols: Object.fromEntries(symbols.map((symbol, priority) => [symbol, { state: 'live', priority }])),
    ...more,
  }
}
