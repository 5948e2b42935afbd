// What the development backend pretends: for each scene, how quotes look and what the status says.

import { nameOf } from './projects.mjs'

const MINUTE = 60_000
const iso = (ms) => new Date(ms).toISOString()

/** Sets each quote's source, type and staleness as the scene has it. */
export function dress(market, scene, now, started = now) {
  let i = 0
  for (const book of market.books.values()) {
    const look = scene === 'mock' || scene === 'stopped' ? { source: 'mock' } : lookOf(scene, i)
    book.gap = scene === 'mixed' && i < 3 ? [started - 19 * MINUTE, started - 15 * MINUTE] : undefined
    book.state = stateOf(scene, i)
    const { age, ...fields } = look
    book.quote = book.saved ?? book.quote
    book.saved = undefined
    const { symbol, epoch } = book.quote
    if (book.state.state === 'rejected') {
      book.saved = book.quote
      book.quote = { symbol, epoch, stale: true, still: true, seq: market.seq++ }
      i += 1
      continue
    }
    book.quote = {
      ...book.quote,
      market_data_type: 'realtime',
      stale: scene === 'stopped' || scene === 'disconnected',
      still: undefined,
      ...fields,
      ...(age ? { timestamp: iso(now - age) } : {}),
      seq: market.seq++,
    }
    i += 1
  }
}

function lookOf(scene, i) {
  if (scene === 'disconnected') return { source: i % 3 ? 'ib_stream' : 'ib_history', still: true }
  if (scene === 'degraded' && i % 2 === 0) {
    return { source: i % 4 ? 'ib_snapshot' : 'ib_history', still: true, stale: i % 4 === 0, age: 90_000 }
  }
  if (scene === 'mixed') {
    if (i === 3) return { source: 'ib_stream', market_data_type: 'delayed' }
    if (i === 5) return { source: 'ib_stream', stale: true, still: true, age: 48_000, reason: 'farm_down' }
    if (i === 6) return { source: 'ib_snapshot', still: true, age: 14_000 }
    if (i === 8) return { source: 'ib_history', still: true, age: 190_000, stale: true }
    if (i === 11) return { source: 'ib_stream', halted: true, still: true, age: 320_000 }
    if (i === 13) return { source: 'mock' }
    if (i === 15) return { source: 'ib_stream', market_data_type: 'frozen', still: true, age: 7_200_000 }
  }
  return { source: 'ib_stream' }
}

function stateOf(scene, i) {
  if (scene === 'degraded' && i % 2 === 0) {
    return { state: i % 4 ? 'snapshot' : 'history', reason: 'farm_down' }
  }
  if (scene === 'disconnected') return { state: 'stale', reason: 'gateway_unreachable' }
  if (scene === 'mixed') {
    if (i === 3) return { state: 'delayed', reason: 'no_entitlement', code: 10167 }
    if (i === 5) return { state: 'stale', reason: 'farm_down' }
    if (i === 6) return { state: 'over_limit', reason: 'over_limit', streaming: false }
    if (i === 8) return { state: 'history', reason: 'no_data' }
    if (i === 9) {
      return {
        state: 'rejected',
        reason: 'contract_not_found',
        code: 200,
        message: 'No security definition has been found for the request',
      }
    }
    if (i === 11) return { state: 'halted' }
    if (i === 15) return { state: 'closed' }
    if (i === 17) return { state: 'pending' }
    if (i === 18) return { state: 'quiet' }
  }
  return { state: 'live' }
}

const SUMMARY = {
  mock: ['connected'],
  mixed: ['degraded', 'farm_down', 'Data farm usfarm is down.'],
  degraded: ['degraded', 'farm_down', 'Data farm usfarm is down.'],
  disconnected: ['disconnected', 'gateway_unreachable', 'Connection refused by 127.0.0.1:4002.'],
  stopped: ['stopped'],
}

/** Most symbols are good; a few have something to look at. */
function marksOf(number) {
  if (number % 11 === 4) return ['crossed', 'outliers']
  return number % 17 === 9 ? ['blind'] : []
}

/** What the data of the day is worth. */
export function qualityOf(market, day) {
  const start = `${day || new Date().toISOString().slice(0, 10)}T00:00:00.000000Z`
  let number = 0
  const symbols = [...market.books].map(([symbol, { quote }]) => {
    number += 1
    const marks = marksOf(number)
    const odd = { time: quote.timestamp, field: 'last', price: quote.last * 1.1 }
    return {
      symbol,
      marks,
      ticks: 4_812 * number,
      coverage: marks.includes('blind') ? 0.912 : 1,
      blind: marks.includes('blind') ? [{ reason: 'farm_down', seconds: 431 }] : [],
      crossed: marks.includes('crossed') ? 3 : 0,
      crossed_seconds: marks.includes('crossed') ? 2.5 : 0,
      outliers: marks.includes('outliers') ? 1 : 0,
      worst_outliers: marks.includes('outliers') ? [{ ...odd, before: quote.last, after: quote.last }] : [],
      clock_seconds: 0.1,
    }
  })
  return { start, end: start, until: new Date().toISOString(), symbols }
}

export function statusOf(market, { name, started, project = 1 }, now) {
  const [status, reason = null, message = null] = SUMMARY[name] ?? SUMMARY.mock
  const symbols = {}
  let priority = 0
  for (const [symbol, book] of market.books) {
    symbols[symbol] = {
      ...book.state,
      source: book.quote.source,
      age: (now - Date.parse(book.quote.timestamp)) / 1000,
      why: priority < 1 ? 'benchmark' : `decision_snapshot 12, rank ${priority}`,
      priority: priority++,
      marks: marksOf(priority),
    }
  }
  const streaming = Object.keys(symbols).filter(
    (symbol) => symbols[symbol].streaming !== false && symbols[symbol].state !== 'rejected',
  )
  const stopped = name === 'stopped'
  return {
    status,
    reason,
    message,
    last_heartbeat: iso(now),
    subscribed_symbols: stopped || name === 'disconnected' ? [] : streaming.sort(),
    ib_error_count: name === 'mock' || stopped ? 0 : 3,
    ib_errors_by_code: {},
    last_error:
      name === 'mock' || stopped
        ? null
        : {
            time: iso(started - 3 * MINUTE),
            code: 2103,
            name: 'farm_broken',
            message: 'Market data farm connection is broken:usfarm',
            symbol: null,
          },
    market_data_type: name === 'mixed' ? 'mixed' : 'realtime',
    degraded_since: status === 'degraded' || status === 'disconnected' ? iso(started - 4 * MINUTE) : null,
    last_snapshot_refresh: name === 'mixed' ? iso(now - 12_000) : null,
    project_id: project,
    decision_snapshot_id: 12,
    api_mode: name === 'mock' || stopped ? 'mock' : 'ib',
    services: Object.fromEntries(
      ['simulator', 'gateway', 'planner', 'sink', 'supervisor', 'web'].map((service, i) => [
        service,
        { state: 'up', pid: 4100 + i, last_heartbeat: iso(now), loop_lag_ms: 0.4 },
      ]),
    ),
    symbols: stopped ? {} : symbols,
    lock: { owner: '4104@desk', since: iso(started - 90 * MINUTE) },
    link: {
      phase: name === 'disconnected' ? 'backoff' : stopped ? 'idle' : 'ready',
      reason: name === 'disconnected' ? 'gateway_unreachable' : null,
      endpoint: '127.0.0.1:7497',
      server_version: 200,
      since: iso(started),
      farms: { usfarm: name === 'mixed' ? 'broken' : 'ok', ushmds: 'inactive' },
    },
    plan_problem: null,
    warnings: [],
  }
}

export function planOf(market, { name, project = 1 }) {
  return {
    started: name !== 'stopped',
    project_id: project,
    project_name: nameOf(project),
    decision_snapshot_id: 12,
    market_data_type: 'realtime',
    symbols: [...market.books.keys()].map((symbol, priority) => ({ symbol, reason: 'demo', priority })),
    cut: name === 'mixed' ? [{ symbol: 'NVDA', reason: 'line limit', priority: 30 }] : [],
  }
}

export function linkHistory(market, { name, started }, now) {
  const [status, reason = null] = SUMMARY[name] ?? SUMMARY.mock
  const link = [
    { time: iso(started - 52 * MINUTE), status: 'starting', reason: 'starting' },
    { time: iso(started - 51.5 * MINUTE), status: 'connected', reason: null },
    { time: iso(started - 38 * MINUTE), status: 'degraded', reason: 'farm_down' },
    { time: iso(started - 34 * MINUTE), status: 'connected', reason: null },
    { time: iso(started - 19 * MINUTE), status: 'disconnected', reason: 'gateway_unreachable' },
    { time: iso(started - 15 * MINUTE), status: 'starting', reason: 'connecting' },
    { time: iso(started - 14.6 * MINUTE), status: 'connected', reason: null },
  ]
  if (status !== 'connected') link.push({ time: iso(started - 4 * MINUTE), status, reason })
  const symbols = [...market.books.keys()]
  const gap = (symbol, start, end, why, filled) => ({
    symbol,
    start: iso(started - start * MINUTE),
    end: end === null ? null : iso(started - end * MINUTE),
    reason: why,
    filled,
  })
  const gaps = [
    ...symbols.slice(0, 6).map((symbol) => gap(symbol, 38, 34, 'farm_down', true)),
    ...symbols.map((symbol) => gap(symbol, 19, 15, 'gateway_unreachable', false)),
  ]
  if (name === 'mixed') gaps.push(gap(symbols[5], 4, null, 'farm_down', false))
  void now
  return { gaps, link }
}
