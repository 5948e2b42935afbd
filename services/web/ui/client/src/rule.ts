// The rule by which a price is given or refused: it may be used if now is before its `good_until`. Pure.

import { type IbstreamError, StalePrice, StreamStopped } from './errors.js'
import type { PriceSource, Quote } from './index.js'

/** What a caller asks of a price beyond its being vouched for. */
export interface Wishes {
  /** Seconds since the price was received, at most (a quiet symbol's price may be older and good). */
  maxAge?: number
  /** Which sources will do. Default: any that is vouched for. */
  sources?: Iterable<PriceSource>
}

/** Milliseconds: no writer vouches for longer. A `good_until` further ahead means that a clock was set back since. */
const LONGEST_SPAN_MS = 60_000
const MARGIN_MS = 500 // two clocks are never quite the same
const STOPPED = new Set(['stopped', 'shutdown']) // reasons that mean that nobody wants the stream

/** Its `good_until` in UTC milliseconds; undefined without one, or without one that can be read. */
export function moment(vouched: { good_until?: string | null }): number | undefined {
  const time = Date.parse(vouched.good_until ?? '')
  return Number.isNaN(time) ? undefined : time
}

/** Whether `now` (UTC milliseconds) is before `until`, and that not further ahead than any writer vouches. */
export function isGood(until: number | undefined, now: number): boolean {
  return until !== undefined && now < until && until <= now + LONGEST_SPAN_MS + MARGIN_MS
}

/** Why this quote may not be used at `now` (UTC milliseconds of the server); undefined when it may. */
export function refusal(
  quote: Quote,
  now: number,
  { maxAge, sources }: Wishes = {},
): IbstreamError | undefined {
  const received = Date.parse(quote.timestamp ?? '')
  const age = Number.isNaN(received) ? undefined : (now - received) / 1000
  const old = age === undefined ? '' : ` (received ${age.toFixed(1)} s ago)`
  const source = quote.source ?? undefined
  const refused = (said: string, reason: string, kind: typeof IbstreamError = StalePrice) =>
    new kind(`${quote.symbol}: ${said}`, reason, { age, source })

  if (quote.stale !== false) {
    const reason = quote.reason ?? 'stale'
    return refused(
      `the price is stale: ${reason}${old}`,
      reason,
      STOPPED.has(reason) ? StreamStopped : StalePrice,
    )
  }
  const until = moment(quote)
  if (!isGood(until, now)) {
    if (until !== undefined && now < until) {
      return refused(`good_until is ${quote.good_until}, too far ahead: a clock was set back`, 'clock')
    }
    return refused(`nobody vouches for the price any more${old}`, 'expired')
  }
  if (maxAge !== undefined && received > now + MARGIN_MS) {
    return refused(`it was received at ${quote.timestamp}, in the future: a clock was set back`, 'clock')
  }
  if (maxAge !== undefined && !(age !== undefined && age <= maxAge)) {
    return refused(`the price is older than ${maxAge} s${old}`, 'too_old')
  }
  if (sources !== undefined) {
    const wanted: string[] = [...sources].sort()
    if (source === undefined || !wanted.includes(source)) {
      return refused(`the price comes from ${source}, not from ${wanted.join(', ')}`, 'source')
    }
  }
  return undefined
}

/** The same quote as a follower is given it once its time is over. */
export function expired(quote: Quote): Quote {
  return { ...quote, stale: true, reason: 'expired', good_until: null }
}
