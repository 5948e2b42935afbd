// One resumable server-sent event stream over fetch, so that a bearer token travels in a header and not in a
// URL. Comes back by itself: backs off with jitter, and calls a line dead that was silent for too long (a proxy may
// keep a dead one open for minutes).

import { createParser } from 'eventsource-parser'
import { errorOf } from './api.js'
import type { ServerClock } from './clock.js'
import { ApiError } from './errors.js'

export type ConnectionState =
  | { phase: 'connecting' }
  | { phase: 'open'; since: number }
  | { phase: 'away'; since: number; retryAt: number; code: string }

export interface ConnectionOptions {
  /** Asked before each attempt. */
  url(): string
  headers(): Record<string, string>
  onState(state: ConnectionState): void
  onEvent(event: string, data: string): void
  /** `again`: by `reopen`, and nothing was missed: the events go on where they were. */
  onOpen(again: boolean): void
  clock: ServerClock
  fetch?: typeof fetch | undefined
  random?: () => number
  silenceMs?: number
}

export interface Connection {
  close(): void
  /** Try again at once, if it is away. */
  retryNow(): void
  /** Change over to the address of now, if it is open; else the next attempt does. */
  reopen(): void
  /** Give the line back until `wake`: nobody looks. */
  rest(): void
  wake(): void
}

export const FIRST_PAUSE_MS = 400
export const LONGEST_PAUSE_MS = 4_000
const SILENCE_MS = 10_000
const LARGEST_EVENT = 16_000_000

/** Opens the stream and keeps it open. */
export function openConnection(options: ConnectionOptions): Connection {
  const send = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args))
  const random = options.random ?? Math.random
  const silenceMs = options.silenceMs ?? SILENCE_MS
  let closed = false
  let resting = false
  let opened = false
  let lastId = ''
  let failures = 0
  let awaySince: number | undefined
  let attempt: AbortController | undefined
  let pause: ReturnType<typeof setTimeout> | undefined

  function failed(code: string, controller: AbortController): void {
    if (closed || resting || attempt !== controller) return
    attempt = undefined
    opened = false
    awaySince ??= Date.now()
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures)
    failures += 1
    const wait = ceiling * (0.5 + random() / 2)
    options.onState({ phase: 'away', since: awaySince, retryAt: Date.now() + wait, code })
    pause = setTimeout(() => void connect(), wait)
  }

  async function connect(again = false): Promise<void> {
    clearTimeout(pause)
    attempt?.abort()
    const controller = new AbortController()
    attempt = controller
    opened = false
    if (awaySince === undefined && !again) options.onState({ phase: 'connecting' })
    let watchdog = setTimeout(() => controller.abort(), silenceMs)
    const sent = options.clock.read()
    try {
      const response = await send(options.url(), {
        headers: {
          ...options.headers(),
          Accept: 'text/event-stream',
          ...(lastId ? { 'Last-Event-ID': lastId } : {}),
        },
        cache: 'no-store',
        signal: controller.signal,
      })
      if (!response.ok) throw await errorOf(response)
      if (!response.body) throw new ApiError('backend_away', 'empty answer')
      if (closed || attempt !== controller) return
      options.clock.answered(response.headers, sent)
      begun(again && lastId !== '')
      await read(response.body, controller, () => {
        clearTimeout(watchdog)
        watchdog = setTimeout(() => controller.abort(), silenceMs)
      })
      failed('backend_away', controller)
    } catch (error) {
      failed(error instanceof ApiError ? error.reason : 'backend_away', controller)
    } finally {
      clearTimeout(watchdog)
      controller.abort()
    }
  }

  function begun(again: boolean): void {
    failures = 0
    awaySince = undefined
    opened = true
    if (!again) options.onState({ phase: 'open', since: Date.now() })
    options.onOpen(again)
  }

  async function read(
    body: ReadableStream<Uint8Array>,
    controller: AbortController,
    alive: () => void,
  ): Promise<void> {
    const parser = createParser({
      maxBufferSize: LARGEST_EVENT,
      onEvent: (message) => {
        if (message.id !== undefined) lastId = message.id
        options.onEvent(message.event ?? 'message', message.data)
      },
    })
    const decoder = new TextDecoder()
    const reader = body.getReader()
    controller.signal.addEventListener('abort', () => void reader.cancel().catch(() => {}))
    for (;;) {
      const { done, value } = await reader.read()
      if (done || attempt !== controller) return
      alive()
      parser.feed(decoder.decode(value, { stream: true }))
    }
  }

  function retryNow(): void {
    if (closed || resting || (attempt && awaySince === undefined)) return
    failures = 0
    void connect()
  }

  void connect()

  return {
    retryNow,
    reopen() {
      if (closed) return
      if (opened) void connect(true)
      else if (attempt && !resting) void connect() // on the way to the old address
    },
    rest() {
      resting = true
      clearTimeout(pause)
      attempt?.abort()
      attempt = undefined
      opened = false
    },
    wake() {
      resting = false
      retryNow()
    },
    close() {
      closed = true
      clearTimeout(pause)
      attempt?.abort()
    },
  }
}
