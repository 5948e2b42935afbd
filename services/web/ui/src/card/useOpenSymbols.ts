// Which symbols show their chart. One may be named from outside (by a link), and outside is told which was opened.

import { useCallback, useEffect, useRef, useState } from 'react'
import type { RowData } from './columns'

interface OpenSymbols {
  open: ReadonlySet<string>
  toggle(symbol: string): void
}

/** `onLinked` is called once for a symbol that `linked` names, as soon as there is such a row. */
export function useOpenSymbols(
  linked: string | undefined,
  tell: ((symbol: string | undefined) => void) | undefined,
  rows: readonly RowData[],
  onLinked: (symbol: string) => void,
): OpenSymbols {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())
  const settled = useRef<string>(undefined)

  useEffect(() => {
    if (linked === settled.current) return
    if (linked === undefined || rows.some(({ symbol }) => symbol === linked)) settled.current = linked
    if (linked === undefined || settled.current !== linked) return
    setOpen((before) => new Set(before).add(linked))
    onLinked(linked)
  })

  const toggle = useCallback(
    (symbol: string) => {
      const after = new Set(open)
      if (!after.delete(symbol)) after.add(symbol)
      setOpen(after)
      settled.current = [...after].at(-1)
      tell?.(settled.current)
    },
    [open, tell],
  )
  return { open, toggle }
}
