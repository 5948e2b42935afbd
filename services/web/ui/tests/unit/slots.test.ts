import { describe, expect, it } from 'vitest'
import { takeSlots } from '../../src/card/slots'

const all = () => true

describe('the slots of rows', () => {
  it('stay with rows that stay, wherever they stand', () => {
    const before = takeSlots(new Map(), ['a', 'b', 'c'], all)
    expect([...takeSlots(before, ['c', 'a', 'b'], all)]).toEqual([...before])
  })

  it('go from a row that went to one that came, in its place', () => {
    const before = takeSlots(new Map(), ['a', 'b', 'c'], all)
    expect([...takeSlots(before, ['b', 'c', 'd'], all)]).toEqual([
      ['d', 0],
      ['b', 1],
      ['c', 2],
    ])
  })

  it('of what may not be shared go to nobody, and it gets one of its own', () => {
    const shared = (key: string) => !['a', 'chart'].includes(key)
    const before = takeSlots(new Map(), ['a', 'b'], shared)
    expect([...takeSlots(before, ['c', 'chart'], shared)]).toEqual([
      ['c', 1],
      ['chart', 2],
    ])
    expect([...takeSlots(before, ['b', 'c'], shared)]).toEqual([
      ['b', 1],
      ['c', 2],
    ])
  })
})
