// The last minutes of each symbol: what was seen live, behind the past that is asked for once its row came into view.

import { type Api, ApiError, type Quote, type SparklineSeries } from '@ibstream/client'
import { BUCKET_MS, BUCKETS, priceOf, SERIES_MINUTES, Series } from './series'

const SEEDS_AT_ONCE = 200 // symbols in a request: as many as the backend allows
const SEED_MS = 50 // for the other rows that came into view as well
const SEED_AGAIN_MS = 5_000 // after a failure
const LEAST_SPAN = 12 // steps of a sparkline

export class Sparklines {
  private readonly api: Api
  private readonly changed: (symbol: string) => void
  private readonly series = new Map<string, Series>()
  private readonly dirty = new Set<string>()
  private readonly wanted = new Set<string>()
  private readonly seeded = new Set<string>()
  private seeding: ReturnType<typeof setTimeout> | undefined
  private firstBucket = Number.POSITIVE_INFINITY

  /** `changed` is called for a symbol whose picture is another. */
  constructor(api: Api, changed: (symbol: string) => void) {
    this.api = api
    this.changed = changed
  }

  /** What a sparkline shows; nothing before its past is known: a line that grows from one point misleads. */
  samples(symbol: string): Series['samples'] | undefined {
    return this.seeded.has(symbol) ? this.series.get(symbol)?.samples : undefined
  }

  /** How many steps the sparklines span: all of them, or as many as there were since the first price. */
  span(now: number): number {
    return Math.min(BUCKETS, Math.max(LEAST_SPAN, Math.floor(now / BUCKET_MS) - this.firstBucket))
  }

  /** A row came into view: fetch the minutes before this page was opened, for all such rows at once. */
  want(symbol: string): void {
    if (this.seeded.has(symbol)) return
    this.wanted.add(symbol)
    this.seeding ??= setTimeout(() => void this.seed(), SEED_MS)
  }

  add(quote: Quote): void {
    const price = priceOf(quote)
    const time = Date.parse(quote.timestamp ?? '')
    if (price === undefined || Number.isNaN(time)) return
    const series = this.of(quote.symbol)
    if (series.add(time, price)) this.dirty.add(quote.symbol)
    this.noteFirst(series)
  }

  /** Tell of all that changed since the last call. */
  beat(): void {
    for (const symbol of this.dirty) this.changed(symbol)
    this.dirty.clear()
  }

  close(): void {
    clearTimeout(this.seeding)
    this.seeding = undefined
  }

  /** Fetches the past of all symbols that wait for it, in one request. */
  private async seed(): Promise<void> {
    const symbols = [...this.wanted].slice(0, SEEDS_AT_ONCE)
    let pause = SEED_MS
    try {
      const found = new Map(
        (await this.api.sparklines(symbols, SERIES_MINUTES)).map((one) => [one.symbol, one]),
      )
      for (const symbol of symbols) this.takePast(symbol, found.get(symbol))
    } catch (error) {
      if (!(error instanceof ApiError)) throw error // the connection's state tells the others
      pause = SEED_AGAIN_MS
    }
    this.seeding = this.wanted.size > 0 ? setTimeout(() => void this.seed(), pause) : undefined
  }

  private takePast(symbol: string, past: SparklineSeries | undefined): void {
    const series = this.of(symbol)
    if (past) series.seed(past)
    this.noteFirst(series)
    this.wanted.delete(symbol)
    this.seeded.add(symbol)
    this.changed(symbol)
  }

  private of(symbol: string): Series {
    const series = this.series.get(symbol) ?? new Series()
    this.series.set(symbol, series)
    return series
  }

  private noteFirst(series: Series): void {
    this.firstBucket = Math.min(this.firstBucket, series.samples[0]?.bucket ?? this.firstBucket)
  }
}
