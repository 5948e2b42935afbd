// A fake ibstream for your own tests: set a price, let it go stale, stop the stream. No server, no socket.
//
//   const fake = new FakeStream()
//   fake.setPrice('SPY', { last: 590, bid: 589.9, ask: 590.1 })
//   await strategy(fake.client)
//   fake.advance(6)                                             // nobody vouches any more
//   await expect(strategy(fake.client)).rejects.toThrow(StalePrice)

import { type Client, connect } from './client.js'
import type { Plan, PriceSource, Quote, StartRequest, Status } from './index.js'

type Prices = Partial<Pick<Quote, 'last' | 'bid' | 'ask'>> & { source?: PriceSource }
type Stream = ReadableStreamDefaultController<Uint8Array>

/**
 * Stands where ibstream would: `client` is a real Client on it, with the same rule and the same errors. Its clock is
 * this machine's, and `advance` sets it forward.
 */
export class FakeStream {
  readonly client: Client
  private readonly goodForMs: number
  private readonly quotes = new Map<string, Quote>()
  private readonly streams = new Set<Stream>()
  private aheadMs = 0
  private stopped = false
  private reachable = true
  private seq = 0

  /** `goodFor`: seconds for which a price is vouched for, as a real sink does. */
  constructor({ goodFor = 5 }: { goodFor?: number } = {}) {
    this.goodForMs = goodFor * 1000
    this.client = connect('http://fake', { fetch: this.fetch })
  }

  // --- what a test does ---

  /** A price, received now and vouched for as long as a real sink would. */
  setPrice(symbol: string, prices: Prices): void {
    const quote = { symbol, source: 'ib_stream' as const, ...prices, stale: false, epoch: 1 }
    this.put({ ...quote, timestamp: this.iso(), good_until: this.iso(this.goodForMs), seq: ++this.seq })
  }

  /** Time goes by, and nothing is renewed: after `goodFor` seconds no price may be used. */
  advance(seconds: number): void {
    this.aheadMs += seconds * 1000
    this.client.api.clock.heard(this.now())
  }

  /** The symbol's price is withdrawn, as when its stream dies. */
  goStale(symbol: string, reason = 'connection_lost'): void {
    const quote = this.quotes.get(symbol)
    if (!quote) throw new Error(`${symbol} has no price; expected one that setPrice was given`)
    this.put({ ...quote, stale: true, reason, good_until: null, seq: ++this.seq })
  }

  stopStream(): void {
    this.stopped = true
    for (const symbol of this.quotes.keys()) this.goStale(symbol, 'stopped')
  }

  /** Nothing answers from now on. */
  unplug(): void {
    this.reachable = false
    for (const stream of this.streams) stream.error(new TypeError('the fake was unplugged'))
    this.streams.clear()
  }

  // --- what the client asks, over a `fetch` of its own ---

  private readonly fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    if (!this.reachable) throw new TypeError('the fake was unplugged')
    const url = new URL(String(input))
    const answer = this.answer(
      `${init.method ?? 'GET'} ${url.pathname.replace('/api/ib/stream', '')}`,
      url,
      init,
    )
    answer.headers.set('X-Server-Time', this.iso())
    return answer
  }

  private answer(call: string, url: URL, init: RequestInit): Response {
    switch (call) {
      case 'GET /snapshot':
        return this.snapshot(url.searchParams.get('symbol') ?? '')
      case 'GET /quotes':
        return Response.json({ quotes: [...this.quotes.values()] })
      case 'GET /status':
        return Response.json(this.status())
      case 'GET /plan':
        return Response.json(this.plan())
      case 'GET /events':
        return this.events(init.signal)
      case 'POST /start':
        return this.start(JSON.parse(String(init.body)))
      case 'POST /stop':
        this.stopStream()
        return Response.json({ status: 'accepted' })
    }
    return refused(501, 'not_faked', `the fake has no ${call}; expected what a Client asks`)
  }

  private snapshot(name: string): Response {
    const quote = this.quotes.get(name.toUpperCase())
    return quote ? Response.json(quote) : refused(404, 'symbol_not_found', `no price of ${name} was set`)
  }

  private start({ symbols }: StartRequest): Response {
    if (symbols?.length === 0) return refused(422, 'symbols_empty', 'no symbol; expected at least one')
    if (!this.stopped) return refused(409, 'ib_stream_lock_busy', 'the stream is started already')
    this.stopped = false
    return Response.json({ status: 'accepted' })
  }

  private status(): Partial<Status> {
    if (this.stopped) return { status: 'stopped', reason: 'stopped', api_mode: 'mock' }
    const names = [...this.quotes.keys()].sort()
    return {
      status: 'connected',
      api_mode: 'mock',
      subscribed_symbols: names,
      good_until: this.iso(this.goodForMs),
    }
  }

  private plan(): Partial<Plan> {
    const names = [...this.quotes.keys()].sort()
    const symbols = names.map((symbol, priority) => ({ symbol, reason: 'test', priority }))
    return { epoch: 1, started: !this.stopped, symbols }
  }

  private events(signal: AbortSignal | null | undefined): Response {
    let own: Stream | undefined
    const leave = () => {
      if (own) this.streams.delete(own)
    }
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        own = stream
        this.streams.add(stream)
        if (this.quotes.size > 0) send(stream, [...this.quotes.values()])
      },
      cancel: leave,
    })
    signal?.addEventListener('abort', leave)
    return new Response(body)
  }

  private put(quote: Quote): void {
    this.quotes.set(quote.symbol, quote)
    for (const stream of this.streams) send(stream, [quote])
  }

  private now(): number {
    return Date.now() + this.aheadMs
  }

  private iso(afterMs = 0): string {
    return new Date(this.now() + afterMs).toISOString()
  }
}

function send(stream: Stream, quotes: Quote[]): void {
  stream.enqueue(new TextEncoder().encode(`event: quotes\ndata: ${JSON.stringify(quotes)}\n\n`))
}

function refused(status: number, code: string, message: string): Response {
  return Response.json({ detail: { code, message } }, { status })
}
