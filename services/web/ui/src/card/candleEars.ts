// Which candles the event stream brings, and to whom: each open chart is an ear. The stream's address names them all, so
// it is opened anew when they change.

import type { Candle } from '@ibstream/client'
import type { CandleEar } from './candleFeed'

const CHANGE_MS = 50 // after a chart was opened or closed, for others that are too

export class CandleEars {
  private readonly ears = new Map<string, Set<CandleEar>>() // by `{interval}.{SYMBOL}`
  private readonly change: () => void
  private changing: ReturnType<typeof setTimeout> | undefined

  /** `change` is called when other candles are wanted: once for all charts that are opened and closed together. */
  constructor(change: () => void) {
    this.change = change
  }

  names(): Iterable<string> {
    return this.ears.keys()
  }

  /** Have the candles `{interval}.{SYMBOL}` pushed; the function returned ends it. */
  follow(name: string, ear: CandleEar): () => void {
    const ears = this.ears.get(name) ?? new Set()
    if (ears.size === 0) this.changed()
    this.ears.set(name, ears.add(ear))
    return () => {
      ears.delete(ear)
      if (ears.size > 0 || this.ears.get(name) !== ears) return
      this.ears.delete(name)
      this.changed()
    }
  }

  take(candles: readonly Candle[]): void {
    for (const [name, ears] of this.ears) {
      const own = candles.filter((candle) => `${candle.interval}.${candle.symbol}` === name)
      if (own.length > 0) for (const ear of ears) ear.take(own)
    }
  }

  /** The stream was opened: some may be missing. */
  lookBack(): void {
    for (const ears of this.ears.values()) for (const ear of ears) ear.lookBack()
  }

  /** The backend does not push some of them, perhaps since it was started anew: prices are not to miss for it. */
  leave(): void {
    const all = [...this.ears.values()].flatMap((ears) => [...ears])
    this.ears.clear()
    for (const ear of all) ear.refused()
  }

  close(): void {
    clearTimeout(this.changing)
  }

  private changed(): void {
    clearTimeout(this.changing)
    this.changing = setTimeout(this.change, CHANGE_MS)
  }
}
