// One symbol's candles with their volume: the past from the backend, and those to come as they are pushed. Where the
// price could not be trusted the ground is shaded, what IB's history filled is hollow, and simulated prices are
// marked as such across the picture.

import type { Candle } from '@ibstream/client'
import { memo, useEffect, useMemo, useState } from 'react'
import styles from './CandleChart.module.css'
import { CandlePlot } from './CandlePlot'
import { INTERVALS, type Interval, isBlind, isFilled, summaryOf } from './candleData'
import { type CandleNews, feedCandles } from './candleFeed'
import { useCard, useStore } from './hooks'
import { type Memory, useRemembered } from './memory'
import shared from './shared.module.css'
import { fill, word } from './strings'

interface CandleChartProps {
  symbol: string
  decimals: number
  memory: Memory | undefined
}

/** Its own candles make it new, not each of the symbol's prices. */
export const CandleChart = memo(function CandleChart({ symbol, decimals, memory }: CandleChartProps) {
  const { strings, format } = useCard()
  const [interval, setInterval] = useRemembered(memory, 'interval', asInterval, '1m')
  const { candles, load, live, retry } = useCandles(symbol, interval)
  const [pointed, setPointed] = useState<Candle>()
  const mock = useStore(`quote:${symbol}`, (s) => s.quote(symbol)?.source === 'mock')
  const read = pointed ?? candles.at(-1)
  const summary = useMemo(() => summaryOf(candles), [candles])
  const label = summary
    ? fill(strings.chart.label, {
        symbol,
        interval: word(strings.chart.intervals, interval),
        count: format.count(candles.length),
        first: format.price(summary.first, decimals),
        last: format.price(summary.last, decimals),
        low: format.price(summary.low, decimals),
        high: format.price(summary.high, decimals),
      })
    : fill(strings.chart.labelEmpty, { symbol, interval: word(strings.chart.intervals, interval) })

  return (
    <div className={styles.chart}>
      <div className={styles.bar}>
        <fieldset className={styles.ranges}>
          <legend className={shared.srOnly}>{strings.chart.interval}</legend>
          {INTERVALS.map((choice) => (
            <button
              key={choice}
              type="button"
              aria-pressed={choice === interval}
              onClick={() => {
                setPointed(undefined)
                setInterval(choice)
              }}
            >
              {word(strings.chart.intervals, choice)}
            </button>
          ))}
        </fieldset>
        {load === 'loading' && <span className={styles.note}>{strings.chart.loading}</span>}
        {load === 'ready' && !summary && <span className={styles.note}>{strings.chart.empty}</span>}
        {(load === 'failed' || (load === 'ready' && !live)) && (
          <span className={styles.note} title={load === 'failed' ? undefined : strings.chart.stillHelp}>
            {load === 'failed' ? strings.chart.failed : strings.chart.still}{' '}
            <button type="button" className={shared.link} onClick={retry}>
              {strings.chart.retry}
            </button>
          </span>
        )}
        <a className={styles.by} href="https://www.tradingview.com/" target="_blank" rel="noreferrer">
          {strings.chart.by}
        </a>
      </div>
      <Readout candle={read} decimals={decimals} daily={interval === '1d'} />
      <div className={styles.frame} role="img" aria-label={label}>
        {mock && (
          <span className={styles.mark} aria-hidden="true">
            {strings.chart.mark}
          </span>
        )}
        <CandlePlot
          key={`${symbol} ${interval}`}
          candles={candles}
          decimals={decimals}
          seconds={interval.endsWith('s')}
          daily={interval === '1d'}
          onPoint={setPointed}
        />
      </div>
    </div>
  )
})

/** The numbers of the candle under the pointer, or of the newest. */
function Readout({
  candle,
  decimals,
  daily,
}: {
  candle: Candle | undefined
  decimals: number
  daily: boolean
}) {
  const { strings, format } = useCard()
  if (!candle) return <p className={styles.readout}>&nbsp;</p>
  const { chart } = strings
  const price = (value: number | null | undefined) => format.price(value, decimals)
  const when = Date.parse(candle.start)
  const numbers: [string, string][] = [
    [chart.open, price(candle.open)],
    [chart.high, price(candle.high)],
    [chart.low, price(candle.low)],
    [chart.close, price(candle.close)],
    [chart.volume, format.volume(candle.volume)],
    [chart.vwap, price(candle.vwap)],
  ]
  const blind = candle.blind ?? []
  return (
    <p className={styles.readout} data-blind={isBlind(candle)}>
      <b>{daily ? (candle.session ?? candle.start.slice(0, 10)) : format.clock(when)}</b>
      {numbers.map(([name, value]) => (
        <span key={name}>
          {name} <b>{value}</b>
        </span>
      ))}
      {isBlind(candle) && (
        <span className={styles.blind}>
          {fill(chart.coverage, { percent: format.count(Math.floor(candle.coverage * 100)) })}{' '}
          {word(strings.reason, blind[0]?.reason ?? '')}
        </span>
      )}
      {isFilled(candle) && <span className={styles.blind}>{chart.filled}</span>}
    </p>
  )
}

const NO_CANDLES: CandleNews = { candles: [], load: 'loading', live: false }

/** The candles of a symbol, kept up to date while they are shown. */
function useCandles(symbol: string, interval: Interval) {
  const { api, store } = useCard()
  const [news, setNews] = useState(NO_CANDLES)
  const [attempt, setAttempt] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` asks again
  useEffect(
    () =>
      feedCandles(
        {
          ask: (from) => api.candles(symbol, interval, from === undefined ? {} : { from }),
          follow: (ear) => store.candles.follow(`${interval}.${symbol}`, ear),
        },
        setNews,
      ),
    [api, store, symbol, interval, attempt],
  )
  return { ...news, retry: () => setAttempt((n) => n + 1) }
}

function asInterval(kept: unknown): Interval | undefined {
  return INTERVALS.find((interval) => interval === kept)
}
