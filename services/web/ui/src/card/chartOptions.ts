// How the price chart looks: axes, lines, hatched gaps, and the readout under the pointer.

import uPlot from 'uplot'
import type { Span } from './chartData'
import type { Format } from './format'

const HEIGHT = 220
const HATCH_STEP = 6

interface ChartOptions {
  width: number
  decimals: number
  format: Format
  style: CSSStyleDeclaration
  range(): [number, number]
  spans(): readonly Span[]
}

export function chartOptions({ width, decimals, format, style, range, spans }: ChartOptions): uPlot.Options {
  const ink = style.color
  const line = style.outlineColor
  const accent = style.borderTopColor
  const font = `11px ${style.fontFamily}`
  const axis = { stroke: ink, font, ticks: { show: false }, grid: { stroke: line, width: 1 } }
  const price = (value: number | null | undefined) => format.price(value, decimals)
  return {
    width,
    height: HEIGHT,
    padding: [10, 4, 0, 18],
    legend: { live: true, markers: { show: false } },
    cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
    scales: {
      x: { time: true, range },
      y: { range: (_plot, low, high) => widen(low, high, decimals) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        space: 70,
        values: (_p, ticks, _axis, _space, step) => ticks.map((t) => format.clock(t * 1000, step < 60)),
      },
      { ...axis, side: 1, size: 64, gap: 6, space: 36, values: (_p, ticks) => ticks.map(price) },
    ],
    series: [
      { label: '', value: (_p, time) => (time == null ? '' : format.clock(time * 1000)) },
      {
        label: '',
        stroke: accent,
        width: 1.6,
        fill: (plot) => shade(plot, accent),
        spanGaps: false,
        points: { show: false },
        value: (_p, value) => (value == null ? '' : price(value)),
      },
      {
        label: '',
        stroke: accent,
        width: 1.4,
        dash: [5, 4],
        points: { show: false },
        value: (_p, value) => (value == null ? '' : price(value)),
      },
    ],
    hooks: { drawClear: [(plot) => hatch(plot, spans(), ink)] },
  }
}

/** Room above and below, and never less than a few price steps: a still price is a flat line, not noise. */
function widen(low: number | null, high: number | null, decimals: number): [number, number] {
  if (low == null || high == null) return [0, 1]
  const least = 4 * 10 ** -decimals
  const pad = Math.max((high - low) * 0.12, (least - (high - low)) / 2, least / 4)
  return [low - pad, high + pad]
}

function shade(plot: uPlot, colour: string): CanvasGradient | string {
  const { top, height } = plot.bbox
  if (!Number.isFinite(height) || height <= 0) return 'transparent'
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height)
  gradient.addColorStop(0, withAlpha(colour, 0.16))
  gradient.addColorStop(1, withAlpha(colour, 0))
  return gradient
}

function withAlpha(colour: string, alpha: number): string {
  const parts = colour.match(/[\d.]+/g)?.slice(0, 3)
  return parts?.length === 3 ? `rgba(${parts.join(',')},${alpha})` : 'transparent'
}

function hatch(plot: uPlot, spans: readonly Span[], ink: string): void {
  const { ctx, bbox } = plot
  for (const { start, end } of spans) {
    const left = Math.max(bbox.left, plot.valToPos(start, 'x', true))
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(end, 'x', true))
    if (!(right > left)) continue
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, bbox.top, right - left, bbox.height)
    ctx.clip()
    ctx.globalAlpha = 0.35
    ctx.strokeStyle = ink
    ctx.lineWidth = 1
    ctx.beginPath()
    const step = HATCH_STEP * uPlot.pxRatio
    for (let x = left - bbox.height; x < right; x += step) {
      ctx.moveTo(x, bbox.top + bbox.height)
      ctx.lineTo(x + bbox.height, bbox.top)
    }
    ctx.stroke()
    ctx.restore()
  }
}
