// Follow prices from Node, and refuse those that may not be used: node follow.mjs data/run SPY
// One rule: a price may be used if now is before its good_until (messages/PROTOCOL.md).
import { decode } from '@msgpack/msgpack'
import { Subscriber } from 'zeromq'

const [runDir = 'data/run', ...symbols] = process.argv.slice(2)
const subscriber = new Subscriber()
subscriber.connect(`ipc://${runDir}/sink.events`)
for (const symbol of symbols.length > 0 ? symbols : ['']) subscriber.subscribe(`quote.${symbol}`)

for await (const [topic, payload] of subscriber) {
  const quote = decode(payload)
  const usable = quote.good_until !== undefined && Date.now() < Date.parse(quote.good_until)
  console.log(topic.toString(), usable ? quote.last : `not to be used: ${quote.reason ?? 'expired'}`)
}
