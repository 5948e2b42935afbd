// Which rows of a long table are drawn: those in the window, and some around it. The table scrolls with whatever
// scrolls it (the page, or any box of a host's), so the window counts from where the table lies in the viewport.
// A row that comes into sight takes the elements of one that left it: scrolling makes none and moves none.

import { type RefObject, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { type Slots, takeSlots } from './slots'

const DRAWN_ANYWAY = 60 // rows of a short table are all there: to be found in the page, and printed
const AROUND = 5
const DETAIL_PX = 400 // a guess, until it is drawn
const AT_REST_MS = 150 // after the last step of a scroll

export interface RowItem {
  key: string
  symbol: string
  detail: boolean
}

export interface DrawnRow extends RowItem {
  index: number // among all items
  top: number // pixels from the top of the table's body
  slot: number // of the elements that show it: their React key
}

export interface DrawnRows {
  /** Items to draw, in the order of their elements: that of the rows, and while a person scrolls as they come. */
  drawn: readonly DrawnRow[]
  /** Of all items, in pixels. */
  height: number
  /** To be told how high a symbol's detail is. */
  onHeight(symbol: string, px: number): void
}

/** `kept` are indexes that stay drawn out of sight, since the keyboard's focus is there. */
export function useDrawnRows(
  body: RefObject<HTMLElement | null>,
  items: readonly RowItem[],
  rowPx: number,
  kept: readonly number[],
  onScroll: () => void,
): DrawnRows {
  const [heights, setHeights] = useState<ReadonlyMap<string, number>>(new Map())
  const onHeight = useCallback(
    (symbol: string, px: number) =>
      setHeights((old) => (px === 0 || old.get(symbol) === px ? old : new Map(old).set(symbol, px))),
    [],
  )
  const { offset, height, scrolling } = useView(body, items, rowPx, onScroll)
  const { places, total } = useMemo(() => placesOf(items, rowPx, heights), [items, rowPx, heights])

  const count = items.length <= DRAWN_ANYWAY ? items.length : Math.ceil(height / rowPx) + 1 + 2 * AROUND
  const inSight = places.findLastIndex(({ top }) => top <= offset)
  const first = Math.max(0, Math.min(items.length - count, inSight - AROUND))
  const keys = places.filter(({ index }) => (index >= first && index < first + count) || kept.includes(index))
  const byKey = useMemo(() => new Map(places.map((place) => [place.key, place])), [places])

  const slots = useRef<Slots>(new Map())
  const taken = takeSlots(
    slots.current,
    keys.map(({ key }) => key),
    (key) => byKey.get(key)?.detail === false,
  )
  const order = scrolling ? [...taken.keys()].flatMap((key) => byKey.get(key) ?? []) : keys
  const drawn = order.map((place) => ({ ...place, slot: taken.get(place.key) ?? -1 }))
  useLayoutEffect(() => {
    slots.current = new Map(drawn.map(({ key, slot }) => [key, slot]))
  })
  return { drawn, height: total, onHeight }
}

type Place = Omit<DrawnRow, 'slot'>

function placesOf(
  items: readonly RowItem[],
  rowPx: number,
  heights: ReadonlyMap<string, number>,
): { places: Place[]; total: number } {
  let total = 0
  const places = items.map((item, index) => {
    const top = total
    total += item.detail ? (heights.get(item.symbol) ?? DETAIL_PX) : rowPx
    return { ...item, index, top }
  })
  return { places, total }
}

interface View {
  offset: number // of the window from the top of the table's body, pixels, in whole rows
  height: number // of the window
  scrolling: boolean
}

function useView(
  body: RefObject<HTMLElement | null>,
  items: readonly RowItem[],
  rowPx: number,
  onScroll: () => void,
): View {
  const [view, setView] = useState<View>({ offset: 0, height: window.innerHeight, scrolling: false })
  const rest = useRef<ReturnType<typeof setTimeout>>(undefined)
  const look = useCallback(() => {
    const passed = Math.max(0, -(body.current?.getBoundingClientRect().top ?? 0))
    const next = {
      offset: Math.floor(passed / rowPx) * rowPx,
      height: window.innerHeight,
      scrolling: rest.current !== undefined,
    }
    setView((old) =>
      old.offset === next.offset && old.height === next.height && old.scrolling === next.scrolling
        ? old
        : next,
    )
  }, [body, rowPx])

  useEffect(() => {
    const stopped = () => {
      rest.current = undefined
      look()
    }
    const scrolled = () => {
      onScroll()
      clearTimeout(rest.current)
      rest.current = setTimeout(stopped, AT_REST_MS)
      look()
    }
    document.addEventListener('scroll', scrolled, { capture: true, passive: true })
    window.addEventListener('resize', look)
    return () => {
      clearTimeout(rest.current)
      rest.current = undefined
      document.removeEventListener('scroll', scrolled, { capture: true })
      window.removeEventListener('resize', look)
    }
  }, [look, onScroll])
  // biome-ignore lint/correctness/useExhaustiveDependencies: what stands above the table may have grown
  useEffect(look, [look, items])
  return view
}
