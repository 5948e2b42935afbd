// How components read the store: one topic each, so that a component renders for what it shows and no more.

import type { Api } from '@ibstream/client'
import { createContext, useCallback, useContext, useEffect, useState, useSyncExternalStore } from 'react'
import type { Format } from './format'
import { type Health, healthOf } from './health'
import type { Memory } from './memory'
import type { StreamStore } from './store'
import type { Language, Strings } from './strings'
import type { Topic } from './topics'

export interface CardContext {
  store: StreamStore
  api: Api
  strings: Strings
  format: Format
  language: Language
  memory: Memory | undefined
}

export const Card = createContext<CardContext | null>(null)

export function useCard(): CardContext {
  const card = useContext(Card)
  if (!card) throw new Error('used outside StreamCard')
  return card
}

/** A part of the store, rendered again when `topic` was touched and the part is another object. */
export function useStore<T>(topic: Topic, read: (store: StreamStore) => T): T {
  const { store } = useCard()
  const subscribe = useCallback((listener: () => void) => store.subscribe(topic, listener), [store, topic])
  return useSyncExternalStore(subscribe, () => read(store))
}

/** The server's time in milliseconds, a new one every second. */
export function useBeat(): number {
  return useStore('beat', (store) => Math.floor(store.now() / 1000) * 1000)
}

/** The server's time in milliseconds, a new one every `everyMs`. */
export function useNow(everyMs: number): number {
  const { store } = useCard()
  const [now, setNow] = useState(() => store.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(store.now()), everyMs)
    return () => clearInterval(timer)
  }, [store, everyMs])
  return now
}

export function useHealth(): Health {
  const connection = useStore('connection', (store) => store.connection)
  const status = useStore('status', (store) => store.status)
  const good = useStore('status', (store) => store.statusGood())
  return healthOf(connection, status, good)
}
