// The geometry of strip, sparkline and chart.

import { describe, expect, it } from 'vitest'
import { columnsOf, follow, spansOf, summaryOf } from '../../src/card/chartData'
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

describe('the chart', () => {
  const gaps = [{ symbol: 'SPY', start: at(30), end: at(60), reason: 'farm_down', filled: false }]

  it('breaks the line in a gap, though its ends were noticed late', () => {
    const points = [10, 20, 28, 61, 70].map((time) => ({ time: at(time), price: time, source: null }))
    const [times, streamed] = columnsOf(points, spansOf(gaps, 'SPY', 100))
    expect(times).toEqual([10, 20, 28, 44.5, 61, 70])
    expect(streamed).toEqual([10, 20, 28, null, 61, 70])
  })

  it('does not break it for another symbol, nor where prices came all the same', () => {
    expect(spansOf(gaps, 'QQQ', 100)).toEqual([])
    const points = [31, 40, 50, 59].map((time) => ({ time: at(time), price: time, source: null }))
    expect(
      columnsOf(
        points,
        spansOf([{ ...gaps[0], symbol: 'SPY', end: at(32) } as (typeof gaps)[0]], 'SPY', 100),
      )[1],
    ).not.toContain(null)
  })

  it('follows live prices without growing by one a tick', () => {
    const columns = columnsOf([{ time: at(100), price: 1, source: null }], [])
    for (let i = 1; i <= 1000; i++) follow(columns, 100 + i / 10, i, false, 5)
    expect(columns[0].length).toBeLessThan(30)
    expect(columns[0].at(-1)).toBe(200)
    expect(columns[1].at(-1)).toBe(1000)
    expect(new Set(columns.map(({ length }) => length)).size).toBe(1)
    follow(columns, 150, 7, false, 5)
    expect(columns[1].at(-1)).toBe(1000)
  })

  it('draws history bars apart from streamed prices', () => {
    const columns = columnsOf(
      [
        { time: at(1), price: 5, source: 'ib_history' },
        { time: at(2), price: 7, source: 'ib_stream' },
      ],
      [],
    )
    expect(columns).toEqual([
      [1, 2],
      [null, 7],
      [5, null],
    ])
    expect(summaryOf(columns)).toEqual({ first: 5, last: 7, low: 5, high: 7 })
    expect(summaryOf([[], [], []])).toBeUndefined()
  })
})
