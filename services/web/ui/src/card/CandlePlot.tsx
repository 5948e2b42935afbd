// The canvas of the candles, with their volume below. Where the price could not be trusted the ground is shaded, and
// what IB's history filled is hollow.

import type { Candle } from '@ibstream/client'
import {
  type CandlestickData,
  CandlestickSeries,
  ColorType,
  CrosshairMode,
  createChart,
  type HistogramData,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type UTCTimestamp,
  type WhitespaceData,
} from 'lightweight-charts'
import { useCallback, useEffect, useRef, useState } from 'react'
import styles from './CandleChart.module.css'
import { hasPrices, isBlind, isFilled, timeOf } from './candleData'
import { useCard } from './hooks'

const HEIGHT = 280
const SHOWN = 120 // candles at first

interface PlotProps {
  candles: readonly Candle[]
  decimals: number
  seconds: boolean
  daily: boolean
  onPoint(candle: Candle | undefined): void
}

interface Drawn {
  chart: IChartApi
  price: ISeriesApi<'Candlestick'>
  volume: ISeriesApi<'Histogram'>
  shade: ISeriesApi<'Histogram'>
  colours: Colours
}

/** The canvas: made anew for another theme or language, fed anew when candles come. */
export function CandlePlot({ candles, decimals, seconds, daily, onPoint }: PlotProps) {
  const { format } = useCard()
  const box = useRef<HTMLDivElement>(null)
  const drawn = useRef<Drawn>(undefined)
  const latest = useRef(candles)
  const theme = useTheme(box)

  useEffect(() => {
    const element = box.current
    if (!element || !theme) return
    const colours = coloursOf(element)
    const clock = (time: number) =>
      daily ? new Date(time * 1000).toISOString().slice(0, 10) : format.clock(time * 1000, seconds)
    const chart = createChart(element, {
      autoSize: true,
      height: HEIGHT,
      layout: {
        background: { type: ColorType.Solid, color: 'transparent' },
        textColor: colours.ink,
        fontFamily: colours.font,
        fontSize: 11,
        attributionLogo: false, // it brings a style that the page's policy refuses; the link below says it
      },
      grid: { vertLines: { visible: false }, horzLines: { color: colours.line } },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.06, bottom: 0.26 } },
      timeScale: {
        borderColor: colours.line,
        timeVisible: !daily,
        secondsVisible: seconds,
        rightOffset: 2,
        tickMarkFormatter: (time: UTCTimestamp) => clock(time),
      },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { timeFormatter: (time: UTCTimestamp) => clock(time) },
      handleScroll: { mouseWheel: false, pressedMouseMove: true, vertTouchDrag: false, horzTouchDrag: true },
      handleScale: { mouseWheel: false },
    })
    const unmarked = { priceLineVisible: false, lastValueVisible: false }
    const shade = chart.addSeries(HistogramSeries, { priceScaleId: 'shade', ...unmarked })
    shade.priceScale().applyOptions({ visible: false, scaleMargins: { top: 0, bottom: 0 } })
    const price = chart.addSeries(CandlestickSeries, {
      upColor: colours.up,
      downColor: colours.down,
      wickUpColor: colours.up,
      wickDownColor: colours.down,
      borderUpColor: colours.up,
      borderDownColor: colours.down,
      priceFormat: {
        type: 'custom',
        minMove: 10 ** -decimals,
        formatter: (n: number) => format.price(n, decimals),
      },
    })
    const volume = chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume',
      priceFormat: { type: 'volume' },
      ...unmarked,
    })
    volume.priceScale().applyOptions({ visible: false, scaleMargins: { top: 0.8, bottom: 0 } })
    drawn.current = { chart, price, volume, shade, colours }
    draw(drawn.current, latest.current)
    showNewest(chart, latest.current.length)
    chart.subscribeCrosshairMove(({ time }) =>
      onPoint(time === undefined ? undefined : latest.current.find((candle) => timeOf(candle) === time)),
    )
    return () => {
      drawn.current = undefined
      chart.remove()
    }
  }, [decimals, seconds, daily, format, theme, onPoint])

  useEffect(() => {
    const before = latest.current
    const first = before.length === 0
    latest.current = candles
    if (!drawn.current) return
    if (isNewestAlone(before, candles)) drawNewest(drawn.current, candles)
    else draw(drawn.current, candles)
    if (first && candles.length > 0) showNewest(drawn.current.chart, candles.length)
  }, [candles])

  return <div ref={box} className={styles.plot} />
}

function showNewest(chart: IChartApi, count: number): void {
  chart.timeScale().setVisibleLogicalRange({ from: count - SHOWN, to: count + 2 })
}

/** Whether nothing is different but the newest candle, or one more: the usual case, many times a minute. */
function isNewestAlone(before: readonly Candle[], now: readonly Candle[]): boolean {
  const more = now.length - before.length
  const same = before.length - (more === 0 ? 1 : 0)
  return (
    before.length > 0 && (more === 0 || more === 1) && before.every((one, i) => i >= same || one === now[i])
  )
}

function drawNewest({ price, volume, shade, colours }: Drawn, candles: readonly Candle[]): void {
  const newest = candles.at(-1)
  if (!newest) return
  price.update(pricesOf(newest))
  volume.update(volumeOf(newest, colours))
  shade.update(shadeOf(newest, colours))
}

function draw({ price, volume, shade, colours }: Drawn, candles: readonly Candle[]): void {
  price.setData(candles.map(pricesOf))
  volume.setData(candles.map((candle) => volumeOf(candle, colours)))
  shade.setData(candles.map((candle) => shadeOf(candle, colours)))
}

type Bar = HistogramData<UTCTimestamp> | WhitespaceData<UTCTimestamp>

function pricesOf(candle: Candle): CandlestickData<UTCTimestamp> | WhitespaceData<UTCTimestamp> {
  const time = timeOf(candle) as UTCTimestamp
  if (!hasPrices(candle)) return { time }
  const { open, high, low, close } = candle
  const hollow = isFilled(candle) ? { color: 'transparent' } : {}
  return { time, open, high, low, close, ...hollow }
}

function volumeOf(candle: Candle, colours: Colours): Bar {
  const time = timeOf(candle) as UTCTimestamp
  if (candle.volume == null) return { time }
  const rises = (candle.close ?? 0) >= (candle.open ?? 0)
  return { time, value: candle.volume, color: rises ? colours.upSoft : colours.downSoft }
}

function shadeOf(candle: Candle, colours: Colours): Bar {
  const time = timeOf(candle) as UTCTimestamp
  return isBlind(candle) ? { time, value: 1, color: colours.blind } : { time }
}

interface Colours {
  ink: string
  line: string
  up: string
  down: string
  upSoft: string
  downSoft: string
  blind: string
  font: string
}

/** The card's colours, which a canvas cannot take from the stylesheet by itself. */
function coloursOf(element: HTMLElement): Colours {
  const style = getComputedStyle(element)
  const probe = document.createElement('span')
  element.append(probe)
  const colour = (name: string) => {
    probe.style.color = `var(${name})`
    return getComputedStyle(probe).color
  }
  const [up, down, muted] = [colour('--ibs-rise'), colour('--ibs-fall'), colour('--ibs-muted')]
  const found = {
    ink: muted,
    line: colour('--ibs-line'),
    up,
    down,
    upSoft: withAlpha(up, 0.35),
    downSoft: withAlpha(down, 0.35),
    blind: withAlpha(muted, 0.14),
    font: style.fontFamily,
  }
  probe.remove()
  return found
}

function withAlpha(colour: string, alpha: number): string {
  const parts = colour.match(/[\d.]+/g)?.slice(0, 3)
  return parts?.length === 3 ? `rgba(${parts.join(',')},${alpha})` : 'transparent'
}

/** A word that changes when the colours do. */
function useTheme(box: React.RefObject<HTMLElement | null>): string {
  const [theme, setTheme] = useState('')
  const read = useCallback(() => {
    if (box.current) setTheme(getComputedStyle(box.current).color)
  }, [box])
  useEffect(() => {
    read()
    const card = box.current?.closest('[data-theme]')
    const observer = new MutationObserver(read)
    if (card)
      observer.observe(card, { attributes: true, attributeFilter: ['data-theme', 'data-change-colors'] })
    const media = matchMedia('(prefers-color-scheme: dark)')
    media.addEventListener('change', read)
    return () => {
      observer.disconnect()
      media.removeEventListener('change', read)
    }
  }, [box, read])
  return theme
}
