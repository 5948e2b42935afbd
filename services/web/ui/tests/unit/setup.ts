// What jsdom lacks and the card uses. The chart's canvas is replaced: its picture is looked at in a real browser.

import { cleanup, configure } from '@testing-library/react'
import { afterEach, vi } from 'vitest'

const series = () => ({ setData() {}, update() {}, priceScale: () => ({ applyOptions() {} }) })
vi.mock('lightweight-charts', () => ({
  CandlestickSeries: {},
  HistogramSeries: {},
  ColorType: {},
  CrosshairMode: {},
  createChart: () => ({
    addSeries: series,
    timeScale: () => ({ setVisibleLogicalRange() {} }),
    subscribeCrosshairMove() {},
    remove() {},
  }),
}))

class Observer {
  observe() {}
  unobserve() {}
  disconnect() {}
}
vi.stubGlobal('ResizeObserver', Observer)
vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener() {}, removeEventListener() {} }))

configure({ asyncUtilTimeout: 5_000 }) // a deadline for a busy machine, no wait
afterEach(cleanup)
