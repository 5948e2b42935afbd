import { describe, expect, it } from 'vitest'
import { alsoType, healthOf, rowState, sourceOf } from '../../src/card/health'
import { parseStart } from '../../src/card/startRequest'
import { quoteOf, statusOf } from './backend'

const open = { phase: 'open', since: 0 } as const

describe('the word for the whole', () => {
  it('is the backend’s, while it may be believed', () => {
    for (const word of ['connected', 'degraded', 'disconnected', 'starting', 'stopped'] as const) {
      expect(healthOf(open, statusOf(word), true)).toBe(word)
    }
  })

  it('never says connected on old news', () => {
    expect(healthOf(open, statusOf('connected'), false)).toBe('silent')
  })

  it('leaves it to a backend that says itself that a service is down', () => {
    expect(healthOf(open, statusOf('degraded', [], { reason: 'service_down' }), false)).toBe('degraded')
  })

  it('says away or refused whatever was heard before', () => {
    const away = { phase: 'away', since: 0, retryAt: 0, code: 'backend_away' } as const
    expect(healthOf(away, statusOf('connected'), true)).toBe('away')
    expect(healthOf({ ...away, code: 'unauthorized' }, statusOf('connected'), true)).toBe('denied')
  })

  it('is loading before anything is known', () => {
    expect(healthOf({ phase: 'connecting' }, undefined, false)).toBe('loading')
  })
})

describe('where a price comes from', () => {
  it('says what was delivered before how it came', () => {
    expect(sourceOf(quoteOf('A', 1))).toBe('ib_stream')
    expect(sourceOf(quoteOf('A', 1, { market_data_type: 'delayed' }))).toBe('delayed')
    expect(sourceOf(quoteOf('A', 1, { source: 'ib_history' }))).toBe('ib_history')
    expect(sourceOf(undefined)).toBe('none')
  })

  it('never hides that a price is invented', () => {
    const quote = quoteOf('A', 1, { source: 'mock', market_data_type: 'delayed' })
    expect(sourceOf(quote)).toBe('mock')
    expect(alsoType(quote)).toBe('delayed')
  })

  it('knows no current price without contact', () => {
    expect(rowState({ state: 'live' }, quoteOf('A', 1), false, true)).toBe('away')
  })

  it('calls a price expired for which nobody vouches, whatever the status says', () => {
    for (const state of ['live', 'quiet', 'closed', 'delayed', 'snapshot', 'halted']) {
      expect(rowState({ state }, quoteOf('A', 1), true, false)).toBe('expired')
      expect(rowState({ state }, quoteOf('A', 1), true, true)).toBe(state)
    }
    expect(rowState(undefined, quoteOf('A', 1), true, false)).toBe('expired')
  })

  it('calls a stale price stale, unless the status knows better why', () => {
    const stale = quoteOf('A', 1, { stale: true })
    expect(rowState(undefined, stale, true, false)).toBe('stale')
    expect(rowState({ state: 'live' }, stale, true, false)).toBe('stale')
    expect(rowState({ state: 'history' }, stale, true, false)).toBe('history')
  })

  it('says what the status says of a symbol without a price', () => {
    expect(rowState({ state: 'pending' }, undefined, true, false)).toBe('pending')
    expect(rowState(undefined, undefined, true, false)).toBe('unknown')
  })
})

describe('the start request', () => {
  const empty = { project: '', snapshot: '', maxSymbols: '', dataType: '', symbols: '', refresh: '' }

  it('leaves out what was left empty', () => {
    expect(parseStart(empty)).toEqual({ request: {}, problems: {} })
  })

  it('takes what was filled in', () => {
    const typed = {
      project: ' 3 ',
      snapshot: '12',
      maxSymbols: '50',
      dataType: 'delayed',
      symbols: 'spy, qqq;brk.b  aapl',
      refresh: '7.5',
    }
    expect(parseStart(typed).request).toEqual({
      project_id: 3,
      decision_snapshot_id: 12,
      max_symbols: 50,
      market_data_type: 'delayed',
      symbols: ['SPY', 'QQQ', 'BRK.B', 'AAPL'],
      refresh_interval_seconds: 7.5,
    })
  })

  it.each(['0', '-1', '1.5', 'abc', '1e400', '9007199254740993'])('refuses %s as a project', (project) => {
    expect(parseStart({ ...empty, project }).problems).toEqual({ project: { kind: 'whole', min: 1 } })
  })

  it('refuses a refresh below five seconds', () => {
    expect(parseStart({ ...empty, refresh: '4.9' }).problems).toEqual({ refresh: { kind: 'number', min: 5 } })
  })
})
