// One symbol's price over a chosen time: history from the backend, then live from the store. Gaps are hatched,
// history bars drawn dashed, and simulated prices are marked as such across the picture.

import { useCallback, useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import { type Columns, columnsOf, follow, spansOf, summaryOf } from './chartData'
import { chartOptions } from './chartOptions'
import { useCard, useStore } from './hooks'
import styles from './PriceChart.module.css'
import { priceOf } from './series'
import { fill, type Strings } from './strings'

const RANGES = [5, 30, 120, 480] as const
const REDRAW_MS = 500
const LIVE_POINTS = 600 // over the whole width: more could not be told apart

type Load = 'loading' | 'ready' | 'failed'

export function PriceChart({ symbol, decimals }: { symbol: string; decimals: number }) {
  const { store, api, strings, format } = useCard()
  const [minutes, setMinutes] = useState<number>(30)
  const [load, setLoad] = useState<Load>('loading')
  const [attempt, setAttempt] = useState(0)
  const [columns, setColumns] = useState<Columns>([[], [], []])
  const gaps = useStore('record', (s) => s.record.gaps)
  const mock = useStore(`quote:${symbol}`, (s) => s.quote(symbol)?.source === 'mock')

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` asks again
  useEffect(() => {
    let current = true
    setLoad('loading')
    api.history(symbol, minutes).then(
      (points) => {
        if (!current) return
        setColumns(columnsOf(points, spansOf(store.record.gaps, symbol, store.now())))
        setLoad('ready')
      },
      () => current && setLoad('failed'),
    )
    return () => {
      current = false
    }
  }, [api, store, symbol, minutes, attempt])

  const summary = summaryOf(columns)
  const label = summary
    ? fill(strings.chart.label, {
        symbol,
        minutes,
        first: format.price(summary.first, decimals),
        last: format.price(summary.last, decimals),
        low: format.price(summary.low, decimals),
        high: format.price(summary.high, decimals),
      })
    : fill(strings.chart.labelEmpty, { symbol, minutes })

  return (
    <div className={styles.chart}>
      <div className={styles.bar}>
        <fieldset className={styles.ranges}>
          <legend>{strings.chart.range}</legend>
          {RANGES.map((choice) => (
            <button
              key={choice}
              type="button"
              aria-pressed={choice === minutes}
              onClick={() => setMinutes(choice)}
            >
              {rangeText(choice, strings)}
            </button>
          ))}
        </fieldset>
        {load === 'loading' && <span className={styles.note}>{strings.chart.loading}</span>}
        {load === 'failed' && (
          <span className={styles.note}>
            {strings.chart.failed}{' '}
            <button type="button" className={styles.link} onClick={() => setAttempt(attempt + 1)}>
              {strings.chart.retry}
            </button>
          </span>
        )}
        {load === 'ready' && !summary && <span className={styles.note}>{strings.chart.empty}</span>}
      </div>
      <div className={styles.frame} role="img" aria-label={label}>
        {mock && (
          <span className={styles.mark} aria-hidden="true">
            {strings.chart.mark}
          </span>
        )}
        <Plot
          symbol={symbol}
          minutes={minutes}
          decimals={decimals}
          columns={columns}
          spans={spansOf(gaps, symbol, store.now())}
        />
      </div>
    </div>
  )
}

interface PlotProps {
  symbol: string
  minutes: number
  decimals: number
  columns: Columns
  spans: ReturnType<typeof spansOf>
}

/** The canvas: made anew for another picture or theme, fed live outside React's renders. */
function Plot({ symbol, minutes, decimals, columns, spans }: PlotProps) {
  const { store, format } = useCard()
  const box = useRef<HTMLDivElement>(null)
  const latestSpans = useRef(spans)
  const theme = useTheme(box)
  useEffect(() => {
    latestSpans.current = spans
  })

  useEffect(() => {
    const element = box.current
    if (!element || !theme) return
    const range = () => timeRange(columns, minutes, store.now() / 1000)
    const options = chartOptions({
      width: Math.max(200, element.clientWidth),
      decimals,
      format,
      style: getComputedStyle(element),
      range,
      spans: () => latestSpans.current,
    })
    const plot = new uPlot(options, columns, element)
    const resize = new ResizeObserver(() => {
      plot.setSize({ width: Math.max(200, element.clientWidth), height: options.height })
    })
    resize.observe(element)
    let drawn = 0
    const add = () => {
      const quote = store.quote(symbol)
      const price = priceOf(quote)
      const time = Date.parse(quote?.timestamp ?? '') / 1000
      if (price === undefined || Number.isNaN(time)) return
      follow(columns, time, price, quote?.source === 'ib_history', (minutes * 60) / LIVE_POINTS)
    }
    const draw = () => {
      const now = performance.now()
      if (now - drawn < REDRAW_MS) return
      drawn = now
      plot.setData(columns)
    }
    const stopQuotes = store.subscribe(`quote:${symbol}`, () => {
      add()
      draw()
    })
    const stopBeat = store.subscribe('beat', draw)
    return () => {
      stopQuotes()
      stopBeat()
      resize.disconnect()
      plot.destroy()
    }
  }, [store, symbol, minutes, decimals, columns, format, theme])

  return <div ref={box} className={styles.plot} />
}

/** The chosen minutes, or what there is of them: at least one. */
function timeRange([times]: Columns, minutes: number, now: number): [number, number] {
  const first = times[0] ?? 0
  return [Math.max(now - minutes * 60, Math.min(first, now - 60)), now]
}

/** A word that changes when the colours do: the canvas can't follow the stylesheet by itself. */
function useTheme(box: React.RefObject<HTMLElement | null>): string {
  const [theme, setTheme] = useState('')
  const read = useCallback(() => {
    if (box.current) setTheme(getComputedStyle(box.current).color)
  }, [box])
  useEffect(() => {
    read()
    const card = box.current?.closest('[data-theme]')
    const observer = new MutationObserver(read)
    if (card) observer.observe(card, { attributes: true, attributeFilter: ['data-theme'] })
    const media = matchMedia('(prefers-color-scheme: dark)')
    media.addEventListener('change', read)
    return () => {
      observer.disconnect()
      media.removeEventListener('change', read)
    }
  }, [box, read])
  return theme
}

function rangeText(minutes: number, strings: Strings): string {
  return minutes < 60
    ? fill(strings.chart.minutes, { n: minutes })
    : fill(strings.chart.hours, { n: minutes / 60 })
}
