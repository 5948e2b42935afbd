import { describe, expect, it } from 'vitest'
import { CommandRefused, type Quote, StalePrice, StreamStopped, UnknownSymbol, Unreachable } from '../src'
import { FakeStream } from '../src/testing'

async function next(quotes: AsyncGenerator<Quote, void, void>): Promise<Quote> {
  const { value } = await quotes.next()
  if (!value) throw new Error('the quotes ended')
  return value
}

describe('the fake', () => {
  it('gives a price by the real rule, and refuses it once its time is over', async () => {
    const fake = new FakeStream()
    fake.setPrice('SPY', { last: 590, bid: 589.9, ask: 590.1 })
    const quote = await fake.client.price('spy', { maxAge: 2, sources: ['ib_stream'] })
    expect([quote.symbol, quote.last, quote.bid, quote.ask]).toEqual(['SPY', 590, 589.9, 590.1])
    await expect(fake.client.price('SPY', { sources: ['ib_snapshot'] })).rejects.toThrow(StalePrice)
    await expect(fake.client.price('QQQ')).rejects.toThrow(UnknownSymbol)
    fake.advance(4)
    await expect(fake.client.price('SPY', { maxAge: 2 })).rejects.toMatchObject({ reason: 'too_old' })
    fake.advance(2)
    await expect(fake.client.price('SPY')).rejects.toMatchObject({ name: 'StalePrice', reason: 'expired' })
    fake.setPrice('SPY', { last: 591 })
    expect((await fake.client.price('SPY')).last).toBe(591)
  })

  it('withdraws a price with its reason', async () => {
    const fake = new FakeStream()
    fake.setPrice('SPY', { last: 590 })
    fake.goStale('SPY', 'farm_down')
    await expect(fake.client.price('SPY')).rejects.toMatchObject({ name: 'StalePrice', reason: 'farm_down' })
    expect(() => fake.goStale('QQQ')).toThrow('QQQ has no price')
  })

  it('brings quotes as they are set, and once more when their time is over', async () => {
    const fake = new FakeStream({ goodFor: 50 })
    fake.setPrice('SPY', { last: 590 })
    const quotes = fake.client.quotes('SPY')
    expect((await next(quotes)).last).toBe(590)
    fake.setPrice('QQQ', { last: 400 })
    fake.setPrice('SPY', { last: 591 })
    expect(await next(quotes)).toMatchObject({ last: 591, stale: false })
    fake.advance(51)
    expect(await next(quotes)).toMatchObject({ last: 591, stale: true, reason: 'expired' })
    fake.goStale('SPY')
    expect(await next(quotes)).toMatchObject({ stale: true, reason: 'connection_lost' })
    await quotes.return()
  })

  it('is started and stopped', async () => {
    const fake = new FakeStream()
    fake.setPrice('SPY', { last: 590 })
    expect((await fake.client.status()).status).toBe('connected')
    expect((await fake.client.plan()).symbols?.map(({ symbol }) => symbol)).toEqual(['SPY'])
    await expect(fake.client.start()).rejects.toMatchObject({ reason: 'ib_stream_lock_busy' })
    await fake.client.stop()
    expect((await fake.client.status()).status).toBe('stopped')
    await expect(fake.client.price('SPY')).rejects.toThrow(StreamStopped)
    await expect(fake.client.price('QQQ')).rejects.toThrow(StreamStopped)
    await fake.client.start()
    fake.setPrice('SPY', { last: 592 })
    expect((await fake.client.price('SPY')).last).toBe(592)
    await expect(fake.client.start({ symbols: [] })).rejects.toThrow(CommandRefused)
  })

  it('is unplugged', async () => {
    const fake = new FakeStream()
    fake.setPrice('SPY', { last: 590 })
    fake.unplug()
    await expect(fake.client.price('SPY')).rejects.toThrow(Unreachable)
    await expect(fake.client.waitUntilConnected(0)).rejects.toThrow(Unreachable)
  })

  it('says what it has not', async () => {
    const fake = new FakeStream()
    await expect(fake.client.api.alerts()).rejects.toMatchObject({ reason: 'not_faked' })
  })
})
