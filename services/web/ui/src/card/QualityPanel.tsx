// What the data of a day is worth, symbol by symbol. Folded away: its summary counts the marks that come with the
// status; the figures are asked for while somebody looks.

import { ApiError, type QualityReport, type SymbolQuality } from '@ibstream/client'
import { useEffect, useId, useState } from 'react'
import type { Format } from './format'
import { useCard, useStore } from './hooks'
import { ToneIcon } from './Icon'
import styles from './Quality.module.css'
import card from './StreamCard.module.css'
import { fill, type Strings, word } from './strings'
import { Failure } from './useCommand'

const LOOK_MS = 60_000 // as often as the backend itself looks
const ROWS = 200

export function QualityPanel() {
  const { strings, format } = useCard()
  const [open, setOpen] = useState(false)
  const states = useStore('status', (store) => store.status?.symbols)
  const looked = Object.values(states ?? {}).flatMap(({ marks }) => (marks ? [marks] : []))
  const marked = looked.filter((marks) => marks.length > 0).length
  return (
    <details
      className={card.services}
      data-testid="quality"
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <span>{strings.quality.title}</span>
        <span className={card.summaryNote}>
          {looked.length === 0 ? (
            strings.quality.unknown
          ) : (
            <>
              <ToneIcon tone={marked > 0 ? 'warn' : 'good'} size={12} />
              {fill(marked > 0 ? strings.quality.count : strings.quality.allGood, {
                marked: format.count(marked),
                count: format.count(looked.length),
              })}
            </>
          )}
        </span>
      </summary>
      {open && <Day />}
    </details>
  )
}

function Day() {
  const { strings, format, store } = useCard()
  const today = new Date(store.now()).toISOString().slice(0, 10)
  const [chosen, setChosen] = useState('')
  const [all, setAll] = useState(false)
  const { report, failure } = useReport(chosen === today ? '' : chosen)
  const id = useId()
  const rows = report?.symbols.filter((row) => all || (row.marks?.length ?? 0) > 0) ?? []
  return (
    <div className={styles.day}>
      <div className={styles.tools}>
        <label htmlFor={id}>{strings.quality.day}</label>
        <input
          id={id}
          type="date"
          value={chosen || today}
          max={today}
          onChange={(event) => setChosen(event.target.value)}
        />
        <label>
          <input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} />
          {strings.quality.all}
        </label>
        {report && (
          <span className={styles.muted}>
            {fill(strings.quality.until, { time: report.until.slice(11, 19) })}
          </span>
        )}
      </div>
      {failure && <Failure error={failure} />}
      {!report && !failure && <p className={styles.muted}>{strings.quality.loading}</p>}
      {report && rows.length === 0 && <p className={styles.muted}>{strings.quality.nothing}</p>}
      {rows.length > 0 && <Report rows={rows.slice(0, ROWS)} />}
      {rows.length > ROWS && (
        <p className={styles.muted}>
          {fill(strings.quality.more, { count: format.count(rows.length - ROWS) })}
        </p>
      )}
    </div>
  )
}

function Report({ rows }: { rows: readonly SymbolQuality[] }) {
  const { strings, format } = useCard()
  const shown = rows.map((row) => ({ row, figures: Object.entries(figuresOf(row, strings, format)) }))
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <section className={styles.scroll} tabIndex={0} aria-label={strings.quality.title}>
      <table className={styles.report}>
        <thead>
          <tr>
            <th scope="col">{strings.table.symbol}</th>
            <th scope="col">{strings.quality.marks}</th>
            {shown[0]?.figures.map(([name]) => (
              <th key={name} scope="col" data-figure>
                {word(strings.figure, name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map(({ row, figures }) => (
            <tr key={`${row.symbol} ${row.gateway}`}>
              <th scope="row">{[row.symbol, row.gateway].filter(Boolean).join(' · ')}</th>
              <td>
                {(row.marks ?? []).map((mark) => word(strings.mark, mark)).join(', ') || strings.quality.good}
                {detailOf(row, strings, format).map((line) => (
                  <small key={line}>{line}</small>
                ))}
              </td>
              {figures.map(([name, figure]) => (
                <td key={name} data-figure>
                  {figure}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** In the order of the columns. */
function figuresOf(row: SymbolQuality, strings: Strings, format: Format): Record<string, string> {
  const { coverage, clock_seconds: clock } = row
  const count = (value: number | undefined) => (value ? format.count(value) : strings.none)
  const seconds = (value: number | undefined) =>
    value ? fill(strings.unit.s, { n: format.price(value, 1) }) : strings.none
  return {
    coverage: coverage == null ? strings.none : `${format.price(Math.floor(coverage * 1e4) / 100, 2)} %`,
    gaps: count(row.gaps?.length),
    ticks: format.volume(row.ticks),
    crossed: seconds(row.crossed_seconds),
    locked: seconds(row.locked_seconds),
    outliers: count(row.outliers),
    off_bars: count(row.bars_outside),
    zero_prices: count(row.zero_prices),
    stuck: seconds(row.stuck_seconds),
    clock: clock == null ? strings.none : fill(strings.unit.s, { n: format.signed(clock, 1) }),
    split: row.split ?? strings.none,
  }
}

/** Why part of the day was blind, and the first prices that stood out. */
function detailOf(row: SymbolQuality, strings: Strings, format: Format): string[] {
  const blind = row.marks?.includes('blind') ? (row.blind ?? []) : []
  return [
    ...blind
      .slice(0, 2)
      .map(({ reason, seconds }) =>
        fill(strings.quality.blind, { reason: word(strings.reason, reason), age: format.age(seconds) }),
      ),
    ...(row.worst_outliers ?? []).slice(0, 2).map((one) =>
      fill(strings.quality.outlier, {
        field: word(strings.detail, one.field),
        price: plain(one.price),
        before: plain(one.before),
        after: plain(one.after),
        time: one.time.slice(11, 19),
      }),
    ),
  ]
}

/** Without the noise of binary fractions. */
function plain(price: number): number {
  return Number(price.toPrecision(10))
}

/** The report of a day, of today without one, looked at again while it is shown. */
function useReport(day: string): { report: QualityReport | undefined; failure: ApiError | undefined } {
  const { api } = useCard()
  const [found, setFound] = useState<{ day: string; report?: QualityReport; failure?: ApiError }>()
  useEffect(() => {
    let left = false // for another day: what comes late is no answer any more
    const look = () =>
      api.quality(day).then(
        (report) => {
          if (!left) setFound({ day, report })
        },
        (failure) => {
          if (!(failure instanceof ApiError)) throw failure
          if (!left) setFound({ day, failure })
        },
      )
    void look()
    const timer = day
      ? undefined
      : setInterval(() => document.visibilityState !== 'hidden' && void look(), LOOK_MS)
    return () => {
      left = true
      clearInterval(timer)
    }
  }, [api, day])
  return found?.day === day
    ? { report: found.report, failure: found.failure }
    : { report: undefined, failure: undefined }
}
