// The keyboard in the table: one row takes the Tab key, arrow keys move it, and it is brought into view.

import { type FocusEvent, type KeyboardEvent, type RefObject, useLayoutEffect, useRef, useState } from 'react'

const PAGE_SHARE = 0.8 // of the window: what a page key moves

export interface RowFocus {
  /** The symbol whose row takes the focus; the first one until another was chosen. */
  active: string | undefined
  /** Brings a row to the top of the view, also one that is not drawn yet. */
  reveal(symbol: string): void
  handlers: {
    onKeyDown(event: KeyboardEvent<HTMLElement>): void
    onFocus(event: FocusEvent<HTMLElement>): void
  }
}

export function useRowFocus(
  body: RefObject<HTMLElement | null>,
  order: readonly string[],
  rowPx: number,
): RowFocus {
  const [chosen, setChosen] = useState<string>()
  const pending = useRef<{ symbol: string; take: boolean }>(undefined)
  const active = chosen !== undefined && order.includes(chosen) ? chosen : order[0]

  useLayoutEffect(() => {
    const wanted = pending.current
    const button = wanted && buttonOf(body.current, wanted.symbol)
    if (!button) return
    pending.current = undefined
    if (wanted.take) button.focus({ preventScroll: true })
    button.scrollIntoView?.({ block: wanted.take ? 'nearest' : 'start' })
  })

  function goTo(symbol: string, take: boolean): void {
    pending.current = { symbol, take }
    setChosen(symbol)
  }

  function onKeyDown(event: KeyboardEvent<HTMLElement>): void {
    if (event.altKey || event.ctrlKey || event.metaKey || active === undefined) return
    if (event.target !== buttonOf(body.current, active)) return
    const next = target(event.key, order.indexOf(active), order.length, rowPx)
    const symbol = next === undefined ? undefined : order[next]
    if (symbol === undefined) return
    event.preventDefault()
    goTo(symbol, true)
  }

  function onFocus(event: FocusEvent<HTMLElement>): void {
    const row = event.target.closest<HTMLElement>('[data-symbol], [data-detail]')
    setChosen(row?.dataset.symbol ?? row?.dataset.detail)
  }

  return { active, reveal: (symbol) => goTo(symbol, false), handlers: { onKeyDown, onFocus } }
}

function target(key: string, from: number, count: number, rowPx: number): number | undefined {
  const page = Math.max(1, Math.floor((window.innerHeight * PAGE_SHARE) / rowPx))
  const steps: Record<string, number> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -count,
    End: count,
  }
  const step = steps[key]
  return step === undefined ? undefined : Math.min(count - 1, Math.max(0, from + step))
}

function buttonOf(body: HTMLElement | null, symbol: string): HTMLElement | undefined {
  const rows = body?.querySelectorAll<HTMLElement>('tr[data-symbol]') ?? []
  const row = [...rows].find((one) => one.dataset.symbol === symbol)
  return row?.querySelector('button') ?? undefined
}
