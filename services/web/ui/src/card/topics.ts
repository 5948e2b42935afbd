// Who is told of what, by topic, at most once per animation frame: a hundred symbols that change several times a second
// cost one pass a frame, and only the rows that changed render again.

export type Topic =
  | 'connection'
  | 'status'
  | 'symbols'
  | 'record'
  | 'plan'
  | 'beat'
  | `quote:${string}`
  | `state:${string}`
  | `series:${string}`

const SCROLLING_MS = 200 // after the last step of a scroll
const EASED_MS = 100 // between two tellings of new prices meanwhile

export class Topics {
  private readonly schedule: (flush: () => void) => void
  private readonly listeners = new Map<Topic, Set<() => void>>()
  private readonly dirty = new Set<Topic>()
  private readonly waiting = new Set<Topic>()
  private flushing = false
  private scrolledAt = Number.NEGATIVE_INFINITY
  private release: ReturnType<typeof setTimeout> | undefined

  constructor(schedule: (flush: () => void) => void) {
    this.schedule = schedule
  }

  subscribe(topic: Topic, listener: () => void): () => void {
    const set = this.listeners.get(topic) ?? new Set()
    this.listeners.set(topic, set.add(listener))
    return () => {
      set.delete(listener)
      if (set.size === 0) this.listeners.delete(topic)
    }
  }

  /** Tell its listeners with the next frame. */
  touch(topic: Topic): void {
    this.dirty.add(topic)
    if (this.flushing) return
    this.flushing = true
    this.schedule(() => {
      this.flushing = false
      const topics = [...this.dirty]
      this.dirty.clear()
      for (const name of topics) for (const listener of this.listeners.get(name) ?? []) listener()
    })
  }

  /** As `touch`; while a person scrolls ten times a second, so that frames are left for the scrolling. */
  touchEased(topic: Topic): void {
    if (performance.now() - this.scrolledAt > SCROLLING_MS) {
      this.touch(topic)
      return
    }
    this.waiting.add(topic)
    this.release ??= setTimeout(() => {
      this.release = undefined
      for (const name of this.waiting) this.touch(name)
      this.waiting.clear()
    }, EASED_MS)
  }

  /** A person scrolls. */
  scrolled(): void {
    this.scrolledAt = performance.now()
  }

  close(): void {
    clearTimeout(this.release)
    this.release = undefined
  }
}
