// The geometry of strip, sparkline and chart.

import type { Candle } from '@ibstream/client'
import { describe, expect, it } from 'vitest'
import { isBlind, isFilled, MOST_CANDLES, merged, summaryOf } from '../../src/card/candleData'
import { pictureOf } from '../../src/card/Sparkline'
import { BUCKET_MS, BUCKETS, priceOf, Series } from '../../src/card/series'
import { gapGroupsOf, segmentsOf, sharesOf } from '../../src/card/strip'
import { quoteOf } from './backend'

const at = (seconds: number) => new Date(seconds * 1000).toISOString()

describe('the link history', () => {
  const link = [
    { time: at(20), status: 'connected', reason: null },
    { time: at(60), status: 'degraded', reason: 'farm_down' },
    { time: at(80), status: 'connected', reason: null },
  ]

  it('says what held when, and that it knows nothing of before', () => {
    const segments = segmentsOf(link, 0, 100_000)
    expect(segments.map(({ status, start, end }) => [status, start / 1000, end / 1000])).toEqual([
      ['unknown', 0, 20],
      ['connected', 20, 60],
      ['degraded', 60, 80],
      ['connected', 80, 100],
    ])
    expect(segments.at(-1)?.ongoing).toBe(true)
    expect(sharesOf(segments)).toEqual([
      ['connected', 75],
      ['degraded', 25],
    ])
    expect(sharesOf(segmentsOf([], 0, 1))).toEqual([])
  })

  it('shows the status that held when the window opened', () => {
    expect(segmentsOf(link, 70_000, 100_000).map(({ status }) => status)).toEqual(['degraded', 'connected'])
  })

  it('claims nothing for the time without contact', () => {
    const last = segmentsOf(link, 0, 100_000, 90_000).at(-1)
    expect(last).toMatchObject({ status: 'unknown', start: 90_000, end: 100_000 })
  })

  it('puts gaps of one cause together, and keeps those outside away', () => {
    const groups = gapGroupsOf(
      [
        { symbol: 'SPY', start: at(10), end: at(20), reason: 'farm_down', filled: true },
        { symbol: 'QQQ', start: at(11), end: at(20), reason: 'farm_down', filled: true },
        { symbol: 'AAPL', start: at(15), end: null, reason: 'no_ticks', filled: false },
        { symbol: 'OLD', start: at(-90), end: at(-80), reason: 'no_ticks', filled: false },
      ],
      0,
      100_000,
    )
    expect(groups.map(({ symbols, ongoing }) => [symbols, ongoing])).toEqual([
      [['SPY', 'QQQ'], false],
      [['AAPL'], true],
    ])
    expect(groups[1]?.end).toBe(100_000)
  })
})

describe('the sparkline', () => {
  it('keeps a bounded number of even steps, the last price of each', () => {
    const series = new Series()
    for (let i = 0; i < BUCKETS * 3; i++) series.add(i * BUCKET_MS, i)
    expect(series.samples).toHaveLength(BUCKETS)
    const last = BUCKETS * 3 - 1
    expect(series.add(last * BUCKET_MS + 1, 9)).toBe(true)
    expect(series.add(last * BUCKET_MS + 2, 9)).toBe(false)
    expect(series.add(0, 5)).toBe(false)
    expect(series.samples.at(-1)?.price).toBe(9)
  })

  it('puts history before what came live', () => {
    const series = new Series()
    series.add(100 * BUCKET_MS, 7)
    series.seed({
      times: [98, 100, 100 - BUCKETS].map((bucket) => (bucket * BUCKET_MS) / 1000),
      prices: [5, 6, 1],
    })
    expect(series.samples.map(({ price }) => price)).toEqual([5, 7])
  })

  it('draws nothing from a price or two, and a flat line from a still one', () => {
    const still = [1, 2, 3].map((bucket) => ({ bucket, price: 5 }))
    expect(pictureOf(still.slice(0, 1))).toBeUndefined()
    expect(pictureOf(still.slice(0, 2))).toBeUndefined()
    const flat = pictureOf(still)
    expect(flat?.moved).toBe(0)
    expect(flat?.line).not.toContain('NaN')
  })

  it('falls back to the middle of bid and ask', () => {
    expect(priceOf(quoteOf('SPY', 5))).toBe(5)
    expect(priceOf(quoteOf('EUR.USD', 5, { last: undefined, bid: 1, ask: 3 }))).toBe(2)
    expect(priceOf(quoteOf('SPY', 5, { last: null, bid: null }))).toBeUndefined()
  })
})

describe('the candles', () => {
  const candle = (start: number, more: Partial<Candle> = {}): Candle => ({
    symbol: 'SPY',
    interval: '1m',
    start: at(start),
    end: at(start + 60),
    open: 10,
    high: 12,
    low: 9,
    close: 11,
    coverage: 1,
    complete: true,
    ...more,
  })

  it('the newer word of an interval counts, and nothing of before is lost', () => {
    const known = [candle(0), candle(60), candle(120, { complete: false })]
    const came = [candle(120, { close: 20 }), candle(180)]
    expect(merged(known, came).map((one) => [one.start, one.close])).toEqual([
      [at(0), 11],
      [at(60), 11],
      [at(120), 20],
      [at(180), 11],
    ])
    expect(merged(known, [])).toBe(known)
    const many = Array.from({ length: MOST_CANDLES }, (_, n) => candle(1000 + n))
    expect(merged([candle(0)], many)).toHaveLength(MOST_CANDLES)
  })

  it('says first, last, lowest and highest, and passes over those without prices', () => {
    const unseen = candle(60, { open: null, high: null, low: null, close: null, coverage: 0 })
    expect(summaryOf([candle(0), unseen, candle(120, { close: 13, high: 14 })])).toEqual({
      first: 10,
      last: 13,
      low: 9,
      high: 14,
    })
    expect(summaryOf([unseen])).toBeUndefined()
  })

  it('tells what was blind from what has not happened yet', () => {
    expect(isBlind(candle(0))).toBe(false)
    expect(isBlind(candle(0, { coverage: 0.4, complete: false }))).toBe(false)
    expect(isBlind(candle(0, { coverage: 0.4, blind: [{ reason: 'farm_down', seconds: 36 }] }))).toBe(true)
    expect([isFilled(candle(0)), isFilled(candle(0, { filled: 30 }))]).toEqual([false, true])
  })
})
