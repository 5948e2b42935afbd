// Tells the host once, each time that the backend begins to refuse.

import { useEffect, useRef } from 'react'
import type { StreamStore } from './store'

export function useUnauthorized(store: StreamStore, tell: (() => void) | undefined): void {
  const latest = useRef(tell)
  useEffect(() => {
    latest.current = tell
  })
  useEffect(() => {
    let told = false
    return store.subscribe('connection', () => {
      const { connection } = store
      const refused = connection.phase === 'away' && connection.code === 'unauthorized'
      if (refused && !told) latest.current?.()
      told = refused
    })
  }, [store])
}
