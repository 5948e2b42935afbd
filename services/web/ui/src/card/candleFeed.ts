// Keeps one symbol's candles up to date: the past is asked for, what follows is pushed in the event stream, and what
// may have been missed meanwhile (a line that broke, a subscription that came late) is asked for again. Nothing polls.

import type { Candle, CandlesView } from '@ibstream/client'
import { merged, updated } from './candleData'

export interface CandleEar {
  take(candles: readonly Candle[]): void
  /** The stream was opened: what came while it was not is to be asked for. */
  lookBack(): void
  /** They are not pushed after all. */
  refused(): void
}

export interface CandleSource {
  ask(from: string | undefined): Promise<CandlesView>
  follow(ear: CandleEar): () => void
}

export interface CandleNews {
  candles: readonly Candle[]
  load: 'loading' | 'ready' | 'failed'
  /** Whether what follows comes by itself. */
  live: boolean
}

const AGAIN_MS = 5_000 // after a question that failed
const SETTLE_MS = 2_000 // after its end, for the last word on a candle to come

/** Calls `tell` with all candles whenever there is something new; the function returned ends it. */
export function feedCandles(source: CandleSource, tell: (news: CandleNews) => void): () => void {
  let known: readonly Candle[] = []
  let live = false
  let closed = false
  let asking = false
  let askAgain = false
  let meanwhile: Candle[] = [] // pushed while a question is under way: newer than its answer
  let leave: (() => void) | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  const say = (load: CandleNews['load']) => tell({ candles: known, load, live })

  const ear: CandleEar = {
    take(candles) {
      if (asking) meanwhile.push(...candles)
      known = candles.reduce(updated, known)
      say('ready')
      if (known.slice(0, -1).some((candle) => !candle.complete)) later(SETTLE_MS)
    },
    lookBack: () => void look(),
    refused() {
      live = false
      say('ready')
    },
  }

  function later(ms: number): void {
    timer ??= setTimeout(() => {
      timer = undefined
      if (ms !== SETTLE_MS || known.slice(0, -1).some((candle) => !candle.complete)) void look()
    }, ms)
  }

  async function look(): Promise<void> {
    askAgain = asking
    if (asking) return
    asking = true
    meanwhile = []
    try {
      const unsettled = known.find((candle) => !candle.complete)
      const answer = await source.ask(known.length === 0 ? undefined : (unsettled ?? known.at(-1))?.start)
      if (closed) return
      known = meanwhile.reduce(updated, merged(known, answer.candles ?? []))
      live = answer.live ?? false
      say('ready')
      if (live && !leave) leave = source.follow(ear)
      if (answer.more && answer.candles.length > 1) askAgain = true
    } catch {
      if (closed) return
      if (known.length === 0) say('failed')
      else later(AGAIN_MS)
    } finally {
      asking = false
    }
    if (askAgain && !closed) await look()
  }

  say('loading')
  void look()
  return () => {
    closed = true
    clearTimeout(timer)
    leave?.()
  }
}
