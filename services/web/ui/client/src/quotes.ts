// Quotes as they change, each once more when its time is over: for `for await`.

import type { Api } from './api.js'
import { openConnection } from './connection.js'
import { Unreachable } from './errors.js'
import type { Quote } from './index.js'
import { expired, isGood, moment } from './rule.js'

const STEP_MS = 250 // how late the end of the loop may be
const REFUSED = new Set(['unauthorized', 'forbidden'])

/**
 * Quotes of these symbols (of all when it is empty), the newest of each for a slow reader. Comes back by itself when
 * the line breaks; meanwhile every quote expires. Throws Unreachable when the token is refused.
 */
export async function* follow(api: Api, symbols: ReadonlySet<string>): AsyncGenerator<Quote, void, void> {
  const waiting = new Map<string, Quote>()
  const held = new Map<string, Quote>() // those that were good
  let refused = ''
  let wake = () => {}

  const line = openConnection({
    url: () => api.eventsUrl(),
    headers: () => api.headers(),
    clock: api.clock,
    fetch: api.fetch,
    onOpen: () => {},
    onState: (state) => {
      if (state.phase !== 'away' || !REFUSED.has(state.code)) return
      refused = state.code
      wake()
    },
    onEvent: (event, data) => {
      if (event !== 'quotes') return
      for (const quote of quotesIn(data)) {
        if (symbols.size === 0 || symbols.has(quote.symbol)) waiting.set(quote.symbol, quote)
      }
      wake()
    },
  })

  let asking = false
  function askTheTime(): void {
    if (asking || !api.clock.jumped) return
    asking = true
    const done = () => {
      asking = false
    }
    api.status().then(done, done) // any answer tells it
  }

  const good = (quote: Quote) => api.clock.known && isGood(moment(quote), api.clock.now())
  const untilNextExpiry = () => {
    const now = api.clock.now()
    return Math.max(1, Math.min(STEP_MS, ...[...held.values()].map((quote) => (moment(quote) ?? now) - now)))
  }

  try {
    for (;;) {
      for (const [symbol, quote] of held) {
        if (good(quote) || waiting.has(symbol)) continue
        held.delete(symbol)
        yield expired(quote)
      }
      for (const symbol of [...waiting.keys()]) {
        const quote = waiting.get(symbol)
        if (!quote) continue
        waiting.delete(symbol)
        const over = !quote.stale && !good(quote)
        if (quote.stale || over) held.delete(symbol)
        else held.set(symbol, quote)
        yield over ? expired(quote) : quote
      }
      if (refused) throw new Unreachable(`the server refuses the token (${refused})`, 'unauthorized')
      askTheTime()
      if (waiting.size > 0) continue // they came while the reader was busy
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, untilNextExpiry())
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    line.close()
  }
}

/** An event that a proxy cut short holds none: the next one is whole. */
function quotesIn(data: string): Quote[] {
  try {
    return JSON.parse(data) as Quote[]
  } catch {
    return []
  }
}
