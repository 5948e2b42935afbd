import type { Candle, CandlesView } from '@ibstream/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type CandleEar, type CandleNews, feedCandles } from '../../src/card/candleFeed'

const at = (minute: number) => new Date(Date.UTC(2026, 0, 5, 14, minute)).toISOString()

function candle(minute: number, close: number, complete = true): Candle {
  return {
    symbol: 'SPY',
    interval: '1m',
    start: at(minute),
    end: at(minute + 1),
    close,
    coverage: 1,
    complete,
  } as Candle
}

/** A feed from a backend of which each test says what it answers. */
function rig({ live = true } = {}) {
  const asked: (string | undefined)[] = []
  const waiting: ((candles: Candle[] | Error) => void)[] = []
  const ears = new Set<CandleEar>()
  const heard: CandleNews[] = []
  const close = feedCandles(
    {
      ask: (from) => {
        asked.push(from)
        return new Promise<CandlesView>((resolve, reject) => {
          waiting.push((found) =>
            found instanceof Error
              ? reject(found)
              : resolve({ symbol: 'SPY', interval: '1m', candles: found, more: false, note: null, live }),
          )
        })
      },
      follow: (ear) => {
        ears.add(ear)
        return () => void ears.delete(ear)
      },
    },
    (news) => heard.push(news),
  )
  const answer = async (candles: Candle[] | Error) => {
    waiting.shift()?.(candles)
    await vi.advanceTimersByTimeAsync(0)
  }
  const ear = () => [...ears][0] as CandleEar
  const shown = () => heard.at(-1)?.candles.map((one) => [one.start, one.close])
  return { asked, heard, ears, close, answer, ear, shown }
}

describe('the candles of an open chart', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('are asked for once, and pushed from then on', async () => {
    const feed = rig()
    await feed.answer([candle(0, 10), candle(1, 11, false)])
    feed.ear().take([candle(1, 12, false)])
    feed.ear().take([candle(1, 13), candle(2, 14, false)])
    expect(feed.shown()).toEqual([
      [at(0), 10],
      [at(1), 13],
      [at(2), 14],
    ])
    await vi.advanceTimersByTimeAsync(600_000)
    expect(feed.asked).toEqual([undefined])
    expect(feed.heard.at(-1)).toMatchObject({ load: 'ready', live: true })
    feed.close()
    expect(feed.ears.size).toBe(0)
  })

  it('are asked for again from the last one that was not over, when the stream was opened anew', async () => {
    const feed = rig()
    await feed.answer([candle(0, 10), candle(1, 11, false)])
    feed.ear().lookBack()
    expect(feed.asked).toEqual([undefined, at(1)])
    feed.ear().take([candle(5, 99, false)]) // came while the question was under way: newer than its answer
    await feed.answer([candle(1, 12), candle(3, 13), candle(5, 15, false)])
    expect(feed.shown()).toEqual([
      [at(0), 10],
      [at(1), 12],
      [at(3), 13],
      [at(5), 99],
    ])
    feed.close()
  })

  it('are asked for when the last word on one did not come', async () => {
    const feed = rig()
    await feed.answer([candle(0, 10, false)])
    feed.ear().take([candle(1, 11, false)])
    await vi.advanceTimersByTimeAsync(3_000)
    expect(feed.asked).toEqual([undefined, at(0)])
    feed.close()
  })

  it('are asked for again after a question that failed, but for the first, which a person repeats', async () => {
    const feed = rig()
    await feed.answer(new Error('no'))
    expect(feed.heard.at(-1)?.load).toBe('failed')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(feed.asked.length).toBe(1)
    feed.close()
    const other = rig()
    await other.answer([candle(0, 10)])
    other.ear().lookBack()
    await other.answer(new Error('no'))
    await vi.advanceTimersByTimeAsync(6_000)
    expect(other.asked.length).toBe(3)
    other.close()
  })

  it('stand still, and say so, where they are not published', async () => {
    const feed = rig({ live: false })
    await feed.answer([candle(0, 10)])
    expect(feed.heard.at(-1)).toMatchObject({ load: 'ready', live: false })
    expect(feed.ears.size).toBe(0)
    feed.close()
  })
})
