// A page that nobody looks at gives its line back after a while; one that is looked at again, or is online again,
// tries at once.

import type { Connection } from '@ibstream/client'

const HIDDEN_MS = 60_000

/** Until the function returned is called. */
export function heedAttention(line: Connection): () => void {
  let hidden: ReturnType<typeof setTimeout> | undefined

  function onVisibility(): void {
    clearTimeout(hidden)
    if (document.visibilityState === 'hidden') hidden = setTimeout(() => line.rest(), HIDDEN_MS)
    else line.wake()
  }
  const onOnline = () => line.retryNow()

  window.addEventListener('online', onOnline)
  document.addEventListener('visibilitychange', onVisibility)
  return () => {
    clearTimeout(hidden)
    window.removeEventListener('online', onOnline)
    document.removeEventListener('visibilitychange', onVisibility)
  }
}
