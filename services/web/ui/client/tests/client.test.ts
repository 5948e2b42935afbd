import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  CommandRefused,
  connect,
  IbstreamError,
  InvalidAddress,
  type Quote,
  StalePrice,
  StreamStopped,
  UnknownSymbol,
  Unreachable,
} from '../src'

const NOON = Date.parse('2026-03-04T12:00:00Z')
const at = (ms: number) => new Date(NOON + ms).toISOString()

function quoteOf(changes: Partial<Quote> = {}): Quote {
  return {
    symbol: 'SPY',
    timestamp: at(-500),
    source: 'ib_stream',
    last: 590,
    stale: false,
    good_until: at(5_000),
    epoch: 1,
    seq: 1,
    ...changes,
  }
}

/** A server whose answers and clock a test sets; its event stream says what `emit` is given. */
class Server {
  ahead = 0 // milliseconds of its clock before this machine's
  quote: Quote | undefined = quoteOf()
  status: Record<string, unknown> = { status: 'connected', api_mode: 'mock', good_until: at(5_000) }
  away = false
  refusal: [number, string] | undefined
  told = true
  readonly requests: Request[] = []
  private readonly streams: ReadableStreamDefaultController<Uint8Array>[] = []

  readonly fetch = async (input: unknown, init?: RequestInit): Promise<Response> => {
    if (this.away) throw new TypeError('fetch failed')
    this.requests.push(new Request(String(input), init))
    const answer = this.answer(new URL(String(input)).pathname.replace('/api/ib/stream', ''), init)
    if (this.told) answer.headers.set('X-Server-Time', new Date(Date.now() + this.ahead).toISOString())
    return answer
  }

  emit(...quotes: Quote[]): void {
    const bytes = new TextEncoder().encode(`event: quotes\ndata: ${JSON.stringify(quotes)}\n\n`)
    for (const stream of this.streams) stream.enqueue(bytes)
  }

  private answer(path: string, init?: RequestInit): Response {
    if (this.refusal) {
      const [status, code] = this.refusal
      return Response.json({ detail: { code, message: 'No.', field: 'symbols' } }, { status })
    }
    if (path === '/status') return Response.json(this.status)
    if (path === '/events') {
      const body = new ReadableStream<Uint8Array>({ start: (control) => void this.streams.push(control) })
      init?.signal?.addEventListener('abort', () => this.streams.splice(0))
      return new Response(body)
    }
    if (path !== '/snapshot') return Response.json({})
    if (this.quote) return Response.json(this.quote)
    return Response.json({ detail: { code: 'symbol_not_found', message: 'Never seen.' } }, { status: 404 })
  }
}

let server: Server
const client = (token?: string) => connect('http://host:8765', { token, fetch: server.fetch as typeof fetch })

beforeEach(() => {
  vi.useFakeTimers({ now: NOON })
  server = new Server()
})
afterEach(() => vi.useRealTimers())

async function refused(kind: typeof IbstreamError, asked: Promise<unknown>): Promise<IbstreamError> {
  const error = await asked.then(
    () => expect.unreachable('it was answered'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(kind)
  expect(error).toBeInstanceOf(IbstreamError)
  return error as IbstreamError
}

describe('a price', () => {
  it('is a quote while somebody vouches for it, and the token travels in a header', async () => {
    const quote = await client('secret').price('SPY', { maxAge: 2, sources: ['ib_stream'] })
    expect(quote.last).toBe(590)
    expect(server.requests[0]?.headers.get('Authorization')).toBe('Bearer secret')
    expect(server.requests[0]?.url).not.toContain('secret')
  })

  it('is refused from its good_until on, by the server’s clock and not by this machine’s', async () => {
    for (const ahead of [0, -3_600_000, 3_600_000]) {
      server.ahead = ahead
      server.quote = quoteOf({ timestamp: at(ahead - 500), good_until: at(ahead + 5_000) })
      expect((await client().price('SPY')).last).toBe(590)
      server.quote = quoteOf({ timestamp: at(ahead - 5_000), good_until: at(ahead) })
      const error = await refused(StalePrice, client().price('SPY'))
      expect(error).toMatchObject({ reason: 'expired', age: 5, source: 'ib_stream', name: 'StalePrice' })
    }
  })

  it.each([
    ['clock', { good_until: at(3_600_000) }, {}],
    ['expired', { good_until: null }, {}],
    ['expired', { good_until: 'soon' }, {}],
    ['farm_down', { stale: true, reason: 'farm_down', good_until: null }, {}],
    ['clock', { timestamp: at(3_600_000) }, { maxAge: 5 }],
    ['too_old', {}, { maxAge: 0.4 }],
    ['too_old', { timestamp: null }, { maxAge: 60 }],
    ['too_old', {}, { maxAge: Number.NaN }],
    ['source', {}, { sources: ['mock', 'ib_snapshot'] as const }],
    ['source', {}, { sources: [] }],
  ])('is refused: %s', async (reason, changes, wishes) => {
    server.quote = quoteOf(changes)
    expect((await refused(StalePrice, client().price('SPY', wishes))).reason).toBe(reason)
  })

  it.each(['stopped', 'shutdown'])('says that nobody wants the stream: %s', async (reason) => {
    server.quote = quoteOf({ stale: true, reason, good_until: null })
    expect((await refused(StreamStopped, client().price('SPY'))).reason).toBe(reason)
  })

  it('says why there is none', async () => {
    server.quote = undefined
    expect((await refused(UnknownSymbol, client().price('SPY'))).reason).toBe('symbol_not_found')
    server.status = { status: 'connected', api_mode: 'mock', good_until: at(-1) }
    await refused(Unreachable, client().price('SPY'))
    server.status = { status: 'stopped', api_mode: 'mock' }
    await refused(StreamStopped, client().price('SPY'))
    server.refusal = [422, 'invalid_symbol']
    expect((await refused(UnknownSymbol, client().price('../x'))).reason).toBe('invalid_symbol')
    expect((await refused(UnknownSymbol, client().price(' '))).reason).toBe('invalid_symbol')
  })

  it('is never given by a server that is away, refuses the token, tells no time or is none of ours', async () => {
    server.told = false
    expect((await refused(Unreachable, client().price('SPY'))).reason).toBe('unreachable')
    server.refusal = [401, 'unauthorized']
    expect((await refused(Unreachable, client().price('SPY'))).reason).toBe('unauthorized')
    server.away = true
    expect((await refused(Unreachable, client().price('SPY'))).reason).toBe('unreachable')
    const html = async () => new Response('<html>', { headers: { Date: new Date().toUTCString() } })
    const other = connect('http://host', { fetch: html as unknown as typeof fetch })
    expect((await refused(Unreachable, other.price('SPY'))).reason).toBe('unreachable')
  })
})

describe('status and commands', () => {
  it('believes a status only while somebody vouches for it', async () => {
    expect((await client().status()).status).toBe('connected')
    expect((await client().waitUntilConnected(1)).status).toBe('connected')
    server.status = { status: 'connected', api_mode: 'mock', good_until: at(-1) }
    await refused(Unreachable, client().status())
  })

  it('waits no longer than it was told, and says what it waited for', async () => {
    server.status = { status: 'starting', reason: 'awaiting_plan', api_mode: 'mock', good_until: at(60_000) }
    const waiting = refused(Unreachable, client().waitUntilConnected(2))
    await vi.advanceTimersByTimeAsync(3_000)
    expect((await waiting).reason).toBe('awaiting_plan')
  })

  it('passes on why a start was refused, and which field caused it', async () => {
    server.refusal = [409, 'ib_stream_lock_busy']
    expect(await refused(CommandRefused, client().start())).toMatchObject({ reason: 'ib_stream_lock_busy' })
    server.refusal = [422, 'symbols_empty']
    expect(await refused(CommandRefused, client().start({ symbols: [] }))).toMatchObject({ field: 'symbols' })
  })

  it.each(['ftp://host', 'host:8765', 'tcp://sink=host:1', 'data'])('refuses the address %s', (address) => {
    expect(() => connect(address)).toThrow(InvalidAddress)
  })
})

describe('quotes', () => {
  const next = async (quotes: AsyncGenerator<Quote, void, void>, ms = 0) => {
    const coming = quotes.next()
    await vi.advanceTimersByTimeAsync(ms)
    return (await coming).value as Quote
  }

  it('come as they change, the newest of each symbol, those that were asked for alone', async () => {
    const quotes = client().quotes('spy')
    const first = quotes.next()
    await vi.advanceTimersByTimeAsync(0)
    server.emit(quoteOf({ symbol: 'QQQ' }), quoteOf())
    expect((await first).value).toMatchObject({ symbol: 'SPY', seq: 1 })
    server.emit(quoteOf({ seq: 2, last: 591 }))
    server.emit(quoteOf({ seq: 3, last: 592 }))
    await vi.advanceTimersByTimeAsync(0)
    expect(await next(quotes)).toMatchObject({ seq: 3, last: 592 })
    await quotes.return()
  })

  it('come once more, stale, when their time is over and nobody renewed them', async () => {
    const quotes = client().quotes()
    const first = quotes.next()
    await vi.advanceTimersByTimeAsync(0)
    server.emit(quoteOf())
    await first
    server.away = true
    const over = await next(quotes, 5_300)
    expect(over).toMatchObject({ symbol: 'SPY', stale: true, reason: 'expired', good_until: null, last: 590 })
    await quotes.return()
  })

  it('are over in time, and not with the next look', async () => {
    const quotes = client().quotes()
    const first = quotes.next()
    await vi.advanceTimersByTimeAsync(0)
    server.emit(quoteOf({ good_until: at(5_130) }))
    await first
    server.away = true
    let over: Quote | undefined
    void quotes.next().then(({ value }) => (over = value as Quote))
    await vi.advanceTimersByTimeAsync(5_129)
    expect(over).toBeUndefined()
    await vi.advanceTimersByTimeAsync(2)
    expect(over).toMatchObject({ symbol: 'SPY', reason: 'expired' })
    await quotes.return()
  })

  it('are over when they are handed to a reader that was slow', async () => {
    const quotes = client().quotes()
    const first = quotes.next()
    await vi.advanceTimersByTimeAsync(0)
    server.emit(quoteOf())
    await first
    server.emit(quoteOf({ seq: 2 }))
    await vi.advanceTimersByTimeAsync(6_000)
    expect(await next(quotes)).toMatchObject({ seq: 2, stale: true, reason: 'expired' })
    await quotes.return()
  })

  it('end with an error when the token is refused', async () => {
    server.refusal = [401, 'unauthorized']
    const failed = refused(Unreachable, client().quotes().next())
    await vi.advanceTimersByTimeAsync(300)
    expect((await failed).reason).toBe('unauthorized')
  })
})
