// Every price expires on the page, whoever falls silent: server, network, or the page's own timers.

import { act, render } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StreamCard } from '../../src/card'
import { FakeBackend, quoteOf, statusOf } from './backend'

const NOON = Date.parse('2026-03-04T12:00:00Z')
const at = (ms: number) => new Date(NOON + ms).toISOString()
const vouched = (symbol: string, until: number, more = {}) =>
  quoteOf(symbol, 500, { timestamp: at(0), epoch: 1, seq: 1, good_until: at(until), ...more })

let backend: FakeBackend

beforeEach(() => {
  vi.useFakeTimers({
    now: NOON,
    toFake: [
      'Date',
      'performance',
      'setTimeout',
      'setInterval',
      'clearTimeout',
      'clearInterval',
      'requestAnimationFrame',
    ],
  })
  backend = new FakeBackend().install()
  backend.status = statusOf('connected', ['SPY', 'QQQ'], { good_until: at(5_000) })
  backend.quotes = [vouched('SPY', 5_000), vouched('QQQ', 3_000)]
})
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms))
const row = (symbol: string) => document.querySelector<HTMLElement>(`tr[data-symbol="${symbol}"]`)
const state = (symbol: string) => row(symbol)?.dataset.state
const struck = (symbol: string) =>
  row(symbol)?.querySelector<HTMLElement>('[data-distrusted]')?.dataset.distrusted

async function open() {
  render(<StreamCard />)
  await pass(300)
}

describe('a price on the page', () => {
  it('expires by itself at its time, row by row, when nothing comes any more', async () => {
    await open()
    expect([state('SPY'), state('QQQ')]).toEqual(['live', 'live'])
    expect([struck('SPY'), row('SPY')?.dataset.good]).toEqual(['false', 'true'])
    await pass(2_200)
    expect([state('SPY'), state('QQQ')]).toEqual(['live', 'live'])
    await pass(500) // it is the third second since noon: not a moment more
    expect([state('SPY'), state('QQQ')]).toEqual(['live', 'expired'])
    expect([struck('QQQ'), row('QQQ')?.dataset.good]).toEqual(['true', 'false'])
    expect(row('QQQ')?.textContent).toContain('Expired')
    await pass(2_000)
    expect([state('SPY'), state('QQQ')]).toEqual(['expired', 'expired'])
    expect(document.querySelector('[data-testid="status-badge"]')?.textContent).toBe('No heartbeat')
  })

  it('lives on while it is renewed, without being drawn again', async () => {
    await open()
    const drawn = vi.fn()
    const observer = new MutationObserver(drawn)
    const price = row('SPY')?.querySelector('[data-column="last"]')
    if (price)
      observer.observe(price, { subtree: true, childList: true, characterData: true, attributes: true })
    for (let i = 1; i <= 8; i++) {
      act(() => backend.emit('quotes', [vouched('SPY', 5_000 + i * 1_000)]))
      await pass(1_000)
    }
    observer.disconnect()
    expect([state('SPY'), state('QQQ')]).toEqual(['live', 'expired'])
    expect(drawn).not.toHaveBeenCalled()
  })

  it('comes back when it is vouched for again', async () => {
    await open()
    await pass(6_000)
    expect(state('SPY')).toBe('expired')
    act(() => backend.emit('quotes', [vouched('SPY', 11_000)]))
    await pass(50)
    expect(state('SPY')).toBe('live')
  })

  it('has no say when nobody ever vouched for it', async () => {
    backend.quotes = [
      vouched('SPY', 0, { good_until: undefined }),
      vouched('QQQ', 3_000, { good_until: 'soon' }),
    ]
    await open()
    expect([state('SPY'), state('QQQ')]).toEqual(['expired', 'expired'])
  })

  it('is not good while the server has not told its time', async () => {
    backend.tellsTime = false
    await open()
    expect([state('SPY'), state('QQQ')]).toEqual(['expired', 'expired'])
  })

  it.each([-3_600_000, 3_600_000])(
    'expires by the server’s clock, with a browser that is %i ms off',
    async (off) => {
      backend.now = () => Date.now() - off
      vi.setSystemTime(NOON + off)
      await open()
      expect([state('SPY'), state('QQQ')]).toEqual(['live', 'live'])
      await pass(2_700)
      expect([state('SPY'), state('QQQ')]).toEqual(['live', 'expired'])
    },
  )

  it('is expired at the first look after the page’s own timers stood still', async () => {
    await open()
    vi.setSystemTime(Date.now() + 60_000) // no timer ran: a frozen tab, a machine that slept
    expect(state('SPY')).toBe('live')
    act(() => {
      document.dispatchEvent(new Event('visibilitychange'))
      vi.advanceTimersToNextFrame()
    })
    expect([state('SPY'), state('QQQ')]).toEqual(['expired', 'expired'])
  })

  it('is not kept alive by events that were held up on the way', async () => {
    await open()
    await pass(9_000)
    act(() => {
      backend.setStatus({ last_heartbeat: at(1_000), good_until: at(6_000) })
      backend.emit('quotes', [vouched('SPY', 6_000, { seq: 2 })])
    })
    await pass(50)
    expect(state('SPY')).toBe('expired')
    expect(document.querySelector('[data-testid="status-badge"]')?.textContent).toBe('No heartbeat')
  })
})
