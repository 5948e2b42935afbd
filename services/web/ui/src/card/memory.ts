// What a person chose in the card and finds again at the next visit, where the host gives a place to keep it.

import { useState } from 'react'

export interface Memory {
  read(key: string): string | null
  write(key: string, value: string): void
}

/** A state that stays. `check` takes what was kept, perhaps by another version, and refuses it with undefined. */
export function useRemembered<T>(
  memory: Memory | undefined,
  key: string,
  check: (kept: unknown) => T | undefined,
  initial: T,
): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => recall(memory, key, check) ?? initial)
  const keep = (next: T) => {
    setValue(next)
    memory?.write(key, JSON.stringify(next))
  }
  return [value, keep]
}

export function recall<T>(
  memory: Memory | undefined,
  key: string,
  check: (kept: unknown) => T | undefined,
): T | undefined {
  const kept = memory?.read(key)
  if (kept == null) return undefined
  try {
    return check(JSON.parse(kept))
  } catch {
    return undefined // not ours
  }
}
