// Which rows of a long table are drawn: those in the window, and some around it. The table scrolls with whatever
// scrolls it (the page, or any box of a host's), so the window counts from where the table lies in the viewport.

import { type Range, useVirtualizer, type Virtualizer } from '@tanstack/react-virtual'
import { type RefObject, useEffect, useRef } from 'react'

const DRAWN_ANYWAY = 60 // rows of a short table are all there: to be found in the page, and printed
const AROUND = 8
const DETAIL_PX = 400 // a guess, until it is drawn

type Body = HTMLTableSectionElement
type Rows = Virtualizer<Body, HTMLTableRowElement>

export interface RowItem {
  key: string
  symbol: string
  detail: boolean
}

export interface DrawnRows {
  /** Items to draw, each with the empty space above it in pixels. */
  drawn: readonly { index: number; space: number }[]
  /** Empty space below the last one. */
  rest: number
  measure: (element: HTMLTableRowElement | null) => void
}

/** `kept` are indexes that stay drawn out of sight, since the keyboard's focus is there. */
export function useDrawnRows(
  body: RefObject<Body | null>,
  items: readonly RowItem[],
  rowPx: number,
  kept: readonly number[],
  onScroll: () => void,
): DrawnRows {
  const look = useRef<() => void>(() => {})
  const rows = useVirtualizer<Body, HTMLTableRowElement>({
    count: items.length,
    getScrollElement: () => body.current,
    estimateSize: (index) => (items[index]?.detail ? DETAIL_PX : rowPx),
    getItemKey: (index) => items[index]?.key ?? index,
    overscan: items.length <= DRAWN_ANYWAY ? items.length : AROUND,
    rangeExtractor: (range) => extract(range, kept),
    observeElementRect: observeViewport,
    observeElementOffset: (instance, tell) => observePlace(instance, tell, look, onScroll),
    scrollToFn: () => {},
    useFlushSync: false,
  })
  rows.shouldAdjustScrollPositionOnItemSizeChange = () => false
  // biome-ignore lint/correctness/useExhaustiveDependencies: another height of a row makes all places new
  useEffect(() => rows.measure(), [rows, rowPx])
  // biome-ignore lint/correctness/useExhaustiveDependencies: what stands above the table may have grown; a scroll has told
  useEffect(() => look.current(), [items])

  let end = 0
  const drawn = rows.getVirtualItems().map((item) => {
    const space = item.start - end
    end = item.end
    return { index: item.index, space }
  })
  return { drawn, rest: Math.max(0, rows.getTotalSize() - end), measure: rows.measureElement }
}

function extract({ startIndex, endIndex, overscan, count }: Range, kept: readonly number[]): number[] {
  const first = Math.max(0, startIndex - overscan)
  const last = Math.min(count - 1, endIndex + overscan)
  const inside = Array.from({ length: last - first + 1 }, (_, i) => first + i)
  const outside = kept.filter((index) => index < count && (index < first || index > last))
  return [...inside, ...outside].sort((a, b) => a - b)
}

function observeViewport(_: Rows, tell: (rect: { width: number; height: number }) => void): () => void {
  const report = () => tell({ width: window.innerWidth, height: window.innerHeight })
  report()
  window.addEventListener('resize', report)
  return () => window.removeEventListener('resize', report)
}

function observePlace(
  rows: Rows,
  tell: (offset: number, scrolling: boolean) => void,
  look: { current: () => void },
  onScroll: () => void,
): () => void {
  let told: number | undefined
  const report = () => {
    const top = rows.scrollElement?.getBoundingClientRect().top ?? 0
    const offset = Math.max(0, -top)
    if (offset === told) return
    told = offset
    tell(offset, false)
  }
  look.current = report
  report()
  const scrolled = () => {
    onScroll()
    report()
  }
  document.addEventListener('scroll', scrolled, { capture: true, passive: true })
  return () => document.removeEventListener('scroll', scrolled, { capture: true })
}
