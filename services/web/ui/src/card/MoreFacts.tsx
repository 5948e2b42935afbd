// What a line carries beside prices and sizes: an option's greeks, and what its generic ticks brought.

import type { Computation, GenericTicks, Greeks } from '@ibstream/client'
import { useCard } from './hooks'
import styles from './SymbolDetail.module.css'
import { word } from './strings'

const AT = ['bid', 'ask', 'last', 'model'] as const
const COMPUTED = ['implied_volatility', 'delta', 'gamma', 'vega', 'theta', 'underlying'] as const

export function GreeksTable({ greeks, decimals }: { greeks: Greeks; decimals: number }) {
  const { strings, format } = useCard()
  const rows = AT.flatMap((at): [string, Computation][] => {
    const found = greeks[at]
    return found ? [[at, found]] : []
  })
  const shown = (name: (typeof COMPUTED)[number], value: number | null | undefined) => {
    if (name === 'implied_volatility')
      return value == null ? strings.none : `${format.price(value * 100, 1)} %`
    return format.price(value, name === 'underlying' ? decimals : 4)
  }
  return (
    <table className={styles.greeks}>
      <caption>{strings.more.greeks}</caption>
      <thead>
        <tr>
          <td />
          {COMPUTED.map((name) => (
            <th key={name} scope="col">
              {word(strings.more, name)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([at, computed]) => (
          <tr key={at}>
            <th scope="row">{word(strings.more, at)}</th>
            {COMPUTED.map((name) => (
              <td key={name}>{shown(name, computed[name])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** One level of names and values; what has parts (`rt_volume`, `dividends`) is flattened, ratios are left to the file. */
export function GenericFacts({ generic }: { generic: GenericTicks }) {
  const { strings, format } = useCard()
  const text = (value: unknown) => (typeof value === 'number' ? format.size(value) : String(value))
  const facts = Object.entries(generic).flatMap(([name, value]): [string, string][] => {
    if (value == null || name === 'fundamentals') return []
    const label = word(strings.more, name)
    if (name === 'news') return [[label, generic.news?.headline ?? strings.none]]
    if (typeof value !== 'object') return [[label, text(value)]]
    return Object.entries(value)
      .filter(([, part]) => part != null)
      .map(([part, inner]) => [`${label}: ${word(strings.more, part)}`, text(inner)])
  })
  return <Facts facts={facts} />
}

export function Facts({ facts }: { facts: readonly [string, string][] }) {
  return (
    <dl className={styles.facts}>
      {facts.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
