import { type Api, ApiError, ServerClock } from '@ibstream/client'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { StreamStore } from '../../src/card/store'
import type { Topic } from '../../src/card/topics'
import { quoteOf, statusOf } from './backend'

function rig(clock = new ServerClock()) {
  const flushes: (() => void)[] = []
  const store = new StreamStore({ clock } as Api, (flush) => void flushes.push(flush))
  const told: Topic[] = []
  const watch = (...topics: Topic[]) => {
    for (const topic of topics) store.subscribe(topic, () => told.push(topic))
  }
  const frame = () => {
    told.length = 0
    for (const flush of flushes.splice(0)) flush()
    return [...told]
  }
  return { store, flushes, watch, frame }
}

describe('the store', () => {
  let { store, flushes, watch, frame } = rig()
  beforeEach(() => {
    ;({ store, flushes, watch, frame } = rig())
  })

  it('tells each listener once a frame, and only of what changed', () => {
    watch('quote:SPY', 'quote:QQQ', 'quote:AAPL')
    store.takeQuotes([quoteOf('SPY', 1), quoteOf('QQQ', 1), quoteOf('AAPL', 1)], Date.now())
    frame()
    for (let i = 0; i < 50; i++) store.receive('quotes', JSON.stringify([quoteOf('QQQ', i)]))
    expect(flushes).toHaveLength(1)
    expect(frame()).toEqual(['quote:QQQ'])
    expect(store.quote('QQQ')?.last).toBe(49)
  })

  it('tells of new prices ten times a second while a person scrolls, and at once of what may be used no more', () => {
    vi.useFakeTimers()
    const clock = new ServerClock()
    clock.answered(new Headers({ 'X-Server-Time': new Date().toISOString() }), clock.read())
    ;({ store, watch, frame } = rig(clock))
    const told = () => frame().filter((topic) => topic.startsWith('quote:'))
    watch('quote:SPY')
    store.takeQuotes([quoteOf('SPY', 1)], Date.now())
    expect(told()).toEqual(['quote:SPY'])
    store.scrolled()
    for (let i = 2; i < 5; i++) store.takeQuotes([quoteOf('SPY', i)], Date.now())
    expect(told()).toEqual([])
    vi.advanceTimersByTime(100)
    expect(told()).toEqual(['quote:SPY'])
    store.takeQuotes([{ ...quoteOf('SPY', 5), stale: true }], Date.now())
    expect(told()).toEqual(['quote:SPY'])
    vi.advanceTimersByTime(1_000)
    store.takeQuotes([{ ...quoteOf('SPY', 6), stale: true }], Date.now())
    expect(told()).toEqual(['quote:SPY'])
    vi.useRealTimers()
  })

  it('tells that a symbol is at another gateway', () => {
    watch('state:SPY')
    const status = statusOf('connected', ['SPY'])
    store.takeStatus(status)
    frame()
    store.takeStatus({ ...status, symbols: { SPY: { ...status.symbols?.SPY, state: 'live', gateway: 'b' } } })
    expect(frame()).toEqual(['state:SPY'])
  })

  it('never replaces a quote by an older one', () => {
    const [first, second] = [quoteOf('SPY', 1), quoteOf('SPY', 2)]
    store.takeQuotes([second], Date.now())
    store.takeQuotes([first], Date.now())
    expect(store.quote('SPY')?.last).toBe(2)
    store.takeQuotes([{ ...first, epoch: 2, seq: 1, last: 3 }], Date.now())
    expect(store.quote('SPY')?.last).toBe(3)
  })

  it('does not let a slow answer undo what the stream said since it was asked for', () => {
    const asked = Date.now() - 50
    const quote = quoteOf('SPY', 1)
    store.takeQuotes([{ ...quote, stale: true }], Date.now())
    store.takeQuotes([{ ...quote, stale: false }], asked)
    expect(store.quote('SPY')?.stale).toBe(true)
  })

  it('orders symbols as the plan does, and keeps the list while nothing changes', () => {
    watch('symbols')
    store.takeStatus(statusOf('connected', ['SPY', 'AAPL']))
    expect(frame()).toEqual(['symbols'])
    const before = store.symbols
    store.takeStatus(statusOf('connected', ['SPY', 'AAPL']))
    expect(store.symbols).toBe(before)
    expect(frame()).toEqual([])
    store.takeStatus(statusOf('connected', ['AAPL', 'SPY']))
    expect(store.symbols).toEqual(['AAPL', 'SPY'])
  })

  it('tells of a symbol only when its state changed, not because it grew older', () => {
    watch('state:SPY')
    const status = statusOf('connected', ['SPY'])
    store.takeStatus(status)
    frame()
    store.takeStatus({ ...status, symbols: { SPY: { state: 'live', priority: 0, age: 9 } } })
    expect(frame()).toEqual([])
    store.takeStatus({ ...status, symbols: { SPY: { state: 'stale', priority: 0, reason: 'farm_down' } } })
    expect(frame()).toEqual(['state:SPY'])
  })

  it('drops a symbol that is no longer planned, and shows all quotes when nothing is', () => {
    store.takeQuotes([quoteOf('SPY', 1), quoteOf('QQQ', 1)], Date.now())
    store.takeStatus(statusOf('connected', ['SPY']))
    expect(store.symbols).toEqual(['SPY'])
    store.takeStatus(statusOf('stopped', []))
    expect(store.symbols).toEqual(['SPY', 'QQQ'])
  })

  it('adds changes of the status to the link history, once each', () => {
    store.takeStatus(statusOf('connected'))
    store.takeStatus(statusOf('connected'))
    store.takeStatus(statusOf('degraded', [], { reason: 'farm_down' }))
    store.takeStatus(statusOf('degraded', [], { reason: 'farm_down' }))
    expect(store.record.link.map((point) => [point.status, point.reason])).toEqual([
      ['connected', null],
      ['degraded', 'farm_down'],
    ])
  })

  it('survives an event that is not JSON, and one that it does not know', () => {
    store.receive('status', '{"status": "conn')
    store.receive('news', '{}')
    expect(store.status).toBeUndefined()
  })

  it('asks for the past of all symbols in sight at once, and of each once', async () => {
    vi.useFakeTimers()
    const sparklines = vi.fn(async (symbols: readonly string[]) =>
      symbols.map((symbol) => ({ symbol, times: [5, 10, 15], prices: [1, 2, 3] })),
    )
    const seeding = new StreamStore({ clock: new ServerClock(), sparklines } as unknown as Api, () => {})
    seeding.takeQuotes([quoteOf('A', 1)], Date.now())
    for (const symbol of ['A', 'B', 'C', 'A']) seeding.sparklines.want(symbol)
    expect(seeding.sparklines.samples('A')).toBeUndefined()
    await vi.advanceTimersByTimeAsync(100)
    seeding.sparklines.want('A')
    seeding.sparklines.want('D')
    await vi.advanceTimersByTimeAsync(100)
    expect(sparklines.mock.calls.map(([symbols]) => symbols)).toEqual([['A', 'B', 'C'], ['D']])
    expect(seeding.sparklines.samples('B')?.map(({ price }) => price)).toEqual([1, 2, 3])
    vi.useRealTimers()
  })

  it('asks for the past again after a failure, and draws nothing until then', async () => {
    vi.useFakeTimers()
    const sparklines = vi.fn().mockRejectedValueOnce(new ApiError('backend_away', '')).mockResolvedValue([])
    const seeding = new StreamStore({ clock: new ServerClock(), sparklines } as unknown as Api, () => {})
    seeding.takeQuotes([quoteOf('A', 1)], Date.now())
    seeding.sparklines.want('A')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(seeding.sparklines.samples('A')).toBeUndefined()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(sparklines).toHaveBeenCalledTimes(2)
    expect(seeding.sparklines.samples('A')).toHaveLength(1)
    vi.useRealTimers()
  })

  it('keeps the rows in their order when a stop leaves no plan', () => {
    store.takeQuotes(
      ['A', 'B', 'C'].map((symbol) => quoteOf(symbol, 1)),
      Date.now(),
    )
    store.takeStatus(statusOf('connected', ['C', 'A', 'B']))
    store.takeStatus(statusOf('stopped', []))
    expect(store.symbols).toEqual(['C', 'A', 'B'])
  })
})
