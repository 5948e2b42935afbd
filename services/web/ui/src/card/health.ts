// What a person may believe: the card's own word for the whole, each symbol's state, and where a price is from.
// Pure functions of what was received, so that the table, the chart and the tests say the same.

import type { ConnectionState, MarketDataType, Quote, Status, SymbolStatus } from '@ibstream/client'

/** The words of the status, and four that only somebody outside can say. */
export type Health = Status['status'] | 'loading' | 'away' | 'silent' | 'denied'
export type Tone = 'good' | 'warn' | 'bad' | 'idle' | 'busy'

/** A status this old is no longer news: the supervisor publishes at least once a second. */
export const SILENT_SECONDS = 5

const REFUSED = new Set(['unauthorized', 'forbidden'])

/** `good`: the status may still be believed. */
export function healthOf(connection: ConnectionState, status: Status | undefined, good: boolean): Health {
  if (connection.phase === 'away') return REFUSED.has(connection.code) ? 'denied' : 'away'
  if (!status) return 'loading'
  if (!told(status) && !good) return 'silent'
  return status.status
}

/** The backend has noticed by itself that nobody writes the status any more, and says so in it. */
function told(status: Status): boolean {
  return status.reason === 'service_down' || status.reason === 'shutdown'
}

/** Seconds since the last heartbeat; 0 while there was none yet. */
export function heartbeatAge(status: Status | undefined, nowMs: number): number {
  return status?.last_heartbeat ? Math.max(0, ageOf(status.last_heartbeat, nowMs)) : 0
}

export function ageOf(time: string, nowMs: number): number {
  return (nowMs - Date.parse(time)) / 1000
}

export const TONE: Record<Health, Tone> = {
  connected: 'good',
  degraded: 'warn',
  disconnected: 'bad',
  starting: 'busy',
  stopped: 'idle',
  loading: 'busy',
  away: 'bad',
  silent: 'bad',
  denied: 'bad',
}

export const STATE_TONE: Record<string, Tone> = {
  live: 'good',
  quiet: 'good',
  closed: 'idle',
  pending: 'busy',
  delayed: 'warn',
  snapshot: 'warn',
  over_limit: 'warn',
  halted: 'warn',
  history: 'warn',
  stale: 'bad',
  rejected: 'bad',
  away: 'bad',
  expired: 'bad',
}

/** States that promise a current price. */
const CURRENT = new Set(['live', 'quiet', 'closed', 'delayed', 'snapshot'])

/**
 * The state to show: the pipeline's own word, overruled by what makes the price untrustworthy. `good`: somebody
 * vouches for the price at this moment.
 */
export function rowState(
  state: SymbolStatus | undefined,
  quote: Quote | undefined,
  contact: boolean,
  good: boolean,
): string {
  if (!contact) return 'away'
  if (!quote) return state?.state ?? 'unknown'
  if (!good && !quote.stale) return 'expired'
  const word = state?.state ?? 'live'
  return quote.stale && CURRENT.has(word) ? 'stale' : word
}

export type SourceKind =
  | 'ib_stream'
  | 'ib_snapshot'
  | 'ib_history'
  | 'mock'
  | 'delayed'
  | 'frozen'
  | 'delayed_frozen'
  | 'none'

/** Where the shown price comes from. What was delivered counts more than the way it came. */
export function sourceOf(quote: Quote | undefined): SourceKind {
  if (!quote?.source) return 'none'
  if (quote.source !== 'ib_stream') return quote.source
  const type = quote.market_data_type
  return type && type !== 'realtime' ? type : 'ib_stream'
}

/** The data type that goes beside a source that does not say it (a simulated delayed price is both). */
export function alsoType(quote: Quote | undefined): Exclude<MarketDataType, 'realtime'> | undefined {
  const type = quote?.market_data_type
  if (!type || type === 'realtime' || quote?.source === 'ib_stream') return undefined
  return type
}
