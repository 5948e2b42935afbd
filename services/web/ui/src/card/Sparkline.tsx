// The last minutes of one symbol as a line. Draws at most once a second, and nothing before the past is there.

import { memo, useEffect } from 'react'
import { useCard, useStore } from './hooks'
import styles from './QuoteTable.module.css'
import { BUCKETS, type Sample, SERIES_MINUTES } from './series'
import { fill } from './strings'

const WIDTH = 96
const HEIGHT = 24
const PAD = 2.5
const LEAST_SAMPLES = 3 // fewer make a stroke that looks like a crash

export const Sparkline = memo(function Sparkline({ symbol }: { symbol: string }) {
  const { store, strings, format } = useCard()
  const samples = useStore(`series:${symbol}`, (s) => s.sparklines.samples(symbol))
  useEffect(() => store.sparklines.want(symbol), [store, symbol])

  const picture = samples && pictureOf(samples, store.sparklines.span(store.now()))
  return (
    <span className={styles.spark}>
      {picture && (
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          width={WIDTH}
          height={HEIGHT}
          role="img"
          aria-label={fill(strings.table.moved, {
            percent: format.percent(picture.moved),
            minutes: SERIES_MINUTES,
          })}
          data-direction={picture.moved > 0 ? 'up' : picture.moved < 0 ? 'down' : 'unchanged'}
        >
          <path className={styles.sparkArea} d={`${picture.line}V${HEIGHT}H${picture.startX}Z`} />
          <path className={styles.sparkLine} d={picture.line} />
          <circle className={styles.sparkDot} cx={picture.endX} cy={picture.endY} r="1.9" />
        </svg>
      )}
    </span>
  )
})

interface Picture {
  line: string
  startX: number
  endX: number
  endY: number
  moved: number // percent, from the first sample to the last
}

/** A line over the last `span` steps, its right end the newest sample. */
export function pictureOf(all: readonly Sample[], span: number = BUCKETS): Picture | undefined {
  const last = all.at(-1)
  const samples = last ? all.filter(({ bucket }) => bucket > last.bucket - span) : []
  const first = samples[0]
  if (!first || !last || samples.length < LEAST_SAMPLES) return undefined
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const { price } of samples) {
    if (price < low) low = price
    if (price > high) high = price
  }
  const x = (bucket: number) => round(WIDTH - PAD - ((last.bucket - bucket) / span) * (WIDTH - 2 * PAD))
  const y = (price: number) =>
    high === low ? HEIGHT / 2 : round(PAD + ((high - price) / (high - low)) * (HEIGHT - 2 * PAD))
  const line = samples
    .map(({ bucket, price }, i) => `${i === 0 ? 'M' : 'L'}${x(bucket)} ${y(price)}`)
    .join('')
  return {
    line,
    startX: x(first.bucket),
    endX: x(last.bucket),
    endY: y(last.price),
    moved: first.price > 0 ? (last.price / first.price - 1) * 100 : 0,
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
