import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ServerClock } from '../src/clock'
import {
  type ConnectionOptions,
  type ConnectionState,
  LONGEST_PAUSE_MS,
  openConnection,
} from '../src/connection'

type Control = ReadableStreamDefaultController<Uint8Array>

/** Opens a connection to a server of which each test says how the next attempts end. */
function rig(options: Partial<ConnectionOptions> = {}) {
  const states: ConnectionState[] = []
  const events: [string, string][] = []
  const requests: Headers[] = []
  const streams: Control[] = []
  const plan: (Response | Error)[] = []
  const fetch = vi.fn(async (_url: unknown, init?: RequestInit) => {
    requests.push(new Headers(init?.headers))
    const next = plan.shift()
    if (next instanceof Error) throw next
    if (next) return next
    const body = new ReadableStream<Uint8Array>({ start: (control) => void streams.push(control) })
    return new Response(body)
  })
  const connection = openConnection({
    url: () => '/events',
    headers: () => ({ Authorization: 'Bearer secret' }),
    onState: (state) => states.push(state),
    onEvent: (event, data) => events.push([event, data]),
    onOpen: () => {},
    clock: new ServerClock(),
    fetch: fetch as unknown as typeof globalThis.fetch,
    random: () => 1,
    ...options,
  })
  const write = (text: string) => streams.at(-1)?.enqueue(new TextEncoder().encode(text))
  return { states, events, requests, streams, plan, fetch, connection, write }
}

const settle = () => vi.advanceTimersByTimeAsync(0)

describe('the event stream', () => {
  let open: ReturnType<typeof rig>

  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    open.connection.close()
    vi.useRealTimers()
  })

  it('delivers events that arrive in pieces, even inside a character', async () => {
    open = rig()
    await settle()
    const bytes = new TextEncoder().encode('event: status\ndata: "已连接"\n\n')
    for (const byte of bytes) open.streams[0]?.enqueue(Uint8Array.of(byte))
    await settle()
    expect(open.events).toEqual([['status', '"已连接"']])
  })

  it('sends the token as a header and resumes after the last event', async () => {
    open = rig()
    await settle()
    expect(open.requests[0]?.get('Authorization')).toBe('Bearer secret')
    expect(open.requests[0]?.has('Last-Event-ID')).toBe(false)
    open.write('id: 41\nevent: quotes\ndata: []\n\n')
    await settle()
    open.streams[0]?.close()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(open.requests[1]?.get('Last-Event-ID')).toBe('41')
  })

  it('backs off, never longer than its bound, and says when it will try again', async () => {
    open = rig()
    open.plan.push(...Array.from({ length: 12 }, () => new TypeError('refused')))
    // the first attempt was made before the plan: it has to fail as well
    await settle()
    open.streams[0]?.error(new TypeError('gone'))
    await settle()
    const pauses: number[] = []
    for (let i = 0; i < 8; i++) {
      const state = open.states.at(-1)
      if (state?.phase !== 'away') throw new Error(`is ${state?.phase}`)
      pauses.push(state.retryAt - Date.now())
      await vi.advanceTimersByTimeAsync(state.retryAt - Date.now())
    }
    expect(pauses.slice(0, 3)).toEqual([400, 800, 1600])
    expect(Math.max(...pauses)).toBe(LONGEST_PAUSE_MS)
  })

  it('keeps the time at which contact was lost over all attempts, and comes back by itself', async () => {
    open = rig()
    await settle()
    const lost = Date.now()
    open.plan.push(new TypeError('refused'), new TypeError('refused'))
    open.streams[0]?.error(new TypeError('gone'))
    await vi.advanceTimersByTimeAsync(600)
    const away = open.states.at(-1)
    expect(away).toMatchObject({ phase: 'away', since: lost, code: 'backend_away' })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(open.states.at(-1)).toMatchObject({ phase: 'open' })
  })

  it('calls a line dead that says nothing for too long', async () => {
    open = rig({ silenceMs: 3_000 })
    await settle()
    await vi.advanceTimersByTimeAsync(2_000)
    open.write(': still here\n\n')
    await vi.advanceTimersByTimeAsync(2_500)
    expect(open.states.at(-1)).toMatchObject({ phase: 'open' })
    await vi.advanceTimersByTimeAsync(600)
    expect(open.states.at(-1)).toMatchObject({ phase: 'away' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(open.fetch).toHaveBeenCalledTimes(2)
  })

  it('gives up on a server that accepts and never answers', async () => {
    const never = () => new Promise<Response>(() => {})
    const fetch = vi.fn((_url: unknown, init?: RequestInit) => {
      const refused = new Promise<Response>((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')))
      })
      return Promise.race([never(), refused])
    })
    open = rig({ fetch: fetch as unknown as typeof globalThis.fetch, silenceMs: 2_000 })
    await vi.advanceTimersByTimeAsync(2_100)
    expect(open.states.at(-1)).toMatchObject({ phase: 'away', code: 'backend_away' })
  })

  it.each([
    [401, 'unauthorized'],
    [503, 'too_many_clients'],
  ])('tells the reason of a refusal (%i)', async (status, code) => {
    open = rig()
    await settle()
    open.plan.push(Response.json({ detail: { code, message: 'No.' } }, { status }))
    open.streams[0]?.close()
    await vi.advanceTimersByTimeAsync(500)
    expect(open.states.at(-1)).toMatchObject({ phase: 'away', code })
  })

  it('tries at once when asked', async () => {
    open = rig()
    await settle()
    open.plan.push(new TypeError('refused'), new TypeError('refused'), new TypeError('refused'))
    open.streams[0]?.close()
    await vi.advanceTimersByTimeAsync(400 + 800)
    expect(open.fetch).toHaveBeenCalledTimes(3)
    open.connection.retryNow()
    await settle()
    expect(open.fetch).toHaveBeenCalledTimes(4)
    open.connection.retryNow()
    await settle()
    expect(open.states.at(-1)).toMatchObject({ phase: 'open' })
  })

  it('does nothing more once closed', async () => {
    open = rig()
    await settle()
    open.connection.close()
    const before = open.states.length
    open.streams[0]?.error(new TypeError('gone'))
    open.connection.reopen()
    open.connection.wake()
    await vi.advanceTimersByTimeAsync(30_000)
    expect(open.fetch).toHaveBeenCalledTimes(1)
    expect(open.states.length).toBe(before)
  })

  it('gives the line back while it rests, and takes it up when it wakes', async () => {
    open = rig()
    await settle()
    open.connection.rest()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(open.fetch).toHaveBeenCalledTimes(1)
    open.connection.wake()
    await settle()
    expect(open.fetch).toHaveBeenCalledTimes(2)
    expect(open.states.at(-1)).toMatchObject({ phase: 'open' })
  })

  it('changes over to another address without a word, and goes on after the last event', async () => {
    const opened: boolean[] = []
    let address = '/events'
    open = rig({ url: () => address, onOpen: (again) => opened.push(again) })
    await settle()
    open.write('id: 7\nevent: quotes\ndata: []\n\n')
    await settle()
    const states = open.states.length
    address = '/events?candles=1m.SPY'
    open.connection.reopen()
    await settle()
    expect(open.fetch.mock.calls.at(-1)?.[0]).toBe(address)
    expect(open.requests[1]?.get('Last-Event-ID')).toBe('7')
    expect(open.states.length).toBe(states)
    expect(opened).toEqual([false, true])
    open.write('event: candles\ndata: [1]\n\n')
    await settle()
    expect(open.events.at(-1)).toEqual(['candles', '[1]'])
  })

  it('tells that it is away when the other address is refused', async () => {
    open = rig()
    await settle()
    open.plan.push(Response.json({ detail: { code: 'invalid_request', message: 'No.' } }, { status: 400 }))
    open.connection.reopen()
    await settle()
    expect(open.states.at(-1)).toMatchObject({ phase: 'away', code: 'invalid_request' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(open.states.at(-1)).toMatchObject({ phase: 'open' })
  })
})
