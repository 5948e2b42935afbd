import { describe, expect, it } from 'vitest'
import { ServerClock } from '../src/clock'

const NOON = Date.parse('2026-03-04T12:00:00Z')
const told = (ms: number) => new Headers({ 'X-Server-Time': new Date(ms).toISOString() })

/** A clock on a machine whose two clocks a test turns. */
function rig(wall = NOON) {
  const machine = { wall, steady: 5_000 }
  const clock = new ServerClock(() => ({ ...machine }))
  const pass = (ms: number) => {
    machine.wall += ms
    machine.steady += ms
  }
  return { clock, machine, pass }
}

describe('the server’s clock', () => {
  it('is unknown until an answer tells it', () => {
    const { clock } = rig()
    expect(clock.known).toBe(false)
    clock.heard(NOON)
    expect(clock.known).toBe(false)
    clock.answered(new Headers(), clock.read())
    expect(clock.known).toBe(false)
    clock.answered(told(NOON), clock.read())
    expect(clock.known).toBe(true)
  })

  it('does not care how wrong the browser’s own clock is', () => {
    for (const wrong of [-86_400_000, -7_000, 7_000, 86_400_000]) {
      const { clock, pass } = rig(NOON + wrong)
      clock.answered(told(NOON), clock.read())
      pass(3_000)
      expect(clock.now()).toBe(NOON + 3_000)
    }
  })

  it('is never behind: an answer may have left the server as soon as it was asked', () => {
    const { clock, pass } = rig()
    const sent = clock.read()
    pass(800)
    clock.answered(told(NOON), sent)
    expect(clock.now()).toBe(NOON + 800)
  })

  it('learns nothing from a slow answer once it knows better', () => {
    const { clock, pass } = rig()
    clock.answered(told(NOON), clock.read())
    const sent = clock.read()
    pass(9_000)
    clock.answered(told(NOON + 9_000), sent)
    expect(clock.now()).toBe(NOON + 9_000)
  })

  it('goes on while one of the machine’s clocks stands still or is set back, and asks again', () => {
    for (const [wall, steady] of [
      [60_000, 0], // suspended
      [-3_600_000, 60_000], // set back
    ] as const) {
      const { clock, machine } = rig()
      clock.answered(told(NOON), clock.read())
      machine.wall += wall
      machine.steady += steady
      expect(clock.now()).toBe(NOON + 60_000)
      expect(clock.jumped).toBe(true)
      clock.answered(told(NOON + 60_000), clock.read())
      expect(clock.jumped).toBe(false)
    }
  })

  it('errs on the late side when the machine’s clock is set forward, until the next answer', () => {
    const { clock, machine } = rig()
    clock.answered(told(NOON), clock.read())
    machine.wall += 3_600_000
    expect(clock.now()).toBe(NOON + 3_600_000)
    expect(clock.jumped).toBe(true)
    clock.answered(told(NOON + 10), clock.read())
    expect(clock.now()).toBe(NOON + 10)
  })

  it('is at least as late as what it hears, and is not held up by what comes late', () => {
    const { clock, pass } = rig()
    clock.answered(told(NOON), clock.read())
    clock.heard(NOON + 2_000)
    expect(clock.now()).toBe(NOON + 2_000)
    pass(5_000)
    clock.heard(NOON + 3_000)
    expect(clock.now()).toBe(NOON + 7_000)
  })

  it('takes the end of the second from a proxy that shows no more', () => {
    const { clock } = rig()
    clock.answered(new Headers({ Date: new Date(NOON).toUTCString() }), clock.read())
    expect(clock.now()).toBe(NOON + 1_000)
  })
})
