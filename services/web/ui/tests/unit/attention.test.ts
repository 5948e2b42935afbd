import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { heedAttention } from '../../src/card/attention'

function rig() {
  const line = { close: vi.fn(), retryNow: vi.fn(), reopen: vi.fn(), rest: vi.fn(), wake: vi.fn() }
  return { line, ignore: heedAttention(line) }
}

function look(visibility: DocumentVisibilityState) {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(visibility)
  document.dispatchEvent(new Event('visibilitychange'))
}

describe('the line of a page', () => {
  let { line, ignore } = rig()
  beforeEach(() => {
    ignore()
    vi.useFakeTimers()
    ;({ line, ignore } = rig())
  })
  afterEach(() => {
    ignore()
    vi.useRealTimers()
  })

  it('is given back once nobody has looked for a while, and taken up when somebody does', () => {
    look('hidden')
    vi.advanceTimersByTime(50_000)
    expect(line.rest).not.toHaveBeenCalled()
    vi.advanceTimersByTime(20_000)
    expect(line.rest).toHaveBeenCalledOnce()
    look('visible')
    expect(line.wake).toHaveBeenCalledOnce()
  })

  it('is kept by a short look elsewhere', () => {
    look('hidden')
    vi.advanceTimersByTime(50_000)
    look('visible')
    vi.advanceTimersByTime(120_000)
    expect(line.rest).not.toHaveBeenCalled()
  })

  it('is tried at once when the browser is online again', () => {
    window.dispatchEvent(new Event('online'))
    expect(line.retryNow).toHaveBeenCalledOnce()
  })

  it('is left alone once it is closed', () => {
    ignore()
    look('hidden')
    window.dispatchEvent(new Event('online'))
    vi.advanceTimersByTime(120_000)
    expect([line.rest, line.wake, line.retryNow].map((told) => told.mock.calls.length)).toEqual([0, 0, 0])
  })
})
