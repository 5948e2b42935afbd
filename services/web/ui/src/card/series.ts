// The last minutes of one symbol's price in even buckets, for its sparkline: bounded memory, cheap to add to.

import type { Quote, SparklineSeries } from '@ibstream/client'

export const BUCKET_MS = 5_000
export const BUCKETS = 120
export const SERIES_MINUTES = (BUCKET_MS * BUCKETS) / 60_000

export interface Sample {
  bucket: number
  price: number
}

/** Prices by bucket, oldest first, the last one of each bucket. */
export class Series {
  samples: readonly Sample[] = []

  /** Adds a price. Returns whether the picture changed. An older price never replaces a newer one. */
  add(timeMs: number, price: number): boolean {
    const bucket = Math.floor(timeMs / BUCKET_MS)
    const last = this.samples.at(-1)
    if (last && bucket < last.bucket) return false
    if (last && bucket === last.bucket) {
      if (last.price === price) return false
      this.samples = [...this.samples.slice(0, -1), { bucket, price }]
      return true
    }
    const oldest = bucket - BUCKETS
    this.samples = [...this.samples.filter((sample) => sample.bucket > oldest), { bucket, price }]
    return true
  }

  /** Puts history before what was seen live. */
  seed({ times, prices }: Pick<SparklineSeries, 'times' | 'prices'>): void {
    const live = this.samples
    const first = live[0]?.bucket ?? Number.POSITIVE_INFINITY
    const older = new Map<number, number>()
    times.forEach((time, i) => {
      const bucket = Math.floor((time * 1000) / BUCKET_MS)
      const price = prices[i]
      if (bucket < first && price !== undefined) older.set(bucket, price)
    })
    const newest = live.at(-1)?.bucket ?? Math.max(...older.keys())
    this.samples = [...older]
      .filter(([bucket]) => bucket > newest - BUCKETS)
      .sort(([a], [b]) => a - b)
      .map(([bucket, price]) => ({ bucket, price }))
      .concat(live)
  }
}

/** The price that a quote stands for: the last trade, else the middle of bid and ask. */
export function priceOf(quote: Quote | undefined): number | undefined {
  if (!quote) return undefined
  if (quote.last != null) return quote.last
  if (quote.bid != null && quote.ask != null) return (quote.bid + quote.ask) / 2
  return undefined
}
