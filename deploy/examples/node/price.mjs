// A price from Node that refuses to be old, and then prices as they change: node price.mjs http://127.0.0.1:8765 SPY
// With ibstream's own client: `npm ci && npm pack --workspace client` in services/web/ui makes the file to install.
import { connect, IbstreamError } from '@ibstream/client'

const [address = 'http://127.0.0.1:8765', symbol = 'SPY'] = process.argv.slice(2)
const client = connect(address, { token: process.env.IBSTREAM_WEB_TOKEN })
await client.waitUntilConnected(30)

try {
  const quote = await client.price(symbol, { maxAge: 30, sources: ['ib_stream', 'mock'] })
  console.log(`${symbol}: ${quote.last} from ${quote.source}`)
} catch (error) {
  if (!(error instanceof IbstreamError)) throw error
  console.log(`${symbol}: no price: ${error.message} [${error.reason}]`)
}

for await (const quote of client.quotes(symbol)) {
  console.log(`${symbol}: ${quote.stale ? `not to be used: ${quote.reason}` : quote.last}`)
}
