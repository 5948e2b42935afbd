// The server's clock as this page knows it. A price is good until a moment of the server's time, so neither a
// browser's wrong clock nor one that stood still (a suspended machine, a frozen tab) may stretch that. Where two
// readings of the time disagree, the later one counts: a price then expires too early and never too late.

/** This machine's clocks, in milliseconds: the wall's can be set, the steady one may stop while it sleeps. */
export interface Reading {
  wall: number
  steady: number
}

const HEADER = 'X-Server-Time'
const WHOLE_SECOND_MS = 1_000 // what a Date header may lack
const SLOW_MS = 1_000 // an answer that took longer tells less than one before it
const JUMP_MS = 1_000 // by which the two clocks may drift apart between answers

function readClocks(): Reading {
  return { wall: Date.now(), steady: performance.now() }
}

export class ServerClock {
  readonly read: () => Reading
  private anchor: { server: number; at: Reading } | undefined

  constructor(read: () => Reading = readClocks) {
    this.read = read
  }

  /** Whether the server ever told its time. Until then no price is good. */
  get known(): boolean {
    return this.anchor !== undefined
  }

  /** Whether one of this machine's clocks was set or stood still since the last answer: time to ask again. */
  get jumped(): boolean {
    if (!this.anchor) return false
    const { wall, steady } = this.read()
    const { at } = this.anchor
    return Math.abs(wall - at.wall - (steady - at.steady)) > JUMP_MS
  }

  /** UTC milliseconds of the server, or a little later; this machine's own clock while nothing is known. */
  now(): number {
    return this.anchor ? this.anchor.server + this.since(this.anchor.at) : this.read().wall
  }

  /** An answer came to what was sent at `sent`. The server told its time somewhere in between: no later than now. */
  answered(headers: Headers, sent: Reading): void {
    const server = timeIn(headers)
    if (server === undefined) return
    if (this.anchor && !this.jumped && this.since(sent) > SLOW_MS) return
    this.anchor = { server, at: sent }
  }

  /** Something came that was written at `server`: it is at least that late. Alone it tells no time. */
  heard(server: number): void {
    if (this.anchor && server > this.now()) this.anchor = { server, at: this.read() }
  }

  private since(then: Reading): number {
    const { wall, steady } = this.read()
    return Math.max(0, wall - then.wall, steady - then.steady)
  }
}

/** The server's time in an answer, to the microsecond, or behind a proxy that hides it to the second. */
function timeIn(headers: Headers): number | undefined {
  const exact = Date.parse(headers.get(HEADER) ?? '')
  if (!Number.isNaN(exact)) return exact
  const date = Date.parse(headers.get('Date') ?? '')
  return Number.isNaN(date) ? undefined : date + WHOLE_SECOND_MS
}
