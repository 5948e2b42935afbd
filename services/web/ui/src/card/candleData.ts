// Candles as the chart draws them, and what it says of them in words. Pure.

import type { Candle } from '@ibstream/client'

export type Interval = Candle['interval']

export const INTERVALS: readonly Interval[] = ['1s', '5s', '1m', '5m', '15m', '1h', '1d']

/** Kept in the picture; older ones leave it. */
export const MOST_CANDLES = 3_000
const WHOLE = 0.995 // of an interval: less is shaded

/** Those known with those that came: the newer word counts, in order of time. */
export function merged(known: readonly Candle[], came: readonly Candle[]): readonly Candle[] {
  const first = came[0]
  if (!first) return known
  const before = known.filter((candle) => candle.start < first.start)
  return [...before, ...came].slice(-MOST_CANDLES)
}

/** Those known with one that was pushed, in its place by time. */
export function updated(known: readonly Candle[], candle: Candle): readonly Candle[] {
  const after = known.findLastIndex((one) => one.start < candle.start) + 1
  const same = known[after]?.start === candle.start ? 1 : 0
  return [...known.slice(0, after), candle, ...known.slice(after + same)].slice(-MOST_CANDLES)
}

/** Whether part of its time was blind. Of one under way, the part that is over counts. */
export function isBlind(candle: Candle): boolean {
  return candle.coverage < WHOLE && (candle.blind?.length ?? 0) > 0
}

/** Whether prices of it are from IB's history. */
export function isFilled(candle: Candle): boolean {
  return (candle.filled ?? 0) > 0
}

export function hasPrices(
  candle: Candle,
): candle is Candle & { open: number; high: number; low: number; close: number } {
  return candle.open != null && candle.high != null && candle.low != null && candle.close != null
}

/** Seconds since 1970 at which it begins. */
export function timeOf(candle: Candle): number {
  return Date.parse(candle.start) / 1000
}

/** First, last, lowest and highest price; undefined without any. */
export function summaryOf(
  candles: readonly Candle[],
): { first: number; last: number; low: number; high: number } | undefined {
  const priced = candles.filter(hasPrices)
  const [first, last] = [priced[0], priced.at(-1)]
  if (!first || !last) return undefined
  return {
    first: first.open,
    last: last.close,
    low: priced.reduce((low, candle) => Math.min(low, candle.low), first.low),
    high: priced.reduce((high, candle) => Math.max(high, candle.high), first.high),
  }
}
