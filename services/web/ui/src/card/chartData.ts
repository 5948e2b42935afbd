// Prices as columns for the chart, and what the chart says in words. Pure.

import type { Gap, HistoryPoint } from '@ibstream/client'

/** Seconds; prices that came as a stream; prices from history bars. A null breaks the line. */
export type Columns = [times: number[], streamed: (number | null)[], history: (number | null)[]]

const SHORTEST_BREAK = 2

export interface Span {
  start: number // seconds
  end: number
}

/** Gaps of `symbol`, in seconds; one that is still open ends at `now`. */
export function spansOf(gaps: readonly Gap[], symbol: string, now: number): Span[] {
  return gaps
    .filter((gap) => gap.symbol === symbol)
    .map((gap) => ({
      start: Date.parse(gap.start) / 1000,
      end: (gap.end ? Date.parse(gap.end) : now) / 1000,
    }))
}

/** Points in order of time. The streamed line is broken where a gap lies between two points. */
export function columnsOf(points: readonly HistoryPoint[], spans: readonly Span[]): Columns {
  const columns: Columns = [[], [], []]
  let before = Number.NEGATIVE_INFINITY
  for (const point of points) {
    const time = Date.parse(point.time) / 1000
    if (Number.isNaN(time) || time < before) continue
    if (spans.some((span) => isMostly(span, before, time))) push(columns, (before + time) / 2, null, null)
    const history = point.source === 'ib_history'
    push(columns, time, history ? null : point.price, history ? point.price : null)
    before = time
  }
  return columns
}

/** Whether most of the time between two points is a gap. Its ends are noticed a little late. */
function isMostly(span: Span, before: number, time: number): boolean {
  const covered = Math.min(time, span.end) - Math.max(before, span.start)
  return time - before > SHORTEST_BREAK && covered > (time - before) / 2
}

/** Adds a live price: a new point once `step` seconds are over, until then the newest one moves. */
export function follow(columns: Columns, time: number, price: number, history: boolean, step: number): void {
  const [times, streamed, bars] = columns
  const end = times.length - 1
  const [streamedPrice, barPrice] = history ? [null, price] : [price, null]
  if (time <= (times[end] ?? 0)) return
  if (end > 0 && time - (times[end - 1] ?? 0) < step) {
    times[end] = time
    streamed[end] = streamedPrice
    bars[end] = barPrice
  } else {
    push(columns, time, streamedPrice, barPrice)
  }
}

export function push(columns: Columns, time: number, streamed: number | null, history: number | null): void {
  columns[0].push(time)
  columns[1].push(streamed)
  columns[2].push(history)
}

/** First, last, lowest and highest price; undefined without any. */
export function summaryOf(
  columns: Columns,
): { first: number; last: number; low: number; high: number } | undefined {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  let first: number | undefined
  let last: number | undefined
  columns[1].forEach((streamed, i) => {
    const price = streamed ?? columns[2][i]
    if (price == null) return
    first ??= price
    last = price
    low = Math.min(low, price)
    high = Math.max(high, price)
  })
  return first === undefined || last === undefined ? undefined : { first, last, low, high }
}
